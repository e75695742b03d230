import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigError, DataError, FormatError } from "../core/errors.ts";
import { openCorpus } from "./corpus.ts";
import { type PrepareOptions, prepareCorpus } from "./prepare.ts";
import { parseSource } from "./sources.ts";
import type { TokenDataset } from "./token-dataset.ts";
import type { CorpusTokenizer } from "./tokenise.ts";

const END = 256;
const bytesTokenizer: CorpusTokenizer = {
  vocabularySize: 257,
  endOfTextId: END,
  encode: (text) => Uint32Array.from(Buffer.from(text)),
  hash: () => "bytes",
};

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "plinth-prepare-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function options(source: string, changes: Partial<PrepareOptions> = {}): PrepareOptions {
  return {
    sources: [parseSource(join(folder, source))],
    tokenizer: bytesTokenizer,
    outDir: join(folder, "out"),
    validationFraction: 0.1,
    splitBy: "tail",
    seed: 1,
    ...changes,
  };
}

/** The documents of a dataset, split at the separator. */
function documents(dataset: TokenDataset): string[] {
  const ids = new Int32Array(dataset.numTokens);
  dataset.read(0, ids.length, ids);
  const texts: number[][] = [[]];
  for (const id of ids) {
    if (id === END) texts.push([]);
    else texts.at(-1)!.push(id);
  }
  return texts.map((bytes) => Buffer.from(bytes).toString());
}

function splits(outDir: string) {
  const corpus = openCorpus(outDir, "bytes", { verifyHashes: true });
  const read = { train: corpus.train, validation: corpus.validation };
  const texts = {
    train: read.train.map(({ dataset }) => documents(dataset)),
    validation: read.validation.map(({ dataset }) => documents(dataset)),
  };
  corpus.close();
  return texts;
}

describe("split by tail", () => {
  test("cuts at floor(0.9 · characters) across the documents of a source", async () => {
    put("d/1.txt", "0123456789"); // 25 characters: 22 train
    put("d/2.txt", "abcdefghij");
    put("d/3.txt", "éèà😀");
    const manifest = await prepareCorpus(options("d"));
    const out = splits(join(folder, "out"));
    expect(out.train).toEqual([["0123456789", "abcdefghij", "éè"]]);
    expect(out.validation).toEqual([["à😀"]]);
    expect(manifest.sources[0]).toMatchObject({
      files: 3,
      train: { documents: 3, characters: 22, bytes: 24, tokens: 26 },
      validation: { documents: 1, characters: 3, bytes: 6, tokens: 6 },
    });
  });

  test("never cuts a character in two", async () => {
    put("a.txt", "abcdefg😀"); // floor(0.9 · 9) = 8 is inside the last one
    await prepareCorpus(options("a.txt"));
    expect(splits(join(folder, "out"))).toEqual({ train: [["abcdefg"]], validation: [["😀"]] });
  });

  const shakespeare = new URL("../../../shared/data/tinyshakespeare/input.txt", import.meta.url).pathname;

  test.skipIf(!existsSync(shakespeare))(
    "tinyshakespeare: 1,003,854 and 111,540 characters (skipped if ../shared/data is absent)",
    async () => {
      const sources = [{ paths: [shakespeare], weight: 1, textField: "text" }];
      const manifest = await prepareCorpus(options("", { sources, tokensPerShard: 300_000 }));
      const { train, validation } = manifest.sources[0]!;
      expect([train.tokens, train.characters, train.bytes]).toEqual([1_003_854, 1_003_854, 1_003_854]);
      expect([validation.tokens, validation.documents]).toEqual([111_540, 1]);
      expect(train.shards.map(({ tokens }) => tokens)).toEqual([300_000, 300_000, 300_000, 103_854]);
      const out = splits(join(folder, "out"));
      expect(out.train[0]![0]! + out.validation[0]![0]!).toBe(readFileSync(shakespeare, "utf8"));
    },
  );
});

