import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { BYTE_ORDER, BYTE_TO_CHAR } from "./byte-alphabet.ts";
import { parseSentencePiece } from "./sentencepiece.ts";
import { parseTiktoken, TIKTOKEN_ENCODINGS } from "./tiktoken.ts";
import { loadTokenizer, parseTokenizer, type Tokenizer } from "./tokenizer.ts";
import { bpeTokenizerJson } from "./vocabulary-files.ts";

// Ids, offsets and texts that the reference libraries gave for published vocabularies (../shared/data/tok-*).

const SHARED = new URL("../../../shared/data/", import.meta.url).pathname;

interface Vector {
  readonly text: string;
  readonly text_pair?: string;
  readonly ids: number[];
  /** In code points. */
  readonly offsets?: [number, number][];
  readonly decoded?: string;
}

/** Runs tests with a vocabulary, or says that it is missing. */
function withData(name: string, tests: (directory: string) => void): void {
  const directory = join(SHARED, name);
  const isThere = existsSync(directory);
  describe.skipIf(!isThere)(`${name}${isThere ? "" : ` (skipped: no ../shared/data/${name})`}`, () => {
    tests(isThere ? directory : "");
  });
}

function read(directory: string, name: string): Buffer {
  const bytes = readFileSync(join(directory, name));
  return name.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

function readLines(directory: string, name: string): Vector[] {
  const lines = read(directory, name).toString().split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
}

function readVectors(directory: string, name: string): Vector[] {
  return Object.values(JSON.parse(read(directory, name).toString()));
}

/** String index of every code point, and of the end. */
function codePointBorders(text: string): number[] {
  const borders = [0];
  for (const char of text) borders.push(borders.at(-1)! + char.length);
  return borders;
}

function expectInput(tokenizer: Tokenizer, { text, text_pair, ids, offsets }: Vector): void {
  const input = tokenizer.encodeInput(text, text_pair, { marked: true });
  expect([...input.ids], text).toEqual(ids);
  if (!offsets) return;
  const borders = codePointBorders(text);
  expect(input.offsets, text).toEqual(offsets.map(([start, end]) => [borders[start]!, borders[end]!]));
}

withData("tok-bert", (directory) => {
  const tokenizer = directory === "" ? undefined : loadTokenizer(directory);

  it("gives ids, offsets and texts of 379 vectors", () => {
    const vectors = readLines(directory, "vectors/golden-hf-bge-small-en.jsonl.gz");
    expect(vectors).toHaveLength(379);
    for (const vector of vectors) {
      expectInput(tokenizer!, vector);
      expect(tokenizer!.decode(vector.ids, { skipSpecial: false })).toBe(vector.decoded);
    }
  });

  it("gives the pieces of 7,077 questions", () => {
    const questions: { original: string; wordpiece: string[] }[] = JSON.parse(
      read(directory, "vectors/squad-questions.json.gz").toString(),
    );
    const pieces = (text: string) => Array.from(tokenizer!.encode(text), (id) => tokenizer!.tokenText(id));
    for (const { original, wordpiece } of questions) expect(pieces(original)).toEqual(wordpiece);
    expect(questions.length).toBeGreaterThan(7000);
  });

  it.each([
    "vectors/transformersjs-Xenova__bert-base-uncased.json",
    "vectors/transformersjs-Xenova__distilbert-base-uncased-finetuned-sst-2-english.json",
  ])("gives %s", (name) => {
    // Their texts have been cleaned up as a whole, which is not the decoder's work.
    for (const vector of readVectors(directory, name)) expectInput(tokenizer!, vector);
  });

  it("knows its special tokens", () => {
    expect(tokenizer!.specials).toEqual({ pad: 0, unk: 100, cls: 101, sep: 102, mask: 103 });
  });
});

withData("tok-gpt2", (directory) => {
  it("gives ids and offsets of 379 vectors", () => {
    const tokenizer = loadTokenizer(directory);
    const vectors = readLines(directory, "vectors/golden-hf-tokenizers.jsonl.gz");
    for (const vector of vectors) expectInput(tokenizer, vector);
    expect(vectors).toHaveLength(379);
  });
});

withData("tok-tiny", (directory) => {
  it("gives the ids of 379 vectors, and offsets that are right", () => {
    // The library counts only bytes that have tokens, so after one that has none (all spaces, here) its offsets are off.
    const tokenizer = loadTokenizer(directory);
    for (const { text, ids } of readLines(directory, "vectors/golden-hf-tokenizers.jsonl.gz")) {
      const input = tokenizer.encodeInput(text);
      expect([...input.ids]).toEqual(ids);
      for (const [i, [start, end]] of input.offsets.entries()) {
        const token = tokenizer.decode([ids[i]!]);
        if (!token.includes("\ufffd")) expect(text.slice(start, end)).toBe(token);
      }
    }
  });
});

withData("tok-mistral", (directory) => {
  it.each(["v1", "v3"])("gives ids and texts of 379 vectors, %s", (version) => {
    const name = version === "v1" ? "tokenizer.model.v1" : "mistral_instruct_tokenizer_240323.model.v3";
    const tokenizer = parseSentencePiece(read(directory, name), name);
    const vectors = readLines(directory, `vectors/golden-sentencepiece-${version}.jsonl.gz`);
    expectSentencePiece(tokenizer, vectors);
    expect(vectors).toHaveLength(379);
  });
});

withData("tok-sentencepiece", (directory) => {
  it.each(["unigram_en", "bpe_en"])("gives ids and texts of 379 vectors, %s", (name) => {
    const tokenizer = parseSentencePiece(read(directory, `${name}.model`), name);
    const vectors = readLines(directory, `vectors/golden-${name}.jsonl.gz`);
    expectSentencePiece(tokenizer, vectors);
    expect(vectors).toHaveLength(379);
  });
});

withData("tok-t5", (directory) => {
  it("gives ids and texts of 379 vectors from spiece.model", () => {
    const tokenizer = parseSentencePiece(read(directory, "spiece.model"), "spiece.model");
    expectSentencePiece(tokenizer, readLines(directory, "vectors/golden-sentencepiece.jsonl.gz"));
  });

  it("gives ids, offsets and texts of 379 vectors from tokenizer.json", () => {
    const tokenizer = parseTokenizer(JSON.parse(read(directory, "tokenizer.json.gz").toString()), "t5");
    for (const vector of readLines(directory, "vectors/golden-hf-tokenizers.jsonl.gz")) {
      expectInput(tokenizer, vector);
      expect(tokenizer.decode(vector.ids, { skipSpecial: false })).toBe(vector.decoded);
    }
    // The texts of these have been cleaned up as a whole.
    const others = readVectors(directory, "vectors/transformersjs-Xenova__t5-small.json");
    for (const vector of others) expectInput(tokenizer, vector);
  });
});

withData("tok-tiktoken", (directory) => {
  it.each(["cl100k_base", "r50k_base"])("gives ids and texts of 379 vectors, %s", (name) => {
    const { pat_str: pattern, special_tokens: specialTokens } = JSON.parse(
      read(directory, "encodings.json").toString(),
    )[name];
    expect(TIKTOKEN_ENCODINGS[name]).toEqual({ pattern, specialTokens });
    const text = read(directory, `${name}.tiktoken.gz`).toString();
    const tokenizer = parseTiktoken(text, { pattern, specialTokens }, name);
    const vectors = readLines(directory, `vectors/golden-tiktoken-${name}.jsonl.gz`);
    expect(vectors).toHaveLength(379);
    expectPlain(tokenizer, vectors);
    // The same through the tokenizer.json that is made of it.
    expectPlain(parseTokenizer(tokenizer.toJSON(), name), vectors.slice(0, 100));
  });
});

withData("tok-whisper", (directory) => {
  it("gives ids and texts of 379 vectors", () => {
    const text = read(directory, "multilingual.tiktoken.gz").toString();
    const tokenizer = parseTiktoken(text, TIKTOKEN_ENCODINGS.multilingual!, "multilingual");
    expectPlain(tokenizer, readLines(directory, "vectors/golden-tiktoken-multilingual.jsonl.gz"));
  });
});

withData("tok-tiktoken", (directory) => {
  it("gives other libraries' vectors", () => {
    const load = (name: string) =>
      parseTiktoken(read(directory, `${name}.tiktoken.gz`).toString(), TIKTOKEN_ENCODINGS[name]!, name);
    const cl100k = load("cl100k_base");
    const vectors = readVectors(directory, "vectors/transformersjs-Xenova__gpt-4.json");
    expectPlain(cl100k, vectors);
    let count = vectors.length;
    for (const [name, tokenizer] of [
      ["cl100k_base", cl100k] as const,
      ["r50k_base", load("r50k_base")] as const,
    ]) {
      const rows = read(directory, `vectors/jtokkit-${name}.csv`).toString().matchAll(CSV_ROW);
      for (const [, quoted, plain, ids] of rows) {
        if (ids === undefined) continue;
        const text = quoted === undefined ? plain! : quoted.replaceAll('""', '"');
        expect([...tokenizer.encode(text)], text).toEqual(JSON.parse(ids));
        count++;
      }
    }
    expect(count).toBeGreaterThan(100);
  });
});

/** A text, perhaps quoted, and its ids. */
const CSV_ROW = /^(?:"((?:[^"]|"")*)"|([^",]*)),"?(\[[\d, ]*\])"?,/gm;

