import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigError, DataError } from "../core/errors.ts";
import { listFiles } from "./list-files.ts";
import { parseSource, readDocuments, type SourceSpec } from "./sources.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "plinth-sources-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function spec(...paths: string[]): SourceSpec {
  return { paths: paths.map((path) => join(folder, path)), weight: 1, textField: "text" };
}

function read(source: SourceSpec): [name: string, text: string][] {
  return [...readDocuments(source)].map(({ source, text }) => [relative(folder, source), text]);
}

describe("the command-line form", () => {
  test.each([
    ["docs", ["docs"], 1],
    ["docs,src@2.5", ["docs", "src"], 2.5],
    ["a/*.{ts,md},b@1e2", ["a/*.{ts,md}", "b"], 100],
    ["node_modules/@scope/pkg", ["node_modules/@scope/pkg"], 1],
    ["pkg@1.2.3", ["pkg@1.2.3"], 1],
    ["odd@2@1", ["odd@2"], 1],
  ])("%s", (text, paths, weight) => {
    expect(parseSource(text)).toEqual({ paths, weight, textField: "text" });
  });

  test("takes the text field", () => {
    expect(parseSource("rows.jsonl", "content").textField).toBe("content");
  });

  test.each([
    ["", "path[,path…][@weight] with no path empty"],
    ["a,,b", "path[,path…][@weight] with no path empty"],
    ["a@0", "a weight above 0, got 0"],
    ["a@-1", "a weight above 0, got -1"],
  ])('"%s" is refused', (text, message) => {
    expect(() => parseSource(text)).toThrow(ConfigError);
    expect(() => parseSource(text)).toThrow(message);
  });
});

describe("files", () => {
  test("a folder is walked in order, without hidden entries and node_modules", () => {
    for (const name of ["b.txt", "a/2.md", "a/1.ts", "B.txt", ".git/x", ".env", "node_modules/p/i.js"]) {
      put(name, name);
    }
    expect(read(spec("."))).toEqual([
      ["B.txt", "B.txt"],
      ["a/1.ts", "a/1.ts"],
      ["a/2.md", "a/2.md"],
      ["b.txt", "b.txt"],
    ]);
    expect(read(spec("node_modules", ".env"))).toEqual([
      ["node_modules/p/i.js", "node_modules/p/i.js"],
      [".env", ".env"],
    ]);
  });

  test("globs are sorted, and a file named twice is read once", () => {
    for (const name of ["x/b.ts", "x/a.ts", "x/c.md", "x/[1].ts"]) put(name, name);
    expect(read(spec("x/*.ts", "x", "x/a.ts")).map(([name]) => name)).toEqual([
      "x/[1].ts",
      "x/a.ts",
      "x/b.ts",
      "x/c.md",
    ]);
    expect(read(spec("x/[1].ts")).map(([name]) => name)).toEqual(["x/[1].ts"]); // exists, so not a glob
  });

  test("sizes and times are reported, and output folders can be excluded", () => {
    const path = put("a.txt", "four");
    put("run/corpus.json", "{}");
    utimesSync(path, 1_000, 2_000);
    const files = listFiles(spec("."), { exclude: [join(folder, "run")] });
    expect(files).toEqual([{ path, sizeBytes: 4, mtimeMs: 2_000_000, named: false }]);
  });

  test("links to files are read, links to folders are not followed, dangling ones are reported", () => {
    put("real/a.txt", "a");
    symlinkSync(join(folder, "real"), join(folder, "loop"));
    symlinkSync(join(folder, "real/a.txt"), join(folder, "z.txt"));
    symlinkSync(join(folder, "gone"), join(folder, "dangling"));
    const skipped: string[] = [];
    const onSkip = (path: string, reason: string) => skipped.push(`${relative(folder, path)}: ${reason}`);
    expect(listFiles(spec("."), { onSkip }).map(({ path }) => relative(folder, path))).toEqual([
      "real/a.txt",
      "z.txt",
    ]);
    expect(skipped).toEqual(["dangling: a dangling link"]);
  });

  test.each([
    ["missing.txt", "no such file or folder"],
    ["*.none", "a glob that matches files, got none"],
    ["empty", "a folder with files to read, got none"],
  ])("%s is refused", (path, message) => {
    mkdirSync(join(folder, "empty"));
    expect(() => read(spec(path))).toThrow(DataError);
    expect(() => read(spec(path))).toThrow(message);
    expect(() => read(spec(path))).toThrow(join(folder, path));
  });

  const isUnix = process.getuid !== undefined;

  test.skipIf(!isUnix).each(["secret.txt", "closed"])(
    "%s without permission is refused (unix only)",
    (name) => {
      put("secret.txt", "s");
      put("closed/a.txt", "a");
      chmodSync(folder, 0o755);
      chmodSync(join(folder, name), 0o000);
      // Root may read anything, so read as nobody for a moment.
      const isRoot = process.geteuid?.() === 0;
      if (isRoot) process.seteuid?.(65_534);
      try {
        expect(() => read(spec(name))).toThrow(
          `${join(folder, name)}: expected a readable path, got permission denied`,
        );
      } finally {
        if (isRoot) process.seteuid?.(0);
        chmodSync(join(folder, name), 0o755);
      }
    },
  );
});