describe("split by document", () => {
  const rows = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `${JSON.stringify({ text: `row ${from + i}` })}\n`).join("");

  test("takes about the fraction, and adding documents moves none", async () => {
    put("rows.jsonl", rows(0, 2000));
    const split = options("rows.jsonl", { splitBy: "document" });
    await prepareCorpus(split);
    const before = splits(split.outDir);
    expect(before.train[0]!.length + before.validation[0]!.length).toBe(2000);
    expect(Math.abs(before.validation[0]!.length - 200)).toBeLessThan(50);

    put("rows.jsonl", rows(500, 1000) + rows(0, 500) + rows(1000, 3000));
    await prepareCorpus(split);
    const after = splits(split.outDir);
    expect(after.validation[0]).toEqual(expect.arrayContaining(before.validation[0]!));
    expect(after.train[0]).toEqual(expect.arrayContaining(before.train[0]!));
  });

  test("another seed gives another split", async () => {
    put("rows.jsonl", rows(0, 500));
    const split = options("rows.jsonl", { splitBy: "document" });
    await prepareCorpus(split);
    const first = splits(split.outDir).validation;
    await prepareCorpus({ ...split, seed: 2 });
    expect(splits(split.outDir).validation).not.toEqual(first);
  });
});

test("duplicates are dropped across sources and counted, as are empty and binary files", async () => {
  put("a/1.txt", "same");
  put("a/2.txt", "same");
  put("a/3.txt", "");
  put("a/4.bin", Uint8Array.of(0, 1));
  put("a/5.txt", "first source");
  put("b.jsonl", '{"text":"same"}\n{"text":"second source"}\n{"text":""}\n');
  const skipped: string[] = [];
  const sources = [parseSource(join(folder, "a@2")), parseSource(join(folder, "b.jsonl"))];
  const prepare = options("", { sources, validationFraction: 0, onSkip: (path) => skipped.push(path) });
  const manifest = await prepareCorpus(prepare);
  expect(splits(prepare.outDir)).toEqual({
    train: [["same", "first source"], ["second source"]],
    validation: [],
  });
  expect(manifest.sources).toMatchObject([
    { weight: 2, files: 5, skippedFiles: 1, duplicates: 1, emptyDocuments: 1 },
    { weight: 1, files: 1, skippedFiles: 0, duplicates: 1, emptyDocuments: 1 },
  ]);
  expect(skipped).toEqual([join(folder, "a/4.bin")]);

  await prepareCorpus({ ...prepare, deduplicate: false });
  expect(splits(prepare.outDir).train).toEqual([
    ["same", "same", "first source"],
    ["same", "second source"],
  ]);
});

describe("prepared again", () => {
  test("with the same specification it is kept, with another it is replaced", async () => {
    put("d/a.txt", "some text here");
    const spec = options("d", { outDir: join(folder, "d/out") }); // the output lies inside the source
    expect((await prepareCorpus(spec)).reused).toBe(false);
    let encoded = 0;
    const tokenizer = {
      ...bytesTokenizer,
      encode: (text: string) => Uint32Array.from({ length: ++encoded && text.length }),
    };
    expect((await prepareCorpus({ ...spec, tokenizer })).reused).toBe(true);
    expect(encoded).toBe(0);

    expect((await prepareCorpus({ ...spec, seed: 2 })).reused).toBe(false);
    put("d/a.txt", "some longer text here");
    expect((await prepareCorpus({ ...spec, seed: 2 })).reused).toBe(false);
    expect((await prepareCorpus({ ...spec, seed: 2 })).reused).toBe(true);
    expect(readdirSync(join(folder, "d")).sort()).toEqual(["a.txt", "out"]);
  });

  test("a damaged corpus is made again", async () => {
    put("a.txt", "some text here");
    await prepareCorpus(options("a.txt"));
    truncateSync(join(folder, "out/source-0-train-00000.bin"), 3);
    expect((await prepareCorpus(options("a.txt"))).reused).toBe(false);
    expect((await prepareCorpus(options("a.txt"))).reused).toBe(true);
  });

  test("a folder with other things in it is not touched", async () => {
    put("a.txt", "text");
    put("out/thesis.tex", "precious");
    await expect(prepareCorpus(options("a.txt"))).rejects.toThrow(ConfigError);
    expect(readFileSync(join(folder, "out/thesis.tex"), "utf8")).toBe("precious");
  });
});

