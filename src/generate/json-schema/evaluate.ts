import { ConfigError } from "../../core/errors.ts";
import { describeJson, isJsonObject, type JsonObject, type JsonValue } from "../../hub/strict-json.ts";
import { canonicalJson } from "./canonical-json.ts";
import { isMultipleOf } from "./decimal.ts";
import { FORMATS } from "./formats.ts";
import { PatternMatcher } from "./pattern-matcher.ts";
import { checkKeywords, escapePointer, type JsonType } from "./schema-keywords.ts";
import type { SchemaLocation, SchemaRegistry } from "./schema-registry.ts";
import type { ValidationError } from "./validate.ts";

/** Values in one another deeper than that are refused. */
const MAX_DEPTH = 512;

/** Which parts of a value some keyword has looked at, for `unevaluated…`. */
interface Evaluated {
  readonly properties: Set<string>;
  readonly items: Set<number>;
}

/** A value under a schema. */
interface Visit {
  readonly location: SchemaLocation;
  readonly schema: JsonObject;
  readonly value: JsonValue;
  readonly path: string;
  /** Resources gone through, outermost first. */
  readonly scope: readonly string[];
  readonly errors: ValidationError[];
  readonly evaluated: Evaluated;
}

/** Walks a value and a schema side by side. */
export class SchemaEvaluator {
  readonly #registry: SchemaRegistry;
  readonly #formats: boolean;
  readonly #patterns = new PatternMatcher();
  readonly #checked = new Set<string>();
  readonly #enums = new Map<string, ReadonlySet<string>>();
  /** Schema and place of each visit under way: the same again would go on without end. */
  readonly #active = new Set<string>();

  constructor(registry: SchemaRegistry, { formats }: { formats: boolean }) {
    this.#registry = registry;
    this.#formats = formats;
  }

  /** All that is wrong with a value. */
  validate(location: SchemaLocation, value: JsonValue): ValidationError[] {
    const errors: ValidationError[] = [];
    this.#visit(location, value, "", [], errors);
    return errors;
  }

