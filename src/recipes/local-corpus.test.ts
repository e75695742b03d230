import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findLocalCorpus, workOf } from "./local-corpus.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-local-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const LINE = "A line that somebody may well have written by hand.\n";

function write(path: string, content: string): string {
  const full = join(root, path);
  mkdirSync(join(full, ".."), { recursive: true });
  writeFileSync(full, content);
  return full;
}

test("documentation and source from every node_modules above, without generated, tiny, huge or licence files", () => {
  const guide = write("node_modules/a/guide.md", LINE.repeat(40));
  const source = write("inner/node_modules/@b/c/lib/index.js", LINE.repeat(40));
  const left = [
    write("node_modules/a/bundle.js", `${"x".repeat(5000)}\n`),
    write("node_modules/a/all.min.js", LINE.repeat(40)),
    write("node_modules/a/LICENSE.md", LINE.repeat(40)),
    write("node_modules/a/short.md", LINE),
    write("node_modules/a/huge.ts", LINE.repeat(5000)),
    write("node_modules/a/binary.txt", `\0${LINE.repeat(40)}`),
    write("node_modules/a/latin1.txt", `${LINE.repeat(40)}\ufffd`),
    write("elsewhere/notes.md", LINE.repeat(40)),
  ];
  // Enough beside them, should this machine's own npm have too little.
  for (let i = 0; i < 12; i++) {
    write(`node_modules/d/text-${i}.md`, LINE.repeat(400));
    write(`node_modules/d/code-${i}.ts`, LINE.repeat(400));
  }
  const { sources, found, folders } = findLocalCorpus(join(root, "inner"));
  expect(folders.slice(0, 2)).toEqual([join(root, "inner/node_modules"), join(root, "node_modules")]);
  expect(sources.map(({ weight }) => weight)).toEqual([1, 1]);
  expect(sources[0]!.paths).toContain(guide);
  expect(sources[1]!.paths).toContain(source);
  const all = sources.flatMap(({ paths }) => paths);
  expect(left.filter((path) => all.includes(path))).toEqual([]);
  expect(found.map(({ files }) => files)).toEqual(sources.map(({ paths }) => paths.length));
  expect(findLocalCorpus(join(root, "inner"))).toEqual({ sources, found, folders });
});

test("sources, what was compiled from them and other versions are one work", () => {
  const one = workOf("/a/node_modules/ajv/lib/vocabularies/core/ref.ts");
  for (const other of [
    "/a/node_modules/ajv/dist/vocabularies/core/ref.js",
    "/a/node_modules/ajv/dist/vocabularies/core/ref.d.ts",
    "/b/node_modules/eslint/node_modules/ajv/dist/vocabularies/core/ref.cjs",
    "C:\\a\\node_modules\\ajv\\lib\\vocabularies\\core\\ref.ts",
  ]) {
    expect(workOf(other)).toBe(one);
  }
  const others = [
    "/a/node_modules/ajv/lib/vocabularies/applicator/ref.ts",
    "/a/node_modules/ajv/lib/vocabularies/core/id.ts",
    "/a/node_modules/avj/lib/vocabularies/core/ref.ts",
    "/a/node_modules/@x/ajv/lib/vocabularies/core/ref.ts",
    "/a/node_modules/ajv/README.md",
  ];
  expect(new Set([one, ...others].map(workOf)).size).toBe(6);
  expect(workOf("/a/node_modules/@x/y/src/z.ts")).toBe(workOf("/a/node_modules/@x/y/dist/z.mjs"));
});
