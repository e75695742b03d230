import { ConfigError } from "../core/errors.ts";
import { createPipeline } from "./parse-tokenizer.ts";
import { AlignedText } from "./stages/aligned-text.ts";
import { readNormalizer } from "./stages/normalizers.ts";
import { readPreTokenizer } from "./stages/pre-tokenizers.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { requireWellFormed } from "./utf8.ts";
import { BERT_SPECIAL_TOKENS, wordPieceJson } from "./vocabulary-files.ts";

/** A pair seen once teaches nothing: it is one document's accident. */
const MIN_COUNT = 2;
/** Longer words would be unknown anyway. */
const MAX_WORD_LENGTH = 100;
const PREFIX = "##";

/** What to train. */
export interface TrainWordPieceOptions {
  /** Number of ids: special tokens, characters, merges. */
  readonly vocabularySize: number;
  /** Default true: text is put into lower case and loses its accents, as in "uncased" BERT. */
  readonly lowercase?: boolean | undefined;
}

/**
 * Trains WordPiece as the Hugging Face library does: by the merges of byte-pair encoding on characters, those within a word
 * marked `##`. The `tokenizer.json` it makes is BERT's, so Python's `AutoTokenizer` reads it with the same ids.
 *
 * Deterministic: of equally frequent pairs the one with the lowest left id, then the lowest right id, comes first. Ids: special
 * tokens, characters in order of code point (first those that begin words, then those within), merges as they are found.
 *
 * @throws {ConfigError} if the vocabulary cannot hold the characters, or is larger than the text supports.
 * @throws {DataError} if a text is not well-formed Unicode.
 * @example
 * const tokenizer = trainWordPiece(["low lower lowest low"], { vocabularySize: 20 });
 * tokenizer.decode(tokenizer.encode("Lower low")); // => "lower low"
 */
export function trainWordPiece(texts: Iterable<string>, options: TrainWordPieceOptions): Tokenizer {
  const { vocabularySize, lowercase = true } = options;
  const words = countWords(texts, lowercase);
  const trainer = new Trainer(words);
  const least = trainer.tokens.length;
  if (!Number.isSafeInteger(vocabularySize) || vocabularySize < least) {
    const expected = `an integer ≥ ${least} (special tokens, and characters of the text)`;
    throw new ConfigError({ where: "vocabularySize", expected, got: String(vocabularySize) });
  }
  while (trainer.tokens.length < vocabularySize && trainer.mergeBest()) {}
  if (trainer.tokens.length < vocabularySize) {
    const reachable = trainer.tokens.length;
    throw new ConfigError({
      where: "vocabularySize",
      expected: `at most ${reachable}, all that this text supports`,
      got: String(vocabularySize),
      fix: `Use more text, or vocabularySize ${reachable} or less.`,
    });
  }
  return createPipeline(bertJson(trainer.tokens, lowercase), "trainWordPiece");
}

function bertJson(tokens: readonly string[], lowercase: boolean) {
  const special = BERT_SPECIAL_TOKENS.map((text, id) => [text, id] as const);
  return wordPieceJson({
    vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
    special,
    unknown: "[UNK]",
    cls: special[2]!,
    sep: special[3]!,
    lowercase,
    stripAccents: null,
    spacesChinese: true,
  });
}

/** The words of the texts, as BERT cuts them, and how often each occurs. */
function countWords(texts: Iterable<string>, lowercase: boolean): Map<string, number> {
  const normalize = readNormalizer({ type: "BertNormalizer", lowercase }, "trainWordPiece");
  const split = readPreTokenizer({ type: "BertPreTokenizer" }, "trainWordPiece");
  const counts = new Map<string, number>();
  for (const text of texts) {
    requireWellFormed(text);
    for (const { text: word } of split(normalize(new AlignedText(text, true)))) {
      if (word.length <= MAX_WORD_LENGTH) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  if (counts.size > 0) return counts;
  throw new ConfigError({ where: "trainWordPiece", expected: "some text", got: "none" });
}

interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  /** Words that have, or had, the pair. */
  readonly words: Set<number>;
}

/** Finds the most frequent pair, again and again; only the words that have it are looked at. */
class Trainer {
  readonly tokens: string[] = [...BERT_SPECIAL_TOKENS];
  readonly #ids: Map<string, number>;
  readonly #words: { readonly symbols: number[]; readonly count: number }[] = [];
  readonly #pairs = new Map<number, Pair>();

  constructor(counts: ReadonlyMap<string, number>) {
    const initial = new Set<string>();
    const inner = new Set<string>();
    for (const word of counts.keys()) {
      for (const [i, char] of [...word].entries()) (i === 0 ? initial : inner).add(char);
    }
    const sorted = (set: Set<string>) => [...set].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
    this.tokens.push(...sorted(initial), ...sorted(inner).map((char) => PREFIX + char));
    this.#ids = new Map(this.tokens.map((text, id) => [text, id]));
    for (const [word, count] of counts) {
      const symbols = Array.from(word, (char) => char).map(
        (char, i) => this.#ids.get(i > 0 ? PREFIX + char : char)!,
      );
      this.#words.push({ symbols, count });
    }
    for (const index of this.#words.keys()) this.#countPairs(index, 1);
  }

  /** Makes a token of the best pair; false if no pair is frequent enough. */
  mergeBest(): boolean {
    let best: Pair | undefined;
    for (const pair of this.#pairs.values()) if (pair.count >= MIN_COUNT && isBetter(pair, best)) best = pair;
    if (!best) return false;
    const text = this.tokens[best.left]! + this.tokens[best.right]!.slice(PREFIX.length);
    const known = this.#ids.get(text);
    const id = known ?? this.tokens.push(text) - 1;
    this.#ids.set(text, id);
    for (const index of [...best.words]) {
      this.#countPairs(index, -1);
      joinPair(this.#words[index]!.symbols, best, id);
      this.#countPairs(index, 1);
    }
    return true;
  }

  #countPairs(index: number, sign: 1 | -1): void {
    const { symbols, count } = this.#words[index]!;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const [left, right] = [symbols[i]!, symbols[i + 1]!];
      const key = left * 0x1000000 + right;
      let pair = this.#pairs.get(key);
      if (!pair) {
        pair = { left, right, count: 0, words: new Set() };
        this.#pairs.set(key, pair);
      }
      pair.count += sign * count;
      if (sign > 0) pair.words.add(index);
      else pair.words.delete(index);
      if (pair.count === 0) this.#pairs.delete(key);
    }
  }
}

function isBetter(pair: Pair, best: Pair | undefined): boolean {
  if (!best || pair.count !== best.count) return !best || pair.count > best.count;
  return pair.left !== best.left ? pair.left < best.left : pair.right < best.right;
}

function joinPair(symbols: number[], { left, right }: Pair, result: number): void {
  let length = 0;
  for (let i = 0; i < symbols.length; i++) {
    const isPair = symbols[i] === left && symbols[i + 1] === right;
    symbols[length++] = isPair ? result : symbols[i]!;
    if (isPair) i++;
  }
  symbols.length = length;
}