describe("text and binary", () => {
  test("a byte order mark is dropped and line ends stay", () => {
    put("bom.txt", "\ufeffone\r\ntwo\n");
    put("empty.txt", "");
    expect(read(spec("bom.txt", "empty.txt"))).toEqual([
      ["bom.txt", "one\r\ntwo\n"],
      ["empty.txt", ""],
    ]);
  });

  test("a large file becomes several documents, cut at blank lines", () => {
    const paragraph = `${"word ".repeat(1999)}é😀\n\n`;
    const text = paragraph.repeat(900); // 9 million characters
    const documents = read(spec(relative(folder, put("large.txt", text))));
    expect(documents.length).toBe(3);
    expect(documents.map(([, piece]) => piece).join("")).toBe(text);
    for (const [, piece] of documents) expect(piece.endsWith("\n\n")).toBe(true);
  });

  const binaries = [
    ["nul.bin", Uint8Array.of(65, 0, 66), "NUL at byte 1"],
    ["latin1.txt", Uint8Array.of(65, 0xe9, 66), "invalid UTF-8"],
    ["cut.txt", Uint8Array.of(65, 0xc3), "its last character is cut short"],
  ] as const;

  test.each(binaries)("%s is refused when named", (name, bytes, message) => {
    put(name, bytes);
    expect(() => read(spec(name))).toThrow(DataError);
    expect(() => read(spec(name))).toThrow(message);
  });

  test("binary files in a folder are passed over and reported", () => {
    put("a.txt", "a");
    for (const [name, bytes] of binaries) put(name, bytes);
    const skipped: string[] = [];
    const onSkip = (path: string) => skipped.push(relative(folder, path));
    expect([...readDocuments(spec("."), { onSkip })].map(({ text }) => text)).toEqual(["a"]);
    expect(skipped).toEqual(["cut.txt", "latin1.txt", "nul.bin"]);
  });
});

describe("JSON lines", () => {
  test("rows with U+2028, CRLF, blank lines and no final line end", () => {
    put("rows.jsonl", '{"text":"a\u2028b\u2029c","n":1}\r\n\n{"text":"\\u00e9\\n"}\n  \n{"text":"last"}');
    expect(read(spec("rows.jsonl"))).toEqual([
      ["rows.jsonl:1", "a\u2028b\u2029c"],
      ["rows.jsonl:3", "é\n"],
      ["rows.jsonl:5", "last"],
    ]);
  });

  test("rows longer than a read, and another text field", () => {
    const long = "xyz😀".repeat(600_000);
    put("rows.ndjson", `{"body":"${long}"}\n{"body":"short"}\n`);
    const documents = [...readDocuments({ ...spec("rows.ndjson"), textField: "body" })];
    expect(documents.map(({ text }) => text)).toEqual([long, "short"]);
  });

  test.each([
    ['{"text":"ok"}\n{"text":', ":2: expected a JSON object in UTF-8, got "],
    ['{"text":"ok"}\n\n[1,2]\n', ":3: expected a JSON object, got [1,2]"],
    ['{"title":"t","body":"b"}', ':1: expected a field "text", got fields title, body'],
    ["{}", ':1: expected a field "text", got fields none'],
    ['{"text":5}', ':1: expected "text" to be a string, got 5'],
    ['{"text":"ab\\ud83d"}', ':1: expected "text" to be whole characters, got a lone surrogate \\ud83d at 2'],
    [Uint8Array.of(123, 0xff, 125, 10), ":1: expected a JSON object in UTF-8, got "],
  ])("bad row %#", (content, message) => {
    const path = put("rows.jsonl", content);
    expect(() => read(spec("rows.jsonl"))).toThrow(DataError);
    expect(() => read(spec("rows.jsonl"))).toThrow(path + message);
  });
});
