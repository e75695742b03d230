import { DataError } from "../../core/errors.ts";
import { porterStem } from "./porter-stem.ts";
import { countItems, countShared, harmonicMean, ngramsOf } from "./words.ts";

/** Shared words, shared pairs of words, the longest common subsequence, and that sentence by sentence (a line is a sentence). */
export type RougeKind = "rouge1" | "rouge2" | "rougeL" | "rougeLsum";

export interface RougeOptions {
  /** Compares stems instead of words of more than three letters. */
  readonly stem?: boolean | undefined;
}

/** Of what is in the text, how much is in the reference; the other way round; and both as one. */
export interface RougeScore {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/**
 * ROUGE of one text, from 0 to 1, as Google's `rouge_score` computes it. Words are runs of a–z and digits, case ignored, so it is for English. Of
 * several references the one with the highest F1 counts; a corpus' ROUGE is the mean over its texts.
 *
 * @throws {DataError} if there is no reference.
 * @see Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries".
 * @example
 * rouge("rougeL", "the cat sat down", ["a cat sat there"]).f1; // => 0.5
 */
export function rouge(
  kind: RougeKind,
  text: string,
  references: readonly string[],
  { stem = false }: RougeOptions = {},
): RougeScore {
  if (references.length === 0) {
    throw new DataError({ where: kind, expected: "at least one reference", got: "none" });
  }
  const scores = references.map((reference) => scoreOne(kind, text, reference, stem));
  return scores.reduce((best, score) => (score.f1 > best.f1 ? score : best));
}

function scoreOne(kind: RougeKind, text: string, reference: string, stem: boolean): RougeScore {
  if (kind === "rougeLsum") return scoreSentences(sentencesOf(text, stem), sentencesOf(reference, stem));
  const [ours, theirs] = [wordsOf(text, stem), wordsOf(reference, stem)];
  if (kind === "rougeL") {
    const length = ours.length === 0 || theirs.length === 0 ? 0 : commonPlaces(theirs, ours).length;
    return fromCounts(length, ours.length, theirs.length);
  }
  const n = kind === "rouge1" ? 1 : 2;
  const [a, b] = [ngramsOf(ours, n, " "), ngramsOf(theirs, n, " ")];
  return fromCounts(countShared(countItems(a), countItems(b)), a.length, b.length);
}

/**
 * For each sentence of the reference the union of what it has in common with every sentence of the text; a word counts at most as often as
 * both have it.
 */
function scoreSentences(ours: readonly string[][], theirs: readonly string[][]): RougeScore {
  const [left, right] = [countItems(ours.flat()), countItems(theirs.flat())];
  let hits = 0;
  for (const sentence of theirs) {
    const union = new Set(ours.flatMap((other) => commonPlaces(sentence, other)));
    for (const place of [...union].sort((a, b) => a - b)) {
      const word = sentence[place]!;
      if (!left.get(word) || !right.get(word)) continue;
      hits++;
      left.set(word, left.get(word)! - 1);
      right.set(word, right.get(word)! - 1);
    }
  }
  return fromCounts(hits, ours.flat().length, theirs.flat().length);
}

/** Where in `a` the words of one longest common subsequence stand; of several the one that the reference implementation finds. */
function commonPlaces(a: readonly string[], b: readonly string[]): number[] {
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const at = i * width + j;
      lengths[at] =
        a[i - 1] === b[j - 1]
          ? lengths[at - width - 1]! + 1
          : Math.max(lengths[at - width]!, lengths[at - 1]!);
    }
  }
  const places: number[] = [];
  for (let [i, j] = [a.length, b.length]; i > 0 && j > 0; ) {
    if (a[i - 1] === b[j - 1]) {
      places.push(--i);
      j--;
    } else if (lengths[i * width + j - 1]! > lengths[(i - 1) * width + j]!) j--;
    else i--;
  }
  return places.reverse();
}

function fromCounts(shared: number, ours: number, theirs: number): RougeScore {
  const precision = ours === 0 ? 0 : shared / ours;
  const recall = theirs === 0 ? 0 : shared / theirs;
  return { precision, recall, f1: harmonicMean(precision, recall) };
}

function sentencesOf(text: string, stem: boolean): string[][] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => wordsOf(line, stem));
}

function wordsOf(text: string, stem: boolean): string[] {
  const words = text
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
  return stem ? words.map((word) => (word.length > 3 ? porterStem(word) : word)) : words;
}
