import { ConfigError } from "../../core/errors.ts";
import type { JsonObject, JsonValue } from "../../hub/strict-json.ts";
import { checkKeywords, JSON_TYPES, type JsonType } from "./schema-keywords.ts";
import type { SchemaLocation, SchemaRegistry } from "./schema-registry.ts";

/** One schema of a branch. */
export interface Part {
  readonly location: SchemaLocation;
  readonly schema: JsonObject;
  /** Schemas that apply it to the same value, by `uri`: what `unevaluated…` of those sees. */
  readonly appliedBy: ReadonlySet<string>;
}

/** A way for a value to be valid: it fits all parts, and none of the excluded schemas. */
export interface Branch {
  readonly parts: readonly Part[];
  readonly excluded: readonly SchemaLocation[];
}

interface Pending {
  readonly location: SchemaLocation;
  readonly appliedBy: readonly string[];
}

/** One way through a keyword that offers several. */
interface Alternative {
  readonly also: readonly SchemaLocation[];
  readonly excluded: readonly SchemaLocation[];
}

/** More ways than that for one value are refused. */
const MAX_BRANCHES = 500;

/** Keywords of schemas whose opposite is a few schemas of the same kind. */
const OBJECT_ONLY = new Set(["type", "properties", "required", "title", "description", "$comment"]);

/**
 * Takes combinations of schemas apart: `$ref` and `allOf` put parts together, `anyOf`, `oneOf`, `if` and dependencies fork.
 *
 * @throws {ConfigError} at a malformed or unknown keyword, one that cannot be followed, and references in a circle.
 */
export class BranchExpander {
  readonly #registry: SchemaRegistry;

  constructor(registry: SchemaRegistry) {
    this.#registry = registry;
  }

  /** The ways to fit all of some schemas. */
  expand(locations: readonly SchemaLocation[]): Branch[] {
    const pending = locations.map((location) => ({ location, appliedBy: [] }));
    return this.#expand(pending, { parts: [], excluded: [] });
  }

  /** A branch that also fits a schema. */
  narrow(branch: Branch, also: SchemaLocation): Branch[] {
    return this.#expand([{ location: also, appliedBy: [] }], branch);
  }

  /** Schemas of which a value fits at least one exactly if it does not fit the given one; undefined where that is not so simple. */
  opposite(location: SchemaLocation): SchemaLocation[] | undefined {
    const { schema } = location;
    if (typeof schema === "boolean") return [made(location, !schema, "opposite")];
    const keywords = Object.keys(schema);
    if (keywords.length === 1 && typeof schema.$ref === "string") {
      return this.opposite(this.#registry.resolve(location, schema.$ref));
    }
    if (keywords.length === 1 && schema.not !== undefined) return [this.#registry.child(location, "not")];
    if (!keywords.every((keyword) => OBJECT_ONLY.has(keyword))) return undefined;
    const types = [schema.type ?? [...JSON_TYPES]].flat() as JsonType[];
    const otherTypes = otherThan(types);
    const found = otherTypes.length > 0 ? [made(location, { type: otherTypes }, "type")] : [];
    if (!types.includes("object")) return found;
    for (const name of (schema.required ?? []) as readonly string[]) {
      found.push(made(location, { type: "object", properties: { [name]: false } }, `without ${name}`));
    }
    for (const [name, inner] of Object.entries((schema.properties ?? {}) as JsonObject)) {
      const other = { type: "object", required: [name], properties: { [name]: { not: inner } } };
      found.push(made(location, other, `other ${name}`));
    }
    return found;
  }

  #expand(pending: readonly Pending[], branch: Branch): Branch[] {
    const [first, ...rest] = pending;
    if (!first) return [branch];
    const { location, appliedBy } = first;
    const { schema, uri } = location;
    if (schema === true) return this.#expand(rest, branch);
    if (schema === false) return [];
    if (appliedBy.includes(uri)) {
      throw new ConfigError({
        where: uri,
        expected: "a schema that does not lead back to itself",
        got: "a circle",
      });
    }
    const known = branch.parts.find((part) => part.location.uri === uri);
    if (known) {
      const merged = { ...known, appliedBy: new Set([...known.appliedBy, ...appliedBy]) };
      return this.#expand(rest, {
        ...branch,
        parts: branch.parts.map((part) => (part === known ? merged : part)),
      });
    }
    checkKeywords(schema, uri, "refuse");
    const part = { location, schema, appliedBy: new Set(appliedBy) };
    let ways: { pending: readonly Pending[]; branch: Branch }[] = [
      { pending: rest, branch: { ...branch, parts: [...branch.parts, part] } },
    ];
    const chain = [...appliedBy, uri];
    for (const alternatives of this.#forks(location, schema)) {
      ways = ways.flatMap((way) =>
        alternatives.map(({ also, excluded }) => ({
          pending: [...way.pending, ...also.map((item) => ({ location: item, appliedBy: chain }))],
          branch: { ...way.branch, excluded: [...way.branch.excluded, ...excluded] },
        })),
      );
      if (ways.length > MAX_BRANCHES) throw tooMany(uri);
    }
    const found = ways.flatMap((way) => this.#expand(way.pending, way.branch));
    if (found.length > MAX_BRANCHES) throw tooMany(uri);
    return found;
  }

