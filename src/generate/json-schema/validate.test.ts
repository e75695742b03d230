import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../core/errors.ts";
import { isMultipleOf } from "./decimal.ts";
import { JsonValidator, validateJson } from "./validate.ts";

const SUITE = new URL("../../../../shared/data/json-schema-suite/", import.meta.url).pathname;
const HAS_SUITE = existsSync(SUITE);
const AJV = createRequire(import.meta.url)
  .resolve("ajv/package.json")
  .replace("package.json", "dist/refs/");

interface Group {
  readonly description: string;
  readonly schema: unknown;
  readonly tests: readonly { description: string; data: unknown; valid: boolean }[];
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** What the suite's references lead to: its own remotes, and the schema of schemas. */
function documents(): Record<string, unknown> {
  const remotes = readdirSync(`${SUITE}remotes`, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".json"))
    .map((name) => [`http://localhost:1234/${name}`, readJson(`${SUITE}remotes/${name}`)]);
  const meta = [
    "schema",
    ...["core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "content"].map(
      (name) => `meta/${name}`,
    ),
  ];
  const ownDraft = meta.map((name) => [
    `https://json-schema.org/draft/2020-12/${name}`,
    readJson(`${AJV}json-schema-2020-12/${name}.json`),
  ]);
  return Object.fromEntries([...remotes, ...ownDraft]) as Record<string, unknown>;
}

/** Reading all remotes for every schema would take a while. */
function refersOutside(schema: unknown): boolean {
  return /"\$(r|dynamicR)ef":"[^#]/.test(JSON.stringify(schema));
}

function failures(folder: string, formats: boolean): { total: number; failed: string[] } {
  const given = documents();
  const failed: string[] = [];
  let total = 0;
  for (const file of readdirSync(`${SUITE}draft2020-12/${folder}`).filter((name) => name.endsWith(".json"))) {
    for (const { schema, ...group } of readJson(`${SUITE}draft2020-12/${folder}/${file}`) as Group[]) {
      let validator: JsonValidator | undefined;
      for (const { description, data, valid } of group.tests) {
        total++;
        let found: boolean | string;
        try {
          validator ??= new JsonValidator(schema, { formats, documents: refersOutside(schema) ? given : {} });
          found = validator.validate(data).length === 0;
        } catch (error) {
          found = String(error);
        }
        if (found !== valid) failed.push(`${file}: ${group.description}: ${description}: ${found}`);
      }
    }
  }
  return { total, failed };
}

describe.skipIf(!HAS_SUITE)("the JSON Schema test suite (skipped without ../shared/data)", () => {
  test("all of what is required", () => {
    const { total, failed } = failures("", false);
    expect(failed).toEqual([]);
    expect(total).toBeGreaterThan(800);
  });

  test("what is optional, other than drafts of old and schemas that switch formats on", () => {
    const { total, failed } = failures("optional", false);
    const expected = /^(cross-draft|dependencies-compatibility|format-assertion)\.json/;
    expect(failed.filter((line) => !expected.test(line))).toEqual([]);
    expect([failed.length, total]).toEqual([17, 157]);
  });

  test("formats: nothing passes that must not; some that may does not", () => {
    const { failed } = failures("optional/format", true);
    const known =
      /^(date|time|date-time|duration|email|hostname|ipv4|ipv6|uuid|uri|json-pointer|relative-json-pointer)\.json/;
    expect(failed.filter((line) => known.test(line) && line.endsWith("true"))).toEqual([]);
    expect(failed.filter((line) => known.test(line)).length).toBeLessThan(45);
  });
});

describe("validateJson", () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string", maxLength: 3 }, tags: { type: "array", items: { enum: ["a"] } } },
    required: ["id"],
  };

  test("says what is wrong, where, and by which keyword", () => {
    expect(validateJson(schema, { name: "long", tags: ["a", "b"] })).toEqual([
      { path: "", keyword: "schema:/#/required", message: 'expected the property "id"' },
      {
        path: "/name",
        keyword: "schema:/#/properties/name/maxLength",
        message: "expected at most 3 characters, got 4",
      },
      {
        path: "/tags/1",
        keyword: "schema:/#/properties/tags/items/enum",
        message: 'expected one of ["a"], got "b"',
      },
    ]);
    expect(validateJson(schema, { id: 1, name: "😀😀😀" })).toEqual([]);
  });

  test("formats only where they are asked for", () => {
    const date = { format: "date" };
    expect(validateJson(date, "2023-02-29")).toEqual([]);
    expect(validateJson(date, "2023-02-29", { formats: true })).toHaveLength(1);
    expect(validateJson(date, "2024-02-29", { formats: true })).toEqual([]);
  });

  test.each<[unknown, string]>([
    [{ $ref: "#" }, "expected a schema that comes to an end, got one that leads back to itself"],
    [{ $ref: "#/x" }, "expected a schema: an object, true or false, got nothing"],
    [{ pattern: "(" }, "schema:/#/pattern"],
    [{ minimum: "1" }, 'schema:/#/minimum: expected a number, got "1".'],
    [null, "got null"],
  ])("refuses the schema %j", (wrong, message) => {
    expect(() => validateJson(wrong, "x")).toThrow(ConfigError);
    expect(() => validateJson(wrong, "x")).toThrow(message);
  });

  test("a pattern that takes JavaScript exponential time takes none here", () => {
    const started = performance.now();
    expect(validateJson({ pattern: "^(a+)+$" }, `${"a".repeat(40)}!`)).toHaveLength(1);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test("multiples are those of decimals", () => {
    expect([isMultipleOf(0.3, 0.1), isMultipleOf(1e308, 1e-8), isMultipleOf(0.00751, 0.0001)]).toEqual([
      true,
      true,
      false,
    ]);
  });
});
