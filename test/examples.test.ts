import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { expectPromisedOutput, promisedOutput } from "./expected-output.ts";
import { importsOf } from "./source-rules.ts";

const FOLDER = join(import.meta.dirname, "..", "examples");
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".ts"));

const runs = mkdtempSync(join(tmpdir(), "plinth-examples-"));
afterAll(() => rmSync(runs, { recursive: true }));

/** Words of the command line, for examples that write where they are told. In order: others use what 04 and 11 saved. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  "04-pretrain-gpt2.ts": [join(runs, "example")],
  "05-generate.ts": [join(runs, "example", "model")],
  "08-many-texts.ts": [join(runs, "example", "model")],
  "09-quantize.ts": [join(runs, "example", "model"), join(runs, "int4")],
  "11-adapt-a-model.ts": [join(runs, "example", "model"), join(runs, "units")],
  "12-switch-adapters.ts": [
    join(runs, "example", "model"),
    join(runs, "units", "adapter"),
    join(runs, "tools"),
  ],
  "13-evaluate-your-task.ts": [join(runs, "example", "model"), join(runs, "units", "adapter"), runs],
};

describe.each(files)("%s", (name) => {
  const path = join(FOLDER, name);
  const source = readFileSync(path, "utf8");

  test("prints what its comments say", async () => {
    const words = process.argv;
    process.argv = [...words.slice(0, 2), ...(ARGUMENTS[name] ?? [])];
    try {
      await expectPromisedOutput(source, () => import(pathToFileURL(path).href));
    } finally {
      process.argv = words;
    }
  });

  test("goes through the package's doors, and begins by saying what it shows", () => {
    const strangers = importsOf(source).filter(({ specifier }) => !/^(plinth(\/|$)|node:)/.test(specifier));
    expect(strangers).toEqual([]);
    expect(source).toMatch(/^\/\/ [A-Z]/);
  });
});

test("the list of examples is what is there", () => {
  const listed = readFileSync(join(FOLDER, "README.md"), "utf8").matchAll(/^\| `(\d.*\.ts)` +\|/gm);
  expect([...listed].map(([, name]) => name)).toEqual(files.sort());
});

test("output that no comment promises is noticed", async () => {
  expect(() => promisedOutput("console.log(1);")).toThrow('no "// =>"');
  const wrong = expectPromisedOutput("console.log(1); // => 2", async () => console.log(1));
  await expect(wrong).rejects.toThrow();
});
