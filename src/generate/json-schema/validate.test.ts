import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { validateJson } from "./validate.ts";

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

function failures(folder: string, formats: boolean): { total: number; failed: string[] } {
  const given = documents();
  const failed: string[] = [];
  let total = 0;
  for (const file of readdirSync(`${SUITE}draft2020-12/${folder}`).filter((name) => name.endsWith(".json"))) {
    for (const group of readJson(`${SUITE}draft2020-12/${folder}/${file}`) as Group[]) {
      for (const { description, data, valid } of group.tests) {
        total++;
        let found: boolean | string;
        try {
          found = validateJson(group.schema, data, { formats, documents: given }).length === 0;
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

  test("most of what is optional", () => {
    const { total, failed } = failures("optional", false);
    console.info(`optional: ${total - failed.length} of ${total}\n${failed.join("\n")}`);
    expect(failed.length).toBeLessThan(30);
  });

  test("formats", () => {
    const { total, failed } = failures("optional/format", true);
    console.info(`formats: ${total - failed.length} of ${total}\n${failed.join("\n")}`);
  });
});