withData("tok-whisper", (directory) => {
  it("gives the ids of whisper-tiny.en, which has GPT-2's ranks", () => {
    const ranks = read(directory, "../tok-tiktoken/r50k_base.tiktoken.gz").toString();
    const specialTokens = {
      "<|endoftext|>": 50256,
      "<|startoftranscript|>": 50257,
      "<|notimestamps|>": 50362,
    };
    const tokenizer = parseTiktoken(ranks, { ...TIKTOKEN_ENCODINGS.r50k_base!, specialTokens }, "tiny.en");
    const vectors = readVectors(directory, "vectors/transformersjs-onnx-community__whisper-tiny.en.json");
    for (const { text, ids, decoded } of vectors) {
      const marked = `<|startoftranscript|><|notimestamps|>${text}<|endoftext|>`;
      expect([...tokenizer.encodeMarked(marked)]).toEqual(ids);
      expect(tokenizer.decode(ids, { skipSpecial: false })).toBe(decoded);
    }
    expect(vectors.length).toBeGreaterThan(10);
  });
});

withData("tok-clip", (directory) => {
  it("gives the vectors of transformers.js", () => {
    const lines = read(directory, "bpe_simple_vocab_16e6.txt.gz").toString().split("\n");
    const merges = lines.slice(1, 49152 - 256 - 2 + 1);
    const bytes = Array.from(BYTE_ORDER, (byte) => BYTE_TO_CHAR[byte]!);
    const joined = merges.map((merge) => merge.replace(" ", ""));
    const marks = ["<|startoftext|>", "<|endoftext|>"];
    const tokens = [...bytes, ...bytes.map((byte) => `${byte}</w>`), ...joined, ...marks];
    const vocabulary = Object.fromEntries(tokens.map((text, id) => [text, id]));
    const config = { tokenizer_class: "CLIPTokenizer", bos_token: marks[0], eos_token: marks[1] };
    const tokenizer = parseTokenizer(bpeTokenizerJson(vocabulary, merges.join("\n"), config), "clip");
    const vectors = readVectors(directory, "vectors/transformersjs-Xenova__clip-vit-base-patch16.json");
    // Their texts have been cleaned up as a whole.
    for (const { text, ids } of vectors) expect([...tokenizer.encodeInput(text).ids], text).toEqual(ids);
    expect(tokenizer.decode(vectors[0]!.ids)).toBe("you should 've done this");
    expect(vectors).toHaveLength(12);
  });
});

