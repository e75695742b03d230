import { DataError } from "../../core/errors.ts";
import { countItems, countShared, ngramsOf, splitWords } from "./words.ts";

/** Longest n-grams of characters. */
const CHARACTER_ORDER = 6;

/** Longest n-grams of words in chrF++. */
const WORD_ORDER = 2;

/** Recall counts twice as much as precision. */
const BETA = 2;

/** For each kind of n-gram: those of the text, those of the reference, those shared. */
export type ChrfCounts = readonly (readonly [text: number, reference: number, shared: number])[];

/**
 * What one text adds to a corpus' chrF: counts for the reference that suits it best.
 *
 * @param options.words chrF++: also single words and pairs of them
 */
export function chrfCounts(
  text: string,
  references: readonly string[],
  options: { readonly words?: boolean } = {},
): ChrfCounts {
  if (references.length === 0) {
    throw new DataError({ where: "chrF", expected: "at least one reference", got: "none" });
  }
  const found = ngramCounts(text, options.words ?? false);
  let best: ChrfCounts = [];
  let bestScore = -1;
  for (const reference of references) {
    const counts = ngramCounts(reference, options.words ?? false).map((expected, i) => {
      const [ours, theirs] = [totalOf(found[i]!), totalOf(expected)];
      // A kind of n-gram that the reference is too short for says nothing.
      return [theirs > 0 ? ours : 0, theirs, countShared(found[i]!, expected)] as const;
    });
    const score = chrf([counts]);
    if (score > bestScore) [best, bestScore] = [counts, score];
  }
  return best;
}

/**
 * chrF (or chrF++, by how the counts were made) from 0 to 100 of one or many texts, as `sacrebleu` computes it with its defaults: characters without
 * spaces, n-grams to 6, β = 2, kinds of n-grams that neither side has left out.
 *
 * @see Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"; Popović 2017 for chrF++.
 * @example
 * chrf([chrfCounts("the cat sat on a mat", ["the cat sat on the mat"])]); // => 65.9797 ±1e-4
 */
export function chrf(texts: readonly ChrfCounts[]): number {
  if (texts.length === 0) throw new DataError({ where: "chrF", expected: "at least one text", got: "none" });
  let [precision, recall, kinds] = [0, 0, 0];
  for (let i = 0; i < texts[0]!.length; i++) {
    let [ours, theirs, shared] = [0, 0, 0];
    for (const counts of texts) {
      ours += counts[i]![0];
      theirs += counts[i]![1];
      shared += counts[i]![2];
    }
    if (ours === 0 || theirs === 0) continue;
    precision += shared / ours;
    recall += shared / theirs;
    kinds++;
  }
  if (precision + recall === 0) return 0;
  const weight = BETA ** 2;
  return (100 * (1 + weight) * precision * recall) / (weight * precision + recall) / kinds;
}

function ngramCounts(text: string, withWords: boolean): ReadonlyMap<string, number>[] {
  const characters = Array.from(splitWords(text).join(""));
  const counts = Array.from({ length: CHARACTER_ORDER }, (_, n) =>
    countItems(ngramsOf(characters, n + 1, "")),
  );
  if (!withWords) return counts;
  const words = splitWords(text).flatMap(splitPunctuation);
  return [
    ...counts,
    ...Array.from({ length: WORD_ORDER }, (_, n) => countItems(ngramsOf(words, n + 1, " "))),
  ];
}

/** Takes one mark off the end of a word, or else off its beginning. */
function splitPunctuation(word: string): string[] {
  const characters = Array.from(word);
  if (characters.length === 1) return [word];
  const isMark = (character: string) => /^[!-/:-@[-`{-~]$/.test(character);
  if (isMark(characters.at(-1)!)) return [characters.slice(0, -1).join(""), characters.at(-1)!];
  return isMark(characters[0]!) ? [characters[0]!, characters.slice(1).join("")] : [word];
}

function totalOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}
