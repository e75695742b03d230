import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { PlinthError } from "../core/errors.ts";
import { ProtobufWriter } from "../engine/protobuf.ts";
import { regexPattern } from "./regex/split-pattern.ts";
import { parseSentencePiece } from "./sentencepiece.ts";
import { parseTiktoken, TIKTOKEN_ENCODINGS } from "./tiktoken.ts";
import { loadTokenizer, parseTokenizer, StreamDecoder, type Tokenizer } from "./tokenizer.ts";
import { bertTokenizerJson } from "./vocabulary-files.ts";

// Files from strangers: whatever is in them, the answer is a tokenizer or an error of ours, soon.

const scratch = mkdtempSync(join(tmpdir(), "plinth-tokenizer-fuzz-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };

/** Small tokenizers that between them have every kind of part. */
const SEEDS: readonly object[] = [
  {
    added_tokens: [{ id: 4, content: "<s>", special: true, lstrip: true, normalized: true }],
    normalizer: {
      type: "Sequence",
      normalizers: [{ type: "NFKC" }, { type: "Lowercase" }, { type: "Strip" }],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: "\\p{L}+|\\s+(?!\\S)|." }, behavior: "Isolated", invert: false },
        { type: "Digits", individual_digits: true },
        BYTE_LEVEL,
      ],
    },
    post_processor: { type: "RobertaProcessing", sep: ["<s>", 4], cls: ["<s>", 4], trim_offsets: true },
    decoder: BYTE_LEVEL,
    model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2, Ġ: 3 }, merges: ["a b"], unk_token: null },
  },
  {
    added_tokens: [{ id: 0, content: "[UNK]", special: true }],
    normalizer: { type: "BertNormalizer", lowercase: true, strip_accents: null },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "[UNK]", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "[UNK]": { id: "[UNK]", ids: [0], tokens: ["[UNK]"] } },
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: { type: "WordPiece", unk_token: "[UNK]", vocab: { "[UNK]": 0, a: 1, "##b": 2, "##a": 3 } },
  },
  {
    added_tokens: [],
    normalizer: {
      type: "Sequence",
      normalizers: [{ type: "Prepend", prepend: "▁" }, { type: "StripAccents" }],
    },
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true },
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
      ],
    },
    model: {
      type: "Unigram",
      unk_id: 0,
      vocab: [
        ["<unk>", 0],
        ["▁", -1],
        ["a", -2],
        ["ab", -2.5],
      ],
    },
  },
];

type Path = readonly (string | number)[];

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, item]) => pathsOf(item, [...path, key]));
  return path.length > 0 ? [path, ...inner] : inner;
}

function withValue(value: unknown, [key, ...rest]: Path, replacement: unknown): unknown {
  if (key === undefined) return replacement;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, unknown>;
  copy[key] = withValue(copy[key], rest, replacement);
  return copy;
}

const REGEX_PIECES = [
  ..."ab.*+?()|[]{}^$\\1,-",
  "(?:",
  "(?=",
  "(?<!",
  "(?>",
  "\\p{L}",
  "\\s",
  "{2,9}",
  "&&",
  "(?i)",
];
const anyRegex = fc
  .array(fc.constantFrom(...REGEX_PIECES), { maxLength: 14 })
  .map((pieces) => pieces.join(""));
const anyValue = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  anyRegex,
  fc.constantFrom(
    null,
    "",
    -1,
    1e300,
    "ByteLevel",
    "Metaspace",
    "Unigram",
    "BPE",
    "WordLevel",
    "NFD",
    "Split",
  ),
);
const mutated = fc.constantFrom(...SEEDS).chain((seed) =>
  fc
    .array(fc.tuple(fc.constantFrom(...pathsOf(seed)), anyValue), { minLength: 1, maxLength: 3 })
    .map((changes) => {
      let json: unknown = seed;
      for (const [path, value] of changes) {
        try {
          json = withValue(json, path, value);
        } catch {
          // An earlier change took the place away.
        }
      }
      return json;
    }),
);
const TEXTS = ["ab abba 12 é", "a".repeat(500), "  \n▁<s>[UNK] İ🙂"];

/** Uses a tokenizer, if there is one; only our own errors may come out, and within a second. */
function use(make: () => Tokenizer): void {
  const start = performance.now();
  try {
    const tokenizer = make();
    for (const text of TEXTS) {
      const { ids, offsets } = tokenizer.encodeInput(text, "b a", { marked: true });
      for (const [from, to] of offsets) expect(0 <= from && from <= to && to <= text.length).toBe(true);
      const plain = tokenizer.encode(text);
      const stream = new StreamDecoder(tokenizer);
      const streamed = Array.from(plain, (id) => stream.push(id)).join("") + stream.flush();
      expect(streamed).toBe(tokenizer.decode(plain));
      tokenizer.decode(ids, { skipSpecial: false });
    }
  } catch (error) {
    if (!(error instanceof PlinthError)) throw error;
    expect(error.message).not.toContain("\n");
  }
  expect(performance.now() - start).toBeLessThan(5000); // a second, on a machine that does nothing else
}

