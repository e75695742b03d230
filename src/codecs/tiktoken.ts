import { FormatError } from "../core/errors.ts";
import { bytesToAlphabet } from "./byte-alphabet.ts";
import { createPipeline } from "./parse-tokenizer.ts";
import { regexPattern } from "./regex/split-pattern.ts";
import { spellBytes } from "./stages/normalizers.ts";
import { splitText } from "./stages/split-text.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { bpeModelJson, describe, specialToken, type TokenizerJson } from "./tokenizer-json.ts";

/** What a `.tiktoken` file leaves out. */
export interface TiktokenEncoding {
  /** How text is cut before merging, in the syntax of Rust's `fancy-regex`. */
  readonly pattern: string;
  readonly specialTokens: Readonly<Record<string, number>>;
}

const GPT2_SPLIT = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s";
const CL100K_SPLIT =
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s";
const O200K_WORD = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
const O200K_SPLIT = [
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${O200K_WORD}`,
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${O200K_WORD}`,
  "\\p{N}{1,3}",
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
  "\\s*[\\r\\n]+",
  "\\s+(?!\\S)",
  "\\s+",
].join("|");

/** The published encodings, by the name of their file. */
export const TIKTOKEN_ENCODINGS: Readonly<Record<string, TiktokenEncoding>> = {
  r50k_base: { pattern: GPT2_SPLIT, specialTokens: { "<|endoftext|>": 50256 } },
  p50k_base: { pattern: GPT2_SPLIT, specialTokens: { "<|endoftext|>": 50256 } },
  cl100k_base: {
    pattern: CL100K_SPLIT,
    specialTokens: {
      "<|endoftext|>": 100257,
      "<|fim_prefix|>": 100258,
      "<|fim_middle|>": 100259,
      "<|fim_suffix|>": 100260,
      "<|endofprompt|>": 100276,
    },
  },
  o200k_base: { pattern: O200K_SPLIT, specialTokens: { "<|endoftext|>": 199999, "<|endofprompt|>": 200018 } },
  /** Whisper's; its other special tokens depend on the model. */
  multilingual: { pattern: GPT2_SPLIT, specialTokens: { "<|endoftext|>": 50257 } },
};

/** Published tokens have up to 128 bytes. */
const MAX_TOKEN_BYTES = 256;
const LINE = /^([A-Za-z0-9+/]*={0,2}) (\d{1,9})$/;

/**
 * Reads a `.tiktoken` file: byte strings in base64 with their rank, which is also their id. Neighbours whose joined bytes
 * are a token merge, lowest rank first; a piece of text that is a token is that token.
 *
 * @throws {FormatError} on lines that are not so, or a rank given twice.
 */
export function parseTiktoken(text: string, encoding: TiktokenEncoding, where: string): Tokenizer {
  const json = tiktokenJson(readRanks(text, where), encoding);
  const pattern = regexPattern(encoding.pattern, "rust", `${where} pattern`);
  const split = (aligned: Parameters<typeof spellBytes>[0]) =>
    splitText(aligned, pattern, "Isolated").map(spellBytes);
  return createPipeline(json, where, {}, { split });
}

/** Tokens in GPT-2's alphabet, in order of rank. */
function readRanks(text: string, where: string): Map<string, number> {
  const ranks = new Map<string, number>();
  const taken = new Set<number>();
  for (const [i, line] of text.split("\n").entries()) {
    if (line === "" || line === "\r") continue;
    const [, base64, digits] = LINE.exec(line.trimEnd()) ?? [];
    const fail = (expected: string): never => {
      throw new FormatError({ where: `${where} line ${i + 1}`, expected, got: describe(line) });
    };
    if (base64 === undefined) return fail("bytes in base64, a space, and a rank");
    const token = bytesToAlphabet(Buffer.from(base64, "base64"));
    const rank = Number(digits);
    if (token.length > MAX_TOKEN_BYTES) return fail(`a token of at most ${MAX_TOKEN_BYTES} bytes`);
    if (taken.has(rank) || ranks.has(token)) return fail("each token and each rank once");
    taken.add(rank);
    ranks.set(token, rank);
  }
  return new Map([...ranks].sort(([, a], [, b]) => a - b));
}

function tiktokenJson(ranks: ReadonlyMap<string, number>, encoding: TiktokenEncoding): TokenizerJson {
  const merges = [...ranks].flatMap(([token, rank]) => {
    const parts = token.length > 1 ? mergedBelow(token, rank, ranks) : [];
    return parts.length === 2 ? [[parts[0]!, parts[1]!] as const] : [];
  });
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: Object.entries(encoding.specialTokens).map(([content, id]) => specialToken(id, content)),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: { Regex: toOniguruma(encoding.pattern) },
          behavior: "Isolated",
          invert: false,
        },
        byteLevel,
      ],
    },
    post_processor: null,
    decoder: byteLevel,
    model: { ...bpeModelJson([], merges), ignore_merges: true, vocab: Object.fromEntries(ranks) },
  };
}

/** What a token's bytes become by the merges of lower rank: the two parts that its own merge joins. */
function mergedBelow(token: string, limit: number, ranks: ReadonlyMap<string, number>): string[] {
  const parts = [...token];
  const joined = parts.slice(1).map((right, i) => ranks.get(parts[i]! + right) ?? limit);
  while (parts.length > 2) {
    let best = 0;
    for (let i = 1; i < joined.length; i++) if (joined[i]! < joined[best]!) best = i;
    if (joined[best]! >= limit) break;
    parts.splice(best, 2, parts[best]! + parts[best + 1]!);
    joined.splice(best, 1);
    if (best > 0) joined[best - 1] = ranks.get(parts[best - 1]! + parts[best]!) ?? limit;
    if (best < joined.length) joined[best] = ranks.get(parts[best]! + parts[best + 1]!) ?? limit;
  }
  return parts;
}

/**
 * The pattern in the syntax of `tokenizer.json`, where `$` ends a line and `{1,3}+` is no possessive quantifier: at the end of an
 * alternative, where published patterns have it, it makes no difference.
 */
function toOniguruma(pattern: string): string {
  return pattern.replaceAll(/(?<!\\)\$(?=\||$)/g, "\\z").replaceAll(/\}\+(?=\||$)/g, "}");
}
