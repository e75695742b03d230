import { ConfigError } from "../../core/errors.ts";
import { describeJson, isJsonObject, type JsonObject, type JsonValue } from "../../hub/strict-json.ts";
import { escapePointer, heldSchemas } from "./schema-keywords.ts";

/** A schema and where it stands. Those with the same `uri` are the same. */
export interface SchemaLocation {
  readonly schema: boolean | JsonObject;
  /** Its resource and, after `#`, the JSON pointer in it. */
  readonly uri: string;
  /** The resource: what relative references are relative to. */
  readonly base: string;
}

/** Of a schema without `$id`. */
const DEFAULT_BASE = "schema:/";

/** Schemas in one another deeper than that are refused. */
const MAX_DEPTH = 256;

/** Finds the schemas that references name, in one schema document and in others that are given with it. Nothing is fetched. */
export class SchemaRegistry {
  readonly root: SchemaLocation;
  /** By resource, or by `resource#anchor`. */
  readonly #known = new Map<string, SchemaLocation>();
  readonly #dynamic = new Map<string, SchemaLocation>();

  /** @throws {ConfigError} if the document is not a schema. */
  constructor(document: unknown, others: Readonly<Record<string, unknown>> = {}) {
    for (const [uri, other] of Object.entries(others)) this.#add(other, uri);
    this.root = this.#add(document, DEFAULT_BASE);
  }

  /** A schema inside another. @throws {ConfigError} if there is none. */
  child(location: SchemaLocation, ...keys: readonly string[]): SchemaLocation {
    let value: JsonValue | undefined = location.schema;
    for (const key of keys)
      value = isContainer(value) && Object.hasOwn(value, key) ? (value as JsonObject)[key] : undefined;
    const uri = `${location.uri}${keys.map((key) => `/${escapePointer(key)}`).join("")}`;
    return this.#locate(value, uri, location.base);
  }

  /** What `$ref` names. @throws {ConfigError} if it is not there. */
  resolve(location: SchemaLocation, reference: string): SchemaLocation {
    const target = absolute(reference, location.base);
    const [resource = "", fragment = ""] = target.split("#");
    const found = this.#known.get(fragment === "" || fragment.startsWith("/") ? resource : target);
    if (found && !fragment.startsWith("/")) return found;
    if (!found) {
      const fix = "Put it into the same document, under $defs.";
      throw new ConfigError({
        where: `${location.uri}/$ref`,
        expected: "a schema that is here",
        got: `"${reference}"`,
        fix,
      });
    }
    let at: { location: SchemaLocation; value: JsonValue | undefined; uri: string } = {
      location: found,
      value: found.schema,
      uri: found.uri,
    };
    for (const part of fragment.slice(1).split("/")) {
      const key = decode(part).replaceAll("~1", "/").replaceAll("~0", "~");
      const value =
        isContainer(at.value) && Object.hasOwn(at.value, key) ? (at.value as JsonObject)[key] : undefined;
      const uri = `${at.uri}/${escapePointer(key)}`;
      const hasId = isJsonObject(value) && typeof value.$id === "string";
      const inner = hasId ? this.#locate(value, uri, at.location.base) : at.location;
      at = { location: inner, value, uri: hasId ? inner.uri : uri };
    }
    return this.#locate(at.value, at.uri, at.location.base);
  }

  /**
   * What `$dynamicRef` names: where its anchor is a dynamic one, the outermost of the same name among the resources gone through.
   */
  resolveDynamic(location: SchemaLocation, reference: string, scope: readonly string[]): SchemaLocation {
    const found = this.resolve(location, reference);
    const anchor = reference.split("#")[1] ?? "";
    const isDynamic = isJsonObject(found.schema) && found.schema.$dynamicAnchor === anchor;
    const outermost = isDynamic && scope.find((base) => this.#dynamic.has(`${base}#${anchor}`));
    return outermost ? this.#dynamic.get(`${outermost}#${anchor}`)! : found;
  }

  #add(document: unknown, base: string): SchemaLocation {
    const root = this.#locate(document as JsonValue, `${base}#`, base);
    this.#known.set(base.split("#")[0]!, root);
    this.#index(root, 0);
    return root;
  }

  #index(location: SchemaLocation, depth: number): void {
    const { schema, base } = location;
    if (!isJsonObject(schema)) return;
    if (depth > MAX_DEPTH) {
      throw new ConfigError({
        where: location.uri,
        expected: `at most ${MAX_DEPTH} schemas one in another`,
        got: "more",
      });
    }
    if (location.uri === `${base}#`) this.#known.set(base, location);
    if (typeof schema.$anchor === "string") this.#known.set(`${base}#${schema.$anchor}`, location);
    if (typeof schema.$dynamicAnchor === "string") {
      this.#known.set(`${base}#${schema.$dynamicAnchor}`, location);
      this.#dynamic.set(`${base}#${schema.$dynamicAnchor}`, location);
    }
    for (const keys of heldSchemas(schema)) {
      const child = keys.reduce<JsonValue | undefined>(
        (value, key) => (value as JsonObject | undefined)?.[key],
        schema,
      );
      if (isJsonObject(child)) this.#index(this.child(location, ...keys), depth + 1);
    }
  }

  #locate(value: JsonValue | undefined, uri: string, base: string): SchemaLocation {
    if (typeof value !== "boolean" && !isJsonObject(value)) {
      throw new ConfigError({
        where: uri,
        expected: "a schema: an object, true or false",
        got: describeJson(value),
      });
    }
    if (typeof value === "boolean" || typeof value.$id !== "string") return { schema: value, uri, base };
    const own = absolute(value.$id, base).split("#")[0]!;
    return { schema: value, uri: `${own}#`, base: own };
  }
}

function isContainer(value: JsonValue | undefined): value is JsonObject | readonly JsonValue[] {
  return typeof value === "object" && value !== null;
}

function absolute(reference: string, base: string): string {
  try {
    return new URL(reference, base).href;
  } catch {
    throw new ConfigError({
      where: base,
      expected: "references that are URIs",
      got: JSON.stringify(reference),
    });
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