describe("readers of tokenizers give a tokenizer or an error of ours", () => {
  it("whole: the seeds are tokenizers", () => {
    for (const seed of SEEDS) expect(parseTokenizer(seed, "seed").encode("ab").length).toBeGreaterThan(0);
  });

  it("tokenizer.json with parts replaced", () => {
    fc.assert(
      fc.property(mutated, (json) => use(() => parseTokenizer(json, "fuzz"))),
      { numRuns: 400 },
    );
  });

  it("regular expressions of any pieces", () => {
    const text = "aabba (b) a1,2-b\n".repeat(4);
    fc.assert(
      fc.property(anyRegex, (pattern) => {
        try {
          const found = regexPattern(pattern, "oniguruma", "fuzz").findAll(text);
          for (const [i, at] of found.entries()) expect(at).toBeGreaterThanOrEqual(found[i - 1] ?? 0);
        } catch (error) {
          if (!(error instanceof PlinthError)) throw error;
        }
      }),
      { numRuns: 700 },
    );
  });

  it("SentencePiece models with bytes changed, and cut short", () => {
    const model = sentencePieceModel();
    expect(parseSentencePiece(model, "seed").encode("ab a").length).toBeGreaterThan(0);
    const changes = fc.array(fc.tuple(fc.nat(model.length - 1), fc.nat(255)), { maxLength: 4 });
    fc.assert(
      fc.property(changes, fc.nat(model.length), fc.boolean(), (bytes, length, isCut) => {
        const damaged = model.slice(0, isCut ? length : model.length);
        for (const [at, byte] of bytes) if (at < damaged.length) damaged[at] = byte;
        use(() => parseSentencePiece(damaged, "fuzz"));
      }),
      { numRuns: 400 },
    );
  });

  it("tiktoken files with lines changed", () => {
    const lines = ["YQ== 0", "Yg== 1", "YWI= 2", "IA== 3"];
    const anyLine = fc.oneof(fc.constantFrom(...lines, "", "YQ==", "YQ== 99", "!! 1", "YWJj 4"), fc.string());
    fc.assert(
      fc.property(fc.array(anyLine, { maxLength: 8 }), (all) => {
        use(() => parseTiktoken(all.join("\n"), TIKTOKEN_ENCODINGS.cl100k_base!, "fuzz"));
      }),
      { numRuns: 100 },
    );
  });

  it("vocab.txt of any lines", () => {
    const line = fc.constantFrom("[CLS]", "[SEP]", "[UNK]", "a", "##b", "", "__proto__");
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
        use(() => parseTokenizer(bertTokenizerJson(lines.join("\n"), {}, "fuzz"), "fuzz"));
      }),
      { numRuns: 200 },
    );
  });

  it.each([
    ["tokenizer.model", Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f)],
    ["vocab.txt", "one\ntwo\n"],
    ["other.tiktoken", "YQ== 0\n"],
    ["cl100k_base.tiktoken", "YQ==\n"],
  ])("a directory with a bad %s", (name, content) => {
    const directory = mkdtempSync(join(scratch, "directory-"));
    writeFileSync(join(directory, name), content);
    expect(() => loadTokenizer(directory)).toThrow(PlinthError);
  });
});

/** A small unigram model with bytes. */
function sentencePieceModel(): Uint8Array {
  const writer = new ProtobufWriter();
  const piece = (text: string, score: number, type: number) =>
    writer.message(1, (message) => message.string(1, text).float(2, score).varint(3, BigInt(type)));
  piece("<unk>", 0, 2);
  piece("<s>", 0, 3);
  piece("</s>", 0, 3);
  for (const [i, text] of ["▁", "a", "b", "ab", "▁a", "ba"].entries()) piece(text, -1 - i / 4, 1);
  piece("[X]", 0, 4);
  writer.message(2, (message) => message.varint(3, 1n));
  writer.message(3, (message) => message.string(1, "identity").varint(3, 1n).varint(4, 1n));
  return writer.finish();
}

const t5 = new URL("../../../shared/data/tok-t5/spiece.model", import.meta.url).pathname;
describe.skipIf(!existsSync(t5))(`a published model (skipped without ../shared/data/tok-t5)`, () => {
  it("with bytes of its charsmap and pieces changed", () => {
    const model = readFileSync(t5);
    const changes = fc.array(fc.tuple(fc.nat(model.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 50,
    });
    fc.assert(
      fc.property(changes, (bytes) => {
        const damaged = Uint8Array.from(model);
        for (const [at, byte] of bytes) damaged[at] = byte;
        use(() => parseSentencePiece(damaged, "fuzz"));
      }),
      { numRuns: 4 },
    );
  });
});
