import { ConfigError } from "../../core/errors.ts";
import { suggest } from "../../core/nearest.ts";
import { describeJson, isJsonObject, type JsonObject, type JsonValue } from "../../hub/strict-json.ts";

/** The kinds of JSON values that `type` tells apart, with integers as numbers without a fraction. */
export const JSON_TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;

/** A name of `type`. */
export type JsonType = (typeof JSON_TYPES)[number];

/** Where a keyword has further schemas: as its value, in a list, by name, or nowhere. */
type Holds = "schema" | "list" | "map" | undefined;

interface Keyword {
  readonly expected: string;
  readonly accepts: (value: JsonValue) => boolean;
  readonly holds?: Holds;
}

const isSchema = (value: JsonValue) => typeof value === "boolean" || isJsonObject(value);
const isString = (value: JsonValue) => typeof value === "string";
const isStrings = (value: JsonValue) => Array.isArray(value) && value.every(isString);
const isType = (value: JsonValue) => JSON_TYPES.includes(value as JsonType);

const SCHEMA: Keyword = { expected: "a schema", accepts: isSchema, holds: "schema" };
const LIST: Keyword = {
  expected: "a list of schemas, at least one",
  accepts: (value) => Array.isArray(value) && value.length > 0 && value.every(isSchema),
  holds: "list",
};
const MAP: Keyword = {
  expected: "schemas by name",
  accepts: (value) => isJsonObject(value) && Object.values(value).every(isSchema),
  holds: "map",
};
const COUNT: Keyword = {
  expected: "an integer ≥ 0",
  accepts: (value) => Number.isInteger(value) && (value as number) >= 0,
};
const NUMBER: Keyword = { expected: "a number", accepts: (value) => Number.isFinite(value) };
const STRING: Keyword = { expected: "a string", accepts: isString };
const FLAG: Keyword = { expected: "true or false", accepts: (value) => typeof value === "boolean" };
const ANYTHING: Keyword = { expected: "anything", accepts: () => true };

/** Keywords of draft 2020-12 that say what is valid, with what they hold. */
const ASSERTIONS: Readonly<Record<string, Keyword>> = {
  $ref: STRING,
  $dynamicRef: STRING,
  type: {
    expected: `one or several of ${JSON_TYPES.join(", ")}`,
    accepts: (value) => isType(value) || (Array.isArray(value) && value.length > 0 && value.every(isType)),
  },
  enum: { expected: "a list of values", accepts: (value) => Array.isArray(value) },
  const: ANYTHING,
  multipleOf: {
    expected: "a number above 0",
    accepts: (value) => Number.isFinite(value) && (value as number) > 0,
  },
  maximum: NUMBER,
  exclusiveMaximum: NUMBER,
  minimum: NUMBER,
  exclusiveMinimum: NUMBER,
  maxLength: COUNT,
  minLength: COUNT,
  pattern: STRING,
  format: STRING,
  maxItems: COUNT,
  minItems: COUNT,
  uniqueItems: FLAG,
  maxContains: COUNT,
  minContains: COUNT,
  maxProperties: COUNT,
  minProperties: COUNT,
  required: { expected: "a list of names", accepts: isStrings },
  dependentRequired: {
    expected: "lists of names, by name",
    accepts: (value) => isJsonObject(value) && Object.values(value).every(isStrings),
  },
  allOf: LIST,
  anyOf: LIST,
  oneOf: LIST,
  prefixItems: LIST,
  properties: MAP,
  patternProperties: MAP,
  dependentSchemas: MAP,
  items: SCHEMA,
  additionalProperties: SCHEMA,
  contains: SCHEMA,
  not: SCHEMA,
  if: SCHEMA,
  // biome-ignore lint/suspicious/noThenProperty: the keyword is called so
  then: SCHEMA,
  else: SCHEMA,
  propertyNames: SCHEMA,
  unevaluatedItems: SCHEMA,
  unevaluatedProperties: SCHEMA,
};

/** Keywords that say nothing about validity. */
const ANNOTATIONS: Readonly<Record<string, Keyword>> = {
  $schema: STRING,
  $id: STRING,
  $anchor: STRING,
  $dynamicAnchor: STRING,
  $vocabulary: ANYTHING,
  $comment: STRING,
  $defs: MAP,
  definitions: MAP,
  title: ANYTHING,
  description: ANYTHING,
  default: ANYTHING,
  deprecated: ANYTHING,
  readOnly: ANYTHING,
  writeOnly: ANYTHING,
  examples: ANYTHING,
  contentEncoding: ANYTHING,
  contentMediaType: ANYTHING,
  contentSchema: { ...SCHEMA },
};

const KEYWORDS = { ...ASSERTIONS, ...ANNOTATIONS };

/** True for keywords that say what is valid. */
export function isAssertion(keyword: string): boolean {
  return Object.hasOwn(ASSERTIONS, keyword);
}

/**
 * Checks the values of a schema's keywords, not those of schemas inside it.
 *
 * @param where names the schema in errors
 * @param unknown what to do with keywords that the draft does not have: the standard says to ignore them
 * @throws {ConfigError} at the first wrong one.
 */
export function checkKeywords(schema: JsonObject, where: string, unknown: "ignore" | "refuse"): void {
  for (const [name, value] of Object.entries(schema)) {
    const keyword = Object.hasOwn(KEYWORDS, name) ? KEYWORDS[name]! : undefined;
    if (keyword?.accepts(value)) continue;
    if (!keyword && unknown === "ignore") continue;
    const place = `${where}/${escapePointer(name)}`;
    if (keyword)
      throw new ConfigError({ where: place, expected: keyword.expected, got: describeJson(value) });
    const fix = suggest(name, Object.keys(KEYWORDS));
    throw new ConfigError({
      where: place,
      expected: "a keyword of JSON Schema 2020-12",
      got: `"${name}"`,
      fix,
    });
  }
}

/** The schemas that a schema holds, as the keys that lead to each. */
export function heldSchemas(schema: JsonObject): (readonly string[])[] {
  return Object.entries(schema).flatMap(([name, value]) => {
    const holds = Object.hasOwn(KEYWORDS, name) ? KEYWORDS[name]!.holds : undefined;
    if (holds === "schema") return [[name]];
    const isContainer = holds === "list" ? Array.isArray(value) : holds === "map" && isJsonObject(value);
    return isContainer ? Object.keys(value as object).map((key) => [name, key]) : [];
  });
}

/** A name as a part of a JSON pointer. */
export function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