withData("tok-mistral", (directory) => {
  it("gives the tokens of chats that have been rendered, v3", () => {
    const name = "mistral_instruct_tokenizer_240323.model.v3";
    const tokenizer = parseSentencePiece(read(directory, name), name);
    // Marks stand there for spaces, also for the one that SentencePiece puts before each text.
    const text = read(directory, "samples/no_tools/text_v3.txt").toString();
    const { tokens } = JSON.parse(read(directory, "samples/no_tools/tokens_v3.json").toString());
    const rendered = text
      .trimEnd()
      .replaceAll(/([\]>])▁/g, "$1")
      .replaceAll("▁", " ");
    expect([...tokenizer.encodeMarked(rendered)]).toEqual(tokens);
  });
});

/** Ids, text and back, without special tokens. */
function expectPlain(tokenizer: Tokenizer, vectors: readonly Vector[]): void {
  for (const { text, ids, decoded } of vectors) {
    expect([...tokenizer.encode(text)], text).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
  }
}

/** SentencePiece writes the unknown token as " ⁇ ", where ours is ""; then spaces after it may be the first. */
function expectSentencePiece(tokenizer: Tokenizer, vectors: readonly Vector[]): void {
  for (const { text, ids, decoded } of vectors) {
    expect([...tokenizer.encode(text)], text).toEqual(ids);
    if (!ids.includes(tokenizer.specials.unk!)) expect(tokenizer.decode(ids)).toBe(decoded);
    else expect(tokenizer.decode(ids).trimStart()).toBe(decoded!.replaceAll(" ⁇ ", "").trimStart());
  }
}