  /** The keywords of a schema that apply others to the same value, each as its alternatives. */
  #forks(location: SchemaLocation, schema: JsonObject): Alternative[][] {
    const child = (...keys: string[]) => this.#registry.child(location, ...keys);
    const list = (keyword: string) =>
      ((schema[keyword] ?? []) as readonly JsonValue[]).map((_, index) => child(keyword, `${index}`));
    const forks: Alternative[][] = [];
    if (schema.$dynamicRef !== undefined) {
      throw new ConfigError({
        where: `${location.uri}/$dynamicRef`,
        expected: "$ref",
        got: "a dynamic reference",
      });
    }
    if (typeof schema.$ref === "string") {
      forks.push([{ also: [this.#registry.resolve(location, schema.$ref)], excluded: [] }]);
    }
    if (schema.allOf !== undefined) forks.push([{ also: list("allOf"), excluded: [] }]);
    if (schema.anyOf !== undefined) forks.push(list("anyOf").map((item) => ({ also: [item], excluded: [] })));
    if (schema.oneOf !== undefined) {
      const all = list("oneOf");
      forks.push(all.map((item) => ({ also: [item], excluded: all.filter((other) => other !== item) })));
    }
    if (schema.not !== undefined) forks.push([{ also: [], excluded: [child("not")] }]);
    if (schema.if !== undefined && (schema.then !== undefined || schema.else !== undefined)) {
      const [then, otherwise] = ["then", "else"].map((key) =>
        schema[key] === undefined ? [] : [child(key)],
      );
      forks.push([
        { also: [child("if"), ...then!], excluded: [] },
        { also: otherwise!, excluded: [child("if")] },
      ]);
    }
    for (const [name, names] of Object.entries((schema.dependentRequired ?? {}) as JsonObject)) {
      forks.push(dependency(location, name, [made(location, { required: names }, `required with ${name}`)]));
    }
    for (const name of Object.keys((schema.dependentSchemas ?? {}) as JsonObject)) {
      forks.push(dependency(location, name, [child("dependentSchemas", name)]));
    }
    return forks;
  }
}

/** Without the property, or with it and all that it asks for. */
function dependency(location: SchemaLocation, name: string, also: readonly SchemaLocation[]): Alternative[] {
  const absent = made(location, { properties: { [name]: false } }, `without ${name}`);
  const present = made(location, { required: [name] }, `with ${name}`);
  return [
    { also: [absent], excluded: [] },
    { also: [present, ...also], excluded: [] },
  ];
}

/** A schema that stands nowhere, made of another. */
function made(from: SchemaLocation, schema: boolean | JsonObject, what: string): SchemaLocation {
  return { schema, uri: `${from.uri} (${what})`, base: from.base };
}

/** All types but those; numbers that are not integers are left out with the integers. */
function otherThan(types: readonly JsonType[]): JsonType[] {
  const gone = new Set<JsonType>(types);
  if (gone.has("integer")) gone.add("number");
  if (gone.has("number")) gone.add("integer");
  return JSON_TYPES.filter((type) => !gone.has(type));
}

function tooMany(where: string): ConfigError {
  return new ConfigError({
    where,
    expected: `at most ${MAX_BRANCHES} combinations of alternatives`,
    got: "more",
    fix: "Use fewer anyOf, oneOf and dependencies side by side.",
  });
}