  /** @returns what was evaluated; undefined if the value is not valid */
  #visit(
    location: SchemaLocation,
    value: JsonValue,
    path: string,
    outer: readonly string[],
    errors: ValidationError[],
  ): Evaluated | undefined {
    const { schema, uri, base } = location;
    if (schema === true) return newEvaluated();
    if (schema === false) {
      errors.push({ path, keyword: uri, message: "expected nothing here" });
      return undefined;
    }
    if (!this.#checked.has(uri)) checkKeywords(schema, uri, "ignore");
    this.#checked.add(uri);
    const key = `${uri} ${path}`;
    if (this.#active.has(key) || this.#active.size > MAX_DEPTH * 4) {
      const got = this.#active.has(key) ? "one that leads back to itself" : "deeper nesting";
      throw new ConfigError({ where: uri, expected: "a schema that comes to an end", got });
    }
    this.#active.add(key);
    const before = errors.length;
    const scope = outer.at(-1) === base ? outer : [...outer, base];
    const visit: Visit = { location, schema, value, path, scope, errors, evaluated: newEvaluated() };
    try {
      this.#references(visit);
      this.#applicators(visit);
      this.#scalars(visit);
      if (Array.isArray(value)) this.#array(visit, value);
      if (isJsonObject(value)) this.#object(visit, value);
    } finally {
      this.#active.delete(key);
    }
    return errors.length === before ? visit.evaluated : undefined;
  }

  /** Applies a schema to the same value; what it evaluates counts if the value is valid under it. */
  #inPlace(visit: Visit, location: SchemaLocation, errors: ValidationError[]): boolean {
    const evaluated = this.#visit(location, visit.value, visit.path, visit.scope, errors);
    if (!evaluated) return false;
    for (const name of evaluated.properties) visit.evaluated.properties.add(name);
    for (const index of evaluated.items) visit.evaluated.items.add(index);
    return true;
  }

  #references(visit: Visit): void {
    const { location, schema, scope, errors } = visit;
    if (typeof schema.$ref === "string")
      this.#inPlace(visit, this.#registry.resolve(location, schema.$ref), errors);
    if (typeof schema.$dynamicRef === "string") {
      this.#inPlace(visit, this.#registry.resolveDynamic(location, schema.$dynamicRef, scope), errors);
    }
  }

  #applicators(visit: Visit): void {
    const { location, schema, value, errors } = visit;
    const child = (...keys: string[]) => this.#registry.child(location, ...keys);
    const each = (keyword: string) =>
      Array.from((schema[keyword] as readonly JsonValue[] | undefined) ?? [], (_, i) =>
        child(keyword, `${i}`),
      );
    for (const part of each("allOf")) this.#inPlace(visit, part, errors);
    if (schema.anyOf !== undefined) {
      const numValid = each("anyOf").filter((part) => this.#inPlace(visit, part, [])).length;
      if (numValid === 0) fail(visit, "anyOf", "expected one of several schemas to fit");
    }
    if (schema.oneOf !== undefined) {
      const numValid = each("oneOf").filter((part) => this.#inPlace(visit, part, [])).length;
      if (numValid !== 1) fail(visit, "oneOf", `expected exactly one schema to fit, got ${numValid}`);
    }
    if (schema.not !== undefined && this.#visit(child("not"), value, visit.path, visit.scope, [])) {
      fail(visit, "not", "expected a schema not to fit");
    }
    if (schema.if === undefined) return;
    const branch = this.#inPlace(visit, child("if"), []) ? "then" : "else";
    if (schema[branch] !== undefined) this.#inPlace(visit, child(branch), errors);
  }

  #scalars(visit: Visit): void {
    const { schema, value } = visit;
    if (schema.type !== undefined) {
      const types = [schema.type].flat() as JsonType[];
      if (!types.some((type) => isOfType(value, type)))
        fail(visit, "type", `expected ${types.join(" or ")}, got ${describeJson(value)}`);
    }
    if (schema.const !== undefined && canonicalJson(value) !== canonicalJson(schema.const)) {
      fail(visit, "const", `expected ${describeJson(schema.const)}, got ${describeJson(value)}`);
    }
    if (schema.enum !== undefined && !this.#listed(visit.location).has(canonicalJson(value))) {
      fail(visit, "enum", `expected one of ${describeJson(schema.enum)}, got ${describeJson(value)}`);
    }
    if (typeof value === "number") this.#number(visit, value);
    if (typeof value === "string") this.#string(visit, value);
  }

  /** The values of `enum`, written out; once for each schema. */
  #listed({ uri, schema }: SchemaLocation): ReadonlySet<string> {
    let texts = this.#enums.get(uri);
    if (!texts) {
      texts = new Set(((schema as JsonObject).enum as readonly JsonValue[]).map(canonicalJson));
      this.#enums.set(uri, texts);
    }
    return texts;
  }

  #number(visit: Visit, value: number): void {
    const { multipleOf, minimum, maximum, exclusiveMinimum, exclusiveMaximum } = visit.schema as Record<
      string,
      number | undefined
    >;
    const got = `got ${value}`;
    if (minimum !== undefined && value < minimum)
      fail(visit, "minimum", `expected at least ${minimum}, ${got}`);
    if (maximum !== undefined && value > maximum)
      fail(visit, "maximum", `expected at most ${maximum}, ${got}`);
    if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) {
      fail(visit, "exclusiveMinimum", `expected more than ${exclusiveMinimum}, ${got}`);
    }
    if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) {
      fail(visit, "exclusiveMaximum", `expected less than ${exclusiveMaximum}, ${got}`);
    }
    if (multipleOf !== undefined && !isMultipleOf(value, multipleOf)) {
      fail(visit, "multipleOf", `expected a multiple of ${multipleOf}, ${got}`);
    }
  }

  #string(visit: Visit, value: string): void {
    const { schema } = visit;
    checkCount(visit, "minLength", "maxLength", [...value].length, "characters");
    const { pattern, format } = schema as Record<string, string | undefined>;
    if (pattern !== undefined && !this.#patterns.finds(pattern, value, `${visit.location.uri}/pattern`)) {
      fail(visit, "pattern", `expected a text with ${pattern} in it, got ${describeJson(value)}`);
    }
    if (format === undefined || !this.#formats || !Object.hasOwn(FORMATS, format)) return;
    if (!this.#patterns.finds(`^(?:${FORMATS[format]})$`, value, format)) {
      fail(visit, "format", `expected ${format}, got ${describeJson(value)}`);
    }
  }

  #array(visit: Visit, value: readonly JsonValue[]): void {
    const { location, schema, evaluated } = visit;
    checkCount(visit, "minItems", "maxItems", value.length, "items");
    const numPrefix = Math.min(
      value.length,
      ((schema.prefixItems as readonly JsonValue[] | undefined) ?? []).length,
    );
    for (let i = 0; i < value.length; i++) {
      if (i < numPrefix) this.#item(visit, value, i, this.#registry.child(location, "prefixItems", `${i}`));
      else if (schema.items !== undefined)
        this.#item(visit, value, i, this.#registry.child(location, "items"));
    }
    if (schema.uniqueItems === true && new Set(value.map(canonicalJson)).size < value.length) {
      fail(visit, "uniqueItems", "expected no two equal items");
    }
    if (schema.contains !== undefined) this.#contains(visit, value);
    if (schema.unevaluatedItems === undefined) return;
    for (let i = 0; i < value.length; i++) {
      if (!evaluated.items.has(i))
        this.#item(visit, value, i, this.#registry.child(location, "unevaluatedItems"));
    }
  }

  #item(visit: Visit, value: readonly JsonValue[], index: number, location: SchemaLocation): void {
    this.#visit(location, value[index]!, `${visit.path}/${index}`, visit.scope, visit.errors);
    visit.evaluated.items.add(index);
  }

  #contains(visit: Visit, value: readonly JsonValue[]): void {
    const { minContains = 1, maxContains = Number.POSITIVE_INFINITY } = visit.schema as Record<
      string,
      number | undefined
    >;
    const location = this.#registry.child(visit.location, "contains");
    let count = 0;
    for (const [index, item] of value.entries()) {
      if (!this.#visit(location, item, `${visit.path}/${index}`, visit.scope, [])) continue;
      count++;
      visit.evaluated.items.add(index);
    }
    if (count >= minContains && count <= maxContains) return;
    fail(visit, "contains", `expected ${minContains} to ${maxContains} items of a kind, got ${count}`);
  }

  #object(visit: Visit, value: JsonObject): void {
    const { location, schema, evaluated } = visit;
    const names = Object.keys(value);
    checkCount(visit, "minProperties", "maxProperties", names.length, "properties");
    const checkNames = (keyword: string, wanted: readonly string[]) => {
      for (const name of wanted) {
        if (!Object.hasOwn(value, name))
          fail(visit, keyword, `expected the property ${JSON.stringify(name)}`);
      }
    };
    checkNames("required", (schema.required ?? []) as readonly string[]);
    for (const [name, wanted] of Object.entries((schema.dependentRequired ?? {}) as JsonObject)) {
      if (Object.hasOwn(value, name)) checkNames("dependentRequired", wanted as readonly string[]);
    }
    for (const name of Object.keys((schema.dependentSchemas ?? {}) as JsonObject)) {
      if (!Object.hasOwn(value, name)) continue;
      this.#inPlace(visit, this.#registry.child(location, "dependentSchemas", name), visit.errors);
    }
    for (const name of names) this.#property(visit, value, name);
    if (schema.unevaluatedProperties === undefined) return;
    for (const name of names) {
      if (evaluated.properties.has(name)) continue;
      this.#value(visit, value, name, this.#registry.child(location, "unevaluatedProperties"));
    }
  }

  #property(visit: Visit, value: JsonObject, name: string): void {
    const { location, schema, path, scope, errors } = visit;
    const child = (...keys: string[]) => this.#registry.child(location, ...keys);
    let isKnown = false;
    if (Object.hasOwn((schema.properties ?? {}) as JsonObject, name)) {
      this.#value(visit, value, name, child("properties", name));
      isKnown = true;
    }
    for (const pattern of Object.keys((schema.patternProperties ?? {}) as JsonObject)) {
      if (!this.#patterns.finds(pattern, name, `${location.uri}/patternProperties`)) continue;
      this.#value(visit, value, name, child("patternProperties", pattern));
      isKnown = true;
    }
    if (!isKnown && schema.additionalProperties !== undefined) {
      this.#value(visit, value, name, child("additionalProperties"));
    }
    if (schema.propertyNames !== undefined) {
      this.#visit(child("propertyNames"), name, `${path}/${escapePointer(name)}`, scope, errors);
    }
  }

  #value(visit: Visit, value: JsonObject, name: string, location: SchemaLocation): void {
    this.#visit(location, value[name]!, `${visit.path}/${escapePointer(name)}`, visit.scope, visit.errors);
    visit.evaluated.properties.add(name);
  }
}

function newEvaluated(): Evaluated {
  return { properties: new Set(), items: new Set() };
}

function fail({ location, path, errors }: Visit, keyword: string, message: string): void {
  errors.push({ path, keyword: `${location.uri}/${keyword}`, message });
}

function checkCount(visit: Visit, least: string, most: string, count: number, unit: string): void {
  const [min, max] = [visit.schema[least] as number | undefined, visit.schema[most] as number | undefined];
  if (min !== undefined && count < min) fail(visit, least, `expected at least ${min} ${unit}, got ${count}`);
  if (max !== undefined && count > max) fail(visit, most, `expected at most ${max} ${unit}, got ${count}`);
}

/** True if the value is of the type; 1.0 is an integer, too. */
export function isOfType(value: JsonValue, type: JsonType): boolean {
  if (type === "null") return value === null;
  if (type === "integer") return Number.isInteger(value);
  if (type === "array") return Array.isArray(value);
  return type === "object" ? isJsonObject(value) : typeof value === type;
}
