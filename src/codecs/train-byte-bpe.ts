import { ConfigError } from "../core/errors.ts";
import { alphabetToBytes, BYTE_ORDER, BYTE_TO_CHAR } from "./byte-alphabet.ts";
import { createByteBpe } from "./byte-bpe.ts";
import { ByteStringTable } from "./byte-string-table.ts";
import { PairIndex, PairQueue } from "./pair-index.ts";
import type { PipelineTokenizer } from "./pipeline-tokenizer.ts";
import { preTokenEnd } from "./pre-tokenizer.ts";
import { bpeModelJson, END_OF_TEXT, specialToken, type TokenizerJson } from "./tokenizer-json.ts";
import { encodeUtf8 } from "./utf8.ts";

/** A pair seen once teaches nothing: it is one document's accident. */
const MIN_COUNT = 2;

/** What to train. */
export interface TrainByteBpeOptions {
  /** Number of ids: 256 bytes, the merges, the special tokens. */
  readonly vocabularySize: number;
  /** Must include `<|endoftext|>`, which is the default. They get the last ids, in this order. */
  readonly specialTokens?: readonly string[];
}

/**
 * Trains byte-level BPE (Sennrich et al. 2016, arXiv:1508.07909; on bytes: Radford et al. 2019): the most
 * frequent pair of adjacent tokens becomes a token, until the vocabulary is full.
 *
 * Deterministic: of equally frequent pairs the one with the lowest left id, then the lowest right id, comes
 * first. Ids: the bytes in GPT-2's order, merges as they are found, special tokens last (as in GPT-2). Every
 * token is made by one pair only: a pair that would spell an existing token, or a special one, stays apart.
 *
 * @throws {ConfigError} if the vocabulary cannot hold the bytes and special tokens, or is larger than the
 *   text supports (every merge must occur at least twice); says how many ids are reachable.
 * @throws {DataError} if a text is not well-formed Unicode.
 * @example
 * trainByteBpe(["low lower lowest low"], { vocabularySize: 260 }).encode(" lower").length; // => 3
 */
export function trainByteBpe(texts: Iterable<string>, options: TrainByteBpeOptions): PipelineTokenizer {
  const specialTokens = options.specialTokens ?? [END_OF_TEXT];
  checkOptions(options.vocabularySize, specialTokens);
  const { table, counts } = countPreTokens(texts);
  const pairs = indexPairs(table, counts);
  const numMerges = options.vocabularySize - 256 - specialTokens.length;
  const merges = findMerges(pairs, numMerges, specialTokens);
  if (merges.length < numMerges) throw unreachable(options.vocabularySize, merges.length, specialTokens);
  return createByteBpe(byteBpeJson(merges, specialTokens), "trainByteBpe");
}

/** Two tokens, spelled in the byte alphabet. */
type Merge = readonly [left: string, right: string];

function checkOptions(vocabularySize: number, specialTokens: readonly string[]): void {
  const distinct = new Set(specialTokens);
  if (distinct.size < specialTokens.length || !distinct.has(END_OF_TEXT) || distinct.has("")) {
    const expected = `distinct, non-empty texts, ${END_OF_TEXT} among them`;
    throw new ConfigError({ where: "specialTokens", expected, got: JSON.stringify(specialTokens) });
  }
  const byte = specialTokens.find((token) => alphabetToBytes(token)?.length === 1);
  if (byte !== undefined) {
    const failure = { where: "specialTokens", expected: "none that is a byte's character", got: `"${byte}"` };
    throw new ConfigError({ ...failure, fix: "Use a longer one, such as <|name|>." });
  }
  const least = 256 + specialTokens.length;
  if (!Number.isSafeInteger(vocabularySize) || vocabularySize < least) {
    throw new ConfigError({
      where: "vocabularySize",
      expected: `an integer ≥ ${least} (256 bytes and ${specialTokens.length} special)`,
      got: String(vocabularySize),
    });
  }
}

function unreachable(wanted: number, numMerges: number, specialTokens: readonly string[]): ConfigError {
  const reachable = 256 + numMerges + specialTokens.length;
  return new ConfigError({
    where: "vocabularySize",
    expected: `at most ${reachable}, all that this text supports`,
    got: String(wanted),
    fix: `Use more text, or vocabularySize ${reachable} or less.`,
  });
}

function countPreTokens(texts: Iterable<string>): { table: ByteStringTable; counts: number[] } {
  const table = new ByteStringTable();
  const counts: number[] = [];
  for (const text of texts) {
    const bytes = encodeUtf8(text);
    for (let start = 0; start < bytes.length; ) {
      const end = preTokenEnd(bytes, start, bytes.length);
      const found = table.find(bytes, start, end);
      if (found >= 0) counts[found]!++;
      else counts[table.add(found, bytes, start, end)] = 1;
      start = end;
    }
  }
  return { table, counts };
}

function indexPairs(table: ByteStringTable, counts: readonly number[]): PairIndex {
  const idOfByte = new Uint8Array(256);
  for (const [id, byte] of BYTE_ORDER.entries()) idOfByte[byte] = id;
  const pairs = new PairIndex(table.sizeBytes);
  for (const [word, count] of counts.entries()) pairs.addWord(table.at(word), idOfByte, count);
  return pairs;
}

function findMerges(pairs: PairIndex, numMerges: number, specialTokens: readonly string[]): Merge[] {
  const tokens = Array.from(BYTE_ORDER, (byte) => BYTE_TO_CHAR[byte]!);
  const taken = new Set(specialTokens);
  const merges: Merge[] = [];
  const queue = new PairQueue(pairs);
  while (merges.length < numMerges) {
    const pair = queue.pop(MIN_COUNT);
    if (pair === undefined) break;
    const left = tokens[pairs.left(pair)]!;
    const right = tokens[pairs.right(pair)]!;
    if (taken.has(left + right)) continue;
    taken.add(left + right);
    merges.push([left, right]);
    pairs.merge(pair, tokens.push(left + right) - 1);
  }
  return merges;
}

function byteBpeJson(merges: readonly Merge[], specialTokens: readonly string[]): TokenizerJson {
  const bytes = Array.from(BYTE_ORDER, (byte) => BYTE_TO_CHAR[byte]!);
  const ordinary = [...bytes, ...merges.map(([left, right]) => left + right)];
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, i) => specialToken(ordinary.length + i, content)),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: bpeModelJson([...ordinary, ...specialTokens], merges),
  };
}
