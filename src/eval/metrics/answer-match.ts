import { DataError } from "../../core/errors.ts";
import { countItems, countShared, harmonicMean, splitWords } from "./words.ts";

/** An article that stands alone. Python's `\b` knows letters and digits of all scripts, JavaScript's only ASCII. */
const ARTICLE = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** An answer as SQuAD compares it: lower case, without ASCII punctuation and English articles, single spaces. */
export function normalizeAnswer(text: string): string {
  const bare = text.toLowerCase().replace(/[!-/:-@[-`{-~]/g, "");
  return splitWords(bare.replace(ARTICLE, " ")).join(" ");
}

/**
 * Whether an answer is one of the right ones, after normalisation: SQuAD v1.1's exact match.
 *
 * @throws {DataError} if no answer is right.
 */
export function answerMatches(answer: string, right: readonly string[]): boolean {
  checkSome(right);
  return right.some((one) => normalizeAnswer(one) === normalizeAnswer(answer));
}

/**
 * How many words an answer shares with the right one that is nearest, as F1 from 0 to 1: SQuAD v1.1's F1.
 *
 * @throws {DataError} if no answer is right.
 * @see Rajpurkar et al. 2016, §6.1, and the evaluation script for v1.1.
 */
export function answerF1(answer: string, right: readonly string[]): number {
  checkSome(right);
  const ours = splitWords(normalizeAnswer(answer));
  return Math.max(
    ...right.map((one) => {
      const theirs = splitWords(normalizeAnswer(one));
      const shared = countShared(countItems(ours), countItems(theirs));
      return shared === 0 ? 0 : harmonicMean(shared / ours.length, shared / theirs.length);
    }),
  );
}

function checkSome(right: readonly string[]): void {
  if (right.length === 0) {
    throw new DataError({ where: "answers", expected: "at least one right answer", got: "none" });
  }
}