describe("opening", () => {
  beforeEach(async () => {
    put("a.txt", "some text here");
    await prepareCorpus(options("a.txt"));
  });

  const shard = () => join(folder, "out/source-0-train-00000.bin");

  test("another tokenizer is refused", () => {
    expect(() => openCorpus(join(folder, "out"), "other")).toThrow(ConfigError);
  });

  test("a truncated shard is refused", () => {
    truncateSync(shard(), 5);
    expect(() => openCorpus(join(folder, "out"), "bytes")).toThrow(FormatError);
  });

  test("a flipped bit is found when hashes are verified", () => {
    const bytes = readFileSync(shard());
    bytes[4]! ^= 1;
    writeFileSync(shard(), bytes);
    expect(() => openCorpus(join(folder, "out"), "bytes", { verifyHashes: true })).toThrow(/SHA-256/);
  });

  test.each(["{", '{"formatVersion":99,"sources":[]}', "null"])("a manifest of %s is refused", (json) => {
    put("out/corpus.json", json);
    expect(() => openCorpus(join(folder, "out"), "bytes")).toThrow(FormatError);
  });

  test("a missing corpus is refused", () => {
    expect(() => openCorpus(join(folder, "nowhere"), "bytes")).toThrow(FormatError);
  });
});

describe("bad input leaves nothing behind", () => {
  afterEach(() => {
    expect(readdirSync(folder).filter((name) => name.includes("out"))).toEqual([]);
  });

  test.each<[string, Partial<PrepareOptions>, string]>([
    [
      "empty.txt",
      {},
      "empty.txt: expected text to train on, got none in 1 files (0 binary, 1 documents empty",
    ],
    ["folder", {}, "folder: expected text to train on, got none in 1 files (1 binary"],
    ["folder/x.bin", {}, "x.bin: expected UTF-8 text, got a binary file (NUL at byte 1)"],
    ["missing.txt", {}, "missing.txt: expected a file, folder or glob, got no such file or folder"],
    [
      "one.txt",
      { splitBy: "document", validationFraction: 1e-9 },
      "validation split: expected a share of 1e-9",
    ],
    ["one.txt", { validationFraction: 1 }, "validationFraction: expected a number in [0, 1), got 1"],
    ["one.txt", { sources: [] }, "data: expected at least one source"],
    ["one.txt", { seed: 0.5 }, "seed: expected an integer, got 0.5"],
    ["one.txt", { tokensPerShard: 0 }, "tokensPerShard: expected an integer ≥ 1, got 0"],
    ["one.txt", { tokenizer: { ...bytesTokenizer, vocabularySize: 50 } }, "tokenizer: expected ids below 50"],
  ])("%s %j", async (source, changes, message) => {
    put("empty.txt", "");
    put("folder/x.bin", Uint8Array.of(65, 0));
    put("one.txt", "one document");
    await expect(prepareCorpus(options(source, changes))).rejects.toThrow(message);
  });

  test("a text the tokenizer refuses is named", async () => {
    put("a.txt", "x");
    const encode = () => {
      throw new DataError({ where: "character", expected: "one of a, b", got: '"x"' });
    };
    const failing = prepareCorpus(options("a.txt", { tokenizer: { ...bytesTokenizer, encode } }));
    await expect(failing).rejects.toThrow(/a\.txt: character: expected one of a, b, got "x"/);
  });

  test("an abort stops it", async () => {
    put("rows.jsonl", '{"text":"abc"}\n'.repeat(3));
    const controller = new AbortController();
    const encode = (text: string) => {
      const end = performance.now() + 40;
      while (performance.now() < end);
      controller.abort(new Error("stopped by the user"));
      return bytesTokenizer.encode(text);
    };
    const tokenizer = { ...bytesTokenizer, encode };
    const stopped = prepareCorpus(
      options("rows.jsonl", { tokenizer, deduplicate: false, signal: controller.signal }),
    );
    await expect(stopped).rejects.toThrow("stopped by the user");
  });
});

test("the event loop stays live and progress is reported", async () => {
  put("rows.jsonl", Array.from({ length: 30_000 }, (_, i) => `{"text":"document ${i}"}\n`).join(""));
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const tokens: number[] = [];
  const onProgress = (progress: { tokens: number }) => tokens.push(progress.tokens);
  const manifest = await prepareCorpus(options("rows.jsonl", { validationFraction: 0, onProgress }));
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(0);
  expect(tokens.at(-1)! + 29_999).toBe(manifest.sources[0]!.train.tokens); // separators are not progress
});
