import { existsSync, readdirSync, readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { describe, expect, test } from "vitest";
import { trainCharTokenizer } from "../../codecs/char-tokenizer.ts";
import { loadTokenizer, type Tokenizer } from "../../codecs/tokenizer.ts";
import { ConfigError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import { compileConstraint } from "../constraint/compile-constraint.ts";
import type { TokenConstraint } from "../constraint/token-constraint.ts";
import { TokenVocabulary } from "../constraint/token-vocabulary.ts";
import { validateJson } from "./validate.ts";

// The proof that a constraint cannot be broken: models that score at random write under it, and what they finish is held against JSON.parse,
// our validator, and another one (ajv).

const DATA = new URL("../../../../shared/data/", import.meta.url).pathname;
const HAS_DATA = existsSync(`${DATA}tok-gpt2`);

const ADDRESS = {
  type: "object",
  properties: {
    street: { type: "string", maxLength: 20 },
    city: { type: "string", minLength: 1 },
    zip: { type: "string", pattern: "^[0-9]{5}$" },
  },
  required: ["street", "zip"],
};

/** Everything that is understood, alone and in combination. */
const SCHEMAS: readonly unknown[] = [
  true,
  {},
  { type: "string" },
  { type: "string", minLength: 3, maxLength: 5 },
  { type: "string", minLength: 2 },
  { type: "string", maxLength: 0 },
  { type: "string", maxLength: 100_000 },
  { type: "string", pattern: "^[a-c]{2,4}$" },
  { type: "string", pattern: "x" },
  { type: "string", pattern: 'a"\\\\\n' },
  { type: "string", pattern: "^a*$", minLength: 3, maxLength: 6 },
  { allOf: [{ pattern: "^a" }, { pattern: "b$" }, { type: "string", maxLength: 4 }] },
  ...[
    "date",
    "time",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
    "uri",
    "uri-reference",
    "json-pointer",
    "relative-json-pointer",
  ].map((format) => ({ type: "string", format })),
  { type: "integer" },
  { type: "integer", minimum: 17, maximum: 1204 },
  { type: "integer", exclusiveMinimum: -5, exclusiveMaximum: 3 },
  { type: "integer", minimum: -100, multipleOf: 7 },
  { type: "integer", minimum: 1e20 },
  { type: "integer", maximum: -1 },
  { type: "number" },
  { type: "number", minimum: 0, maximum: 1 },
  { type: "number", exclusiveMinimum: 0.1, exclusiveMaximum: 0.30000000000000004 },
  { type: "number", minimum: -2.5, maximum: -2.25 },
  { type: "number", multipleOf: 0.5, minimum: -3, maximum: 9 },
  { type: "number", multipleOf: 15, maximum: 1000 },
  { allOf: [{ type: "number", multipleOf: 4 }, { multipleOf: 6 }, { minimum: 30 }] },
  { type: ["integer", "null"] },
  { type: ["boolean", "string"], maxLength: 3 },
  { enum: ["red", "green", 5, null, { a: [1, 2] }, [], '\u2028"\\'] },
  { enum: ["a", "bb", "ccc", 4], type: "string", minLength: 2 },
  { const: { deep: { er: [true, 1.5e-7, "é"] } } },
  { type: "array", items: { type: "integer", maximum: 9, minimum: 0 }, minItems: 2, maxItems: 4 },
  { type: "array", maxItems: 0 },
  { type: "array", prefixItems: [{ const: 1 }, { type: "boolean" }], items: false },
  {
    type: "array",
    prefixItems: [{ const: 1 }, { type: "boolean" }],
    minItems: 1,
    maxItems: 3,
    items: { const: "x" },
  },
  { type: "array", prefixItems: [{ const: 1 }, { const: 2 }, { const: 3 }], maxItems: 2 },
  { type: "array", items: { enum: ["a", "b"] }, maxItems: 1, uniqueItems: true },
  { type: "array", items: { type: "array", items: { type: "null" }, minItems: 1 }, minItems: 3 },
  { type: "array", minItems: 2 },
  { type: "object" },
  { type: "object", minProperties: 1 },
  { type: "object", maxProperties: 2, additionalProperties: { type: "integer" } },
  ADDRESS,
  { ...ADDRESS, additionalProperties: false },
  { ...ADDRESS, additionalProperties: { type: "boolean" } },
  { type: "object", required: ["a", "b"] },
  { type: "object", properties: { a: {}, b: {}, c: {}, d: {} }, minProperties: 2, maxProperties: 3 },
  { type: "object", properties: { a: { const: 1 } }, minProperties: 2, additionalProperties: { const: 2 } },
  { type: "object", properties: { a: false, b: { const: 1 } } },
  {
    type: "object",
    patternProperties: { "^n_": { type: "integer" }, _s$: { type: "string" } },
    additionalProperties: false,
  },
  {
    type: "object",
    patternProperties: { "^n_": { minimum: 5 }, _e$: { multipleOf: 2 } },
    additionalProperties: { type: "null" },
  },
  {
    type: "object",
    properties: { n_1: { maximum: 9 } },
    patternProperties: { "^n_": { type: "integer", minimum: 5 } },
    required: ["n_1"],
  },
  { type: "object", propertyNames: { pattern: "^[a-z]{1,3}$" }, additionalProperties: { const: 0 } },
  { type: "object", propertyNames: { enum: ["p", "q"] }, properties: { p: { const: 1 }, r: {} } },
  {
    type: "object",
    properties: { 'quote"\\': { const: 1 }, "é\n": { const: 2 }, "": { const: 3 } },
    required: ['quote"\\', "é\n", ""],
  },
  { properties: { a: { type: "integer" } }, required: ["a"] },
  { anyOf: [{ type: "string", maxLength: 2 }, { type: "integer" }, { type: "object", required: ["k"] }] },
  {
    anyOf: [
      { properties: { kind: { const: "a" }, x: { type: "integer" } }, required: ["kind", "x"] },
      { properties: { kind: { const: "b" }, y: { type: "null" } }, required: ["kind", "y"] },
    ],
  },
  {
    oneOf: [
      { properties: { kind: { const: "a" }, x: { type: "integer" } }, required: ["kind", "x"] },
      { properties: { kind: { const: "b" }, y: { type: "null" } }, required: ["kind"] },
    ],
  },
  { oneOf: [{ type: "string" }, { type: "number" }, { type: "null" }] },
  {
    oneOf: [
      { type: "integer", multipleOf: 3, minimum: 0, maximum: 99 },
      { type: "integer", multipleOf: 5, minimum: 0, maximum: 99 },
    ],
  },
  {
    oneOf: [
      { type: "string", pattern: "^a" },
      { type: "string", pattern: "b$" },
    ],
    type: "string",
  },
  {
    type: "object",
    properties: { a: { const: 1 }, b: { const: 2 } },
    oneOf: [{ required: ["a"] }, { required: ["b"] }],
  },
  { type: "integer", minimum: 0, maximum: 30, not: { multipleOf: 2 } },
  { type: "string", not: { enum: ["", "a", "b"] }, pattern: "^[ab]{0,2}$" },
  { type: "number", minimum: 0, maximum: 3, not: { type: "integer" } },
  { type: ["string", "integer", "null"], not: { type: "string" } },
  { type: "object", properties: { a: { const: 1 } }, not: { required: ["a"] } },
  {
    type: "object",
    properties: { country: { enum: ["US", "NL"] }, code: { type: "string" } },
    required: ["country", "code"],
    if: { properties: { country: { const: "US" } }, required: ["country"] },
    // biome-ignore lint/suspicious/noThenProperty: the keyword is called so
    then: { properties: { code: { pattern: "^[0-9]{5}$" } } },
    else: { properties: { code: { pattern: "^[0-9]{4} ?[A-Z]{2}$" } } },
  },
  {
    type: "object",
    properties: { card: { const: 1 }, billing: { const: 2 } },
    dependentRequired: { card: ["billing"] },
  },
  {
    type: "object",
    properties: { card: { const: 1 }, n: { type: "integer" } },
    dependentSchemas: { card: { properties: { n: { minimum: 10, maximum: 12 } }, required: ["n"] } },
  },
  {
    allOf: [{ $ref: "#/$defs/base" }],
    properties: { extra: { type: "boolean" } },
    unevaluatedProperties: false,
    $defs: { base: { type: "object", properties: { id: { type: "integer" } }, required: ["id"] } },
  },
  { type: "array", allOf: [{ prefixItems: [{ const: 1 }] }], unevaluatedItems: { const: 2 }, minItems: 2 },
  {
    $ref: "#/$defs/node",
    $defs: {
      node: {
        type: "object",
        properties: {
          value: { type: "integer" },
          next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
        },
        required: ["value", "next"],
      },
    },
  },
  {
    $id: "https://example.com/tree",
    type: "object",
    properties: { name: { type: "string", maxLength: 4 }, children: { type: "array", items: { $ref: "#" } } },
    required: ["name"],
  },
  {
    $defs: {
      expr: {
        anyOf: [
          { type: "integer" },
          {
            type: "array",
            prefixItems: [{ enum: ["+", "*"] }, { $ref: "#/$defs/expr" }, { $ref: "#/$defs/expr" }],
            minItems: 3,
            items: false,
          },
        ],
      },
    },
    $ref: "#/$defs/expr",
  },
  {
    $ref: "#/$defs/even",
    $defs: {
      even: { type: "object", properties: { o: { $ref: "#/$defs/odd" } } },
      odd: { type: "object", properties: { e: { $ref: "#/$defs/even" } }, required: ["e"] },
    },
  },
  { $anchor: "top", type: "array", items: { anyOf: [{ $ref: "#top" }, { const: "leaf" }] }, maxItems: 2 },
  {
    title: "t",
    description: "d",
    default: 1,
    examples: [2],
    $comment: "c",
    type: "integer",
    deprecated: true,
    readOnly: true,
  },
];

/** Schemas of everything above in random combination. */
function randomSchema(random: Random, depth: number): unknown {
  const pick = <T>(items: readonly T[]): T => items[random.integer(items.length)]!;
  const inner = () => randomSchema(random, depth - 1);
  const scalar = () => {
    const low = random.integer(200) - 100;
    return pick<unknown>([
      { type: "string" },
      { type: "string", minLength: random.integer(3), maxLength: 3 + random.integer(5) },
      { type: "string", pattern: pick(["^[a-z]+$", "b", "^\\d{2}:\\d{2}$", "^(ab|cd)*$"]) },
      { type: "integer", minimum: low, maximum: low + random.integer(1000) },
      { type: "number", exclusiveMinimum: low / 8, maximum: low / 8 + 1 + random.integer(9) },
      { type: "integer", multipleOf: 1 + random.integer(40) },
      { type: pick(["boolean", "null", "number"]) },
      { enum: [pick(["a", "b"]), random.integer(50), null, ["x"], { k: 1 }] },
      { const: pick<unknown>(["fixed", 7, false]) },
    ]);
  };
  if (depth === 0) return scalar();
  const names = ["alpha", "beta", "gamma", "δ", "e f"].slice(0, 1 + random.integer(5));
  return pick([
    scalar,
    () => ({
      type: "object",
      properties: Object.fromEntries(names.map((name) => [name, inner()])),
      required: names.filter(() => random.integer(2) === 0),
      ...pick([
        {},
        { additionalProperties: false },
        { additionalProperties: inner() },
        { minProperties: 1 },
        { maxProperties: names.length },
      ]),
    }),
    () => ({ type: "array", items: inner(), minItems: random.integer(3), maxItems: 2 + random.integer(4) }),
    () => ({ type: "array", prefixItems: [inner(), inner()], items: pick<unknown>([false, inner()]) }),
    () => ({ anyOf: [inner(), inner(), scalar()] }),
    () => ({
      allOf: [
        { type: "object", properties: { a: inner() } },
        { properties: { b: inner() }, required: ["b"] },
      ],
    }),
    () => ({
      type: "object",
      patternProperties: { "^x": inner() },
      additionalProperties: pick<unknown>([false, scalar()]),
    }),
  ])();
}

/** One text under a constraint, by a model whose scores mean nothing. */
function write(constraint: TokenConstraint, tokenizer: Tokenizer, random: Random, maxTokens: number) {
  let state = constraint.start;
  const tokens: number[] = [];
  while (!state.mustEnd && tokens.length < maxTokens && !(state.canEnd && random.integer(4) === 0)) {
    const token = drawFrom(state.allowed(maxTokens - tokens.length), random);
    if (token === undefined) throw new Error(`no token after ${tokenizer.decode(tokens)}`);
    tokens.push(token);
    state = state.advance(token);
  }
  return { text: tokenizer.decode(tokens), isFinished: state.canEnd };
}

function drawFrom(mask: Uint32Array, random: Random): number | undefined {
  const allowed: number[] = [];
  for (const [word, bits] of mask.entries()) {
    for (let bit = 0; bits >>> bit !== 0 && bit < 32; bit++)
      if ((bits >>> bit) & 1) allowed.push(32 * word + bit);
  }
  return allowed[random.integer(allowed.length)];
}

/** Another implementation of the standard. */
class OtherValidator {
  readonly #ajv = new Ajv2020({ strict: false, ownProperties: true, logger: false });

  constructor() {
    formats.default(this.#ajv);
  }

  /** Undefined where it does not take the schema. */
  compile(schema: unknown): ((value: unknown) => boolean) | undefined {
    try {
      return this.#ajv.compile(schema as object);
    } catch {
      return undefined;
    } finally {
      this.#ajv.removeSchema();
    }
  }
}

/** Writes under each schema and counts what was checked; a text that is not valid fails at once. */
function check(
  schemas: readonly unknown[],
  tokenizer: Tokenizer,
  random: Random,
  {
    times,
    maxTokens,
    spacing = "compact",
  }: { times: number; maxTokens: number; spacing?: "compact" | "free" },
) {
  const vocabulary = new TokenVocabulary(tokenizer);
  const other = new OtherValidator();
  const counts = { finished: 0, unfinished: [] as string[], refused: [] as string[] };
  for (const schema of schemas) {
    const name = JSON.stringify(schema);
    let constraint: TokenConstraint;
    try {
      constraint = compileConstraint({ schema, spacing }, vocabulary);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      counts.refused.push(`${name}: ${(error as Error).message}`);
      continue;
    }
    const isValid = other.compile(schema);
    for (let i = 0; i < times; i++) {
      const { text, isFinished } = write(constraint, tokenizer, random, maxTokens);
      if (!isFinished) {
        counts.unfinished.push(`${name}: ${text}`);
        continue;
      }
      counts.finished++;
      const value: unknown = JSON.parse(text);
      expect(validateJson(schema, value, { formats: true }), `${name}: ${text}`).toEqual([]);
      if (isValid) expect(isValid(value), `ajv: ${name}: ${text}`).toBe(true);
    }
  }
  return counts;
}

const CHARACTERS = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("");
const characters = trainCharTokenizer([`${CHARACTERS}\n`, "éαβδ漢😀"]);

describe("nothing but valid JSON can be written", () => {
  test("character by character", () => {
    const counts = check(SCHEMAS, characters, new Random(1), { times: 5, maxTokens: 150 });
    // U+2028 and the tab of some lists are not among the characters; that leaves other values, or nothing.
    expect(counts.refused).toEqual([]);
    expect(counts.unfinished).toEqual([]);
    expect(counts.finished).toBe(5 * SCHEMAS.length);
  });

  test("with free spacing", () => {
    const counts = check(SCHEMAS, characters, new Random(2), { times: 2, maxTokens: 200, spacing: "free" });
    expect(counts.refused).toEqual([]);
    expect(counts.unfinished).toEqual([]);
  });

  test("200 random schemas", () => {
    const random = new Random(3);
    const schemas = Array.from({ length: 200 }, (_, i) => randomSchema(random, i % 4));
    const counts = check(schemas, characters, random, { times: 3, maxTokens: 300 });
    expect(counts.refused).toEqual([]);
    expect(counts.unfinished).toEqual([]);
  });

  test.skipIf(!HAS_DATA)("with tok-gpt2, 50,257 tokens (skipped without ../shared/data)", () => {
    const counts = check(SCHEMAS, loadTokenizer(`${DATA}tok-gpt2`), new Random(4), {
      times: 2,
      maxTokens: 60,
    });
    expect(counts.refused).toEqual([]);
    expect(counts.unfinished).toEqual([]);
  });

  test.skipIf(!HAS_DATA)(
    "with tok-tiny, which has no bytes beyond ASCII (skipped without ../shared/data)",
    () => {
      const counts = check(SCHEMAS, loadTokenizer(`${DATA}tok-tiny`), new Random(5), {
        times: 4,
        maxTokens: 80,
      });
      expect(counts.refused.length).toBeLessThan(4); // names and values that are not ASCII
      expect(counts.unfinished).toEqual([]);
    },
  );

  test.skipIf(!HAS_DATA)("under the schemas of the official suite (skipped without ../shared/data)", () => {
    const folder = `${DATA}json-schema-suite/draft2020-12/`;
    const groups = readdirSync(folder)
      .filter((name) => name.endsWith(".json"))
      .flatMap(
        (name) =>
          JSON.parse(readFileSync(folder + name, "utf8")) as { description: string; schema: unknown }[],
      )
      // ajv forgets what `if` alone has evaluated; the suite says otherwise.
      .filter(({ description }) => !description.includes("then not defined"));
    const schemas = groups.map(({ schema }) => schema);
    const counts = check(schemas, characters, new Random(6), { times: 2, maxTokens: 200 });
    console.info(
      `${schemas.length - counts.refused.length} of ${schemas.length} schemas, ${counts.finished} texts`,
    );
    expect(schemas.length - counts.refused.length).toBeGreaterThan(190);
    expect(counts.unfinished).toEqual([]);
  });
});

describe("refused before anything is generated", () => {
  const vocabulary = new TokenVocabulary(characters);
  const compile = (schema: unknown) => () => compileConstraint({ schema }, vocabulary);

  test.each<[unknown, string]>([
    [
      { type: "string", minLenght: 2 },
      'schema:/#/minLenght: expected a keyword of JSON Schema 2020-12, got "minLenght". Did you mean "minLength"?',
    ],
    [
      { properties: { a: { minLength: -1 } } },
      "schema:/#/properties/a/minLength: expected an integer ≥ 0, got -1.",
    ],
    [{ type: "strin" }, "schema:/#/type: expected one or several of null, boolean"],
    [7, "schema:/#: expected a schema: an object, true or false, got 7."],
    [{ items: 5 }, "schema:/#/items: expected a schema, got 5."],
    [
      { type: "array", contains: { const: 1 } },
      'schema:/#/contains: expected keywords that can be followed while text is written, got "contains".',
    ],
    [
      { type: "array", items: {}, uniqueItems: true },
      "schema:/#/uniqueItems: expected keywords that can be followed",
    ],
    [{ type: "string", format: "ipv5" }, 'got "ipv5". Did you mean "ipv4"?'],
    [
      { type: "string", pattern: "(?!a)" },
      'schema:/#/pattern, at position 3: expected no lookahead or lookbehind, got "(?!".',
    ],
    [{ type: "string", pattern: "[" }, 'schema:/#/pattern, at position 1: expected "]", got the end.'],
    [{ $ref: "#/$defs/nope" }, "got nothing"],
    [
      { $ref: "https://example.com/other" },
      'expected a schema that is here, got "https://example.com/other". Put it into the same document',
    ],
    [{ $dynamicRef: "#x" }, "schema:/#/$dynamicRef: expected $ref, got a dynamic reference."],
    [{ $ref: "#" }, "schema:/#: expected a schema that does not lead back to itself, got a circle."],
    [{ anyOf: [{ $ref: "#" }, { type: "string" }] }, "a circle"],
    [
      {
        oneOf: [
          { type: "object", required: ["a"], minProperties: 1 },
          { type: "object", required: ["a"], maxProperties: 5 },
        ],
      },
      "expected a schema that cannot fit together with the rest, got one that may.",
    ],
    [{ type: "object", minProperties: 3 }, 'got "minProperties".'],
    [
      { type: "integer", multipleOf: 123457 },
      "schema:/#/multipleOf: expected multiples of at most 5000 units, got 123457.",
    ],
    [
      { type: "string", pattern: "^(a|b)*a(a|b){20}$" },
      "a form of text that takes at most 65536 states to follow",
    ],
    [
      { allOf: Array.from({ length: 12 }, () => ({ anyOf: [{ type: "string" }, { type: "null" }] })) },
      "combinations of alternatives",
    ],
  ])("%j", (schema, message) => {
    const started = performance.now();
    expect(compile(schema)).toThrow(ConfigError);
    expect(compile(schema)).toThrow(message);
    expect(performance.now() - started).toBeLessThan(3000); // two compilations on a busy machine
  });

  test.each<unknown>([
    false,
    { enum: [] },
    { type: "string", enum: [1, 2] },
    { type: "string", minLength: 3, maxLength: 2 },
    { type: "integer", minimum: 5, maximum: 4 },
    { type: "integer", minimum: 1.2, maximum: 1.8 },
    { allOf: [{ type: "string" }, { type: "number" }] },
    { type: "string", allOf: [{ pattern: "^a" }, { pattern: "^b" }] },
    { type: "object", properties: { a: false }, required: ["a"] },
    { type: "object", required: ["a"], additionalProperties: false },
    { type: "array", items: false, minItems: 1 },
    { type: "array", minItems: 3, maxItems: 2 },
    { type: "object", properties: { a: { $ref: "#" } }, required: ["a"] },
    { not: {} },
    { oneOf: [true, true] },
  ])("cannot be satisfied: %j", (schema) => {
    expect(compile(schema)).toThrow(ConfigError);
    expect(compile(schema)).toThrow(
      "expected a constraint that some text satisfies, got one that none does.",
    );
  });

  test("what only other characters could write", () => {
    const message =
      "got one that no text does that this tokenizer can write. It lacks characters that are needed";
    expect(compile({ const: "ж" })).toThrow(message);
    expect(() => compileConstraint({ regex: "ж" }, vocabulary)).toThrow(message);
  });

  test("large schemas compile in bounded time, or are refused", () => {
    const tool = (i: number) => ({
      type: "object",
      properties: { name: { const: `t${i}` }, x: { type: "string" } },
      required: ["name"],
    });
    const names = Array.from(
      { length: 12 },
      (_, i) => [String.fromCharCode(97 + i), { minimum: i }] as const,
    );
    const started = performance.now();
    compile({ oneOf: Array.from({ length: 50 }, (_, i) => tool(i)) })();
    compile({ enum: Array.from({ length: 5000 }, (_, i) => `value ${i}`) })();
    compile({ type: "array", items: { type: "integer" }, minItems: 100_000, maxItems: 1_000_000 })();
    expect(compile({ patternProperties: Object.fromEntries(names) })).toThrow("patternProperties");
    expect(compile({ enum: Array.from({ length: 100_000 }, (_, i) => `value ${i}`) })).toThrow(
      "65536 states",
    );
    expect(performance.now() - started).toBeLessThan(10_000); // five compilations on a busy machine
  });

  test("no nonsense makes it crash", () => {
    const random = new Random(9);
    const pick = <T>(items: readonly T[]): T => items[random.integer(items.length)]!;
    const keys = [
      "type",
      "properties",
      "items",
      "anyOf",
      "$ref",
      "enum",
      "pattern",
      "minLength",
      "required",
      "$defs",
      "x",
      "not",
      "if",
      "$id",
    ];
    const nonsense = (depth: number): unknown =>
      depth === 0
        ? pick<unknown>(["string", "#", "#/$defs/x", -1, 2 ** 53, null, true, "[", "object", "\ud800", 1e308])
        : pick<() => unknown>([
            () => nonsense(0),
            () => [nonsense(depth - 1), nonsense(depth - 1)],
            () => Object.fromEntries([pick(keys), pick(keys)].map((key) => [key, nonsense(depth - 1)])),
          ])();
    for (let i = 0; i < 2000; i++) {
      const schema = nonsense(4);
      try {
        compileConstraint({ schema }, vocabulary);
      } catch (error) {
        expect(error, JSON.stringify(schema)).toBeInstanceOf(ConfigError);
      }
    }
  });
});
