import { ConfigError } from "../../core/errors.ts";
import { suggest } from "../../core/nearest.ts";
import type { JsonValue } from "../../hub/strict-json.ts";
import { regexAutomaton } from "../constraint/regex-automaton.ts";
import { FORMATS } from "./formats.ts";
import { ANY_NUMBER, type NumberRules } from "./number-language.ts";
import type { Branch, Part } from "./schema-branches.ts";
import { JSON_TYPES, type JsonType } from "./schema-keywords.ts";
import type { SchemaLocation, SchemaRegistry } from "./schema-registry.ts";
import type { StringRules } from "./string-language.ts";

/** Keywords that speak of one type only. */
const KEYWORDS_OF = {
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  array: ["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "unevaluatedItems"],
  object: [
    ...["properties", "required", "additionalProperties", "patternProperties", "propertyNames"],
    ...["minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "unevaluatedProperties"],
  ],
} as const;

/**
 * The types that a branch writes. Where no `type` is given but keywords of a single one are, it is that: others would be valid, and
 * hardly meant. Integers are among numbers.
 */
export function typesOf({ parts }: Branch): JsonType[] {
  const given = parts.filter(({ schema }) => schema.type !== undefined);
  if (given.length > 0) {
    const left = given.reduce<JsonType[]>(
      (types, { schema }) => {
        const own = new Set([schema.type].flat() as JsonType[]);
        return types.filter((type) => own.has(type) || (type === "integer" && own.has("number")));
      },
      [...JSON_TYPES],
    );
    return left.filter((type) => type !== "integer" || !left.includes("number"));
  }
  const spoken = Object.entries(KEYWORDS_OF)
    .filter(([, keywords]) =>
      parts.some(({ schema }) => keywords.some((keyword) => schema[keyword] !== undefined)),
    )
    .map(([type]) => type as JsonType);
  return spoken.length === 1 ? spoken : JSON_TYPES.filter((type) => type !== "integer");
}

/** What a branch says about strings. @throws {ConfigError} if a pattern or format cannot be followed. */
export function stringRules({ parts }: Branch): StringRules {
  const rules = {
    min: 0,
    max: Number.POSITIVE_INFINITY,
    languages: [] as StringRules["languages"][number][],
  };
  for (const { schema, location } of parts) {
    const { minLength, maxLength, pattern, format } = schema;
    if (minLength !== undefined) rules.min = Math.max(rules.min, minLength as number);
    if (maxLength !== undefined) rules.max = Math.min(rules.max, maxLength as number);
    if (pattern !== undefined) {
      const language = regexAutomaton(pattern as string, "search", `${location.uri}/pattern`);
      if (language) rules.languages.push(language);
      else rules.max = -1;
    }
    if (format !== undefined)
      rules.languages.push(formatAutomaton(format as string, `${location.uri}/format`));
  }
  return rules;
}

function formatAutomaton(format: string, where: string) {
  if (Object.hasOwn(FORMATS, format)) return regexAutomaton(FORMATS[format]!, "whole", where)!;
  const known = Object.keys(FORMATS);
  const fix = suggest(format, known);
  throw new ConfigError({ where, expected: `one of ${known.join(", ")}`, got: `"${format}"`, fix });
}

/** What a branch says about numbers. */
export function numberRules({ parts }: Branch, isInteger: boolean): NumberRules {
  return parts.reduce<NumberRules>(
    (rules, { schema }) => {
      const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema as Record<
        string,
        number | undefined
      >;
      let next = rules;
      if (minimum !== undefined && minimum > next.min) next = { ...next, min: minimum, excludesMin: false };
      if (exclusiveMinimum !== undefined && exclusiveMinimum >= next.min) {
        next = { ...next, min: exclusiveMinimum, excludesMin: true };
      }
      if (maximum !== undefined && maximum < next.max) next = { ...next, max: maximum, excludesMax: false };
      if (exclusiveMaximum !== undefined && exclusiveMaximum <= next.max) {
        next = { ...next, max: exclusiveMaximum, excludesMax: true };
      }
      return multipleOf === undefined ? next : { ...next, steps: [...next.steps, multipleOf] };
    },
    { ...ANY_NUMBER, isInteger },
  );
}

/** Lengths that a branch allows arrays. @throws {ConfigError} at keywords that cannot be followed. */
export function arrayLengths({ parts }: Branch): { min: number; max: number } {
  let [min, max] = [0, Number.POSITIVE_INFINITY];
  for (const { schema } of parts) {
    min = Math.max(min, (schema.minItems as number | undefined) ?? 0);
    max = Math.min(max, (schema.maxItems as number | undefined) ?? Number.POSITIVE_INFINITY);
  }
  for (const { schema, location } of parts) {
    const { uniqueItems, contains, minContains, maxContains } = schema;
    if (uniqueItems === true && max > 1)
      throw cannotFollow(`${location.uri}/uniqueItems`, "Set maxItems to 1, or leave it out.");
    const isIdle = minContains === 0 && maxContains === undefined;
    if (contains !== undefined && !isIdle)
      throw cannotFollow(`${location.uri}/contains`, "Use items or prefixItems.");
  }
  return { min, max };
}

/** The error for a keyword that cannot be enforced token by token. */
export function cannotFollow(where: string, fix: string): ConfigError {
  const expected = "keywords that can be followed while text is written";
  return new ConfigError({ where, expected, got: `"${where.slice(where.lastIndexOf("/") + 1)}"`, fix });
}

/** What an item of an array has to fit. */
export function itemSchemas(branch: Branch, index: number, registry: SchemaRegistry): SchemaLocation[] {
  const numPrefix = (schema: Part["schema"]) => ((schema.prefixItems ?? []) as readonly JsonValue[]).length;
  const found = branch.parts.flatMap(({ schema, location }) => {
    if (index < numPrefix(schema)) return [registry.child(location, "prefixItems", `${index}`)];
    return schema.items === undefined ? [] : [registry.child(location, "items")];
  });
  const unevaluated = branch.parts.filter((outer) => {
    if (outer.schema.unevaluatedItems === undefined) return false;
    const seen = branch.parts.filter((part) => part === outer || part.appliedBy.has(outer.location.uri));
    const covers = (part: Part) =>
      index < numPrefix(part.schema) ||
      part.schema.items !== undefined ||
      (part !== outer && part.schema.unevaluatedItems !== undefined);
    return !seen.some(covers);
  });
  return [...found, ...unevaluated.map(({ location }) => registry.child(location, "unevaluatedItems"))];
}

/** The values that a branch lists by `enum` or `const`, others not yet left out; undefined if it does not. */
export function listedValues({ parts }: Branch): readonly JsonValue[] | undefined {
  for (const { schema } of parts) {
    if (schema.const !== undefined) return [schema.const];
    if (schema.enum !== undefined) return schema.enum as readonly JsonValue[];
  }
  return undefined;
}

/** The error for schemas of which only one may fit, where it cannot be told that. */
export function cannotTellApart(where: string): ConfigError {
  return new ConfigError({
    where,
    expected: "a schema that cannot fit together with the rest",
    got: "one that may",
    fix: "Tell the alternatives apart by a required property with a const, or use anyOf.",
  });
}
