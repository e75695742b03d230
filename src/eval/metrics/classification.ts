import { DataError } from "../../core/errors.ts";

/** What was right, and what a system said. */
export interface LabelPair {
  readonly expected: string;
  readonly predicted: string;
}

/** How often each label was taken for each. */
export interface ConfusionMatrix {
  /** Every label that was expected or predicted, in order of code units. */
  readonly labels: readonly string[];
  /** A row for each expected label, in it a count for each predicted one. */
  readonly counts: readonly Float64Array[];
}

/** How the F1 scores of single labels become one: their mean, their mean weighted by how often each was expected, or from counts of all. */
export type Average = "macro" | "weighted" | "micro";

/** Precision, recall and F1 of one label. */
export interface LabelQuality {
  readonly label: string;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** How often it was expected. */
  readonly support: number;
}

/**
 * Share of predictions that are right.
 *
 * @throws {DataError} if there are none.
 */
export function accuracy(pairs: readonly LabelPair[]): number {
  checkSome("accuracy", pairs);
  return pairs.filter(({ expected, predicted }) => expected === predicted).length / pairs.length;
}

/** @throws {DataError} if there are no predictions. */
export function confusionMatrix(pairs: readonly LabelPair[]): ConfusionMatrix {
  checkSome("confusionMatrix", pairs);
  const labels = [...new Set(pairs.flatMap(({ expected, predicted }) => [expected, predicted]))].sort();
  const places = new Map(labels.map((label, i) => [label, i]));
  const counts = labels.map(() => new Float64Array(labels.length));
  for (const { expected, predicted } of pairs) counts[places.get(expected)!]![places.get(predicted)!]!++;
  return { labels, counts };
}

/**
 * Precision, recall and F1 of each label; 0 where nothing could be counted.
 *
 * @throws {DataError} if there are no predictions.
 */
export function labelQualities(pairs: readonly LabelPair[]): LabelQuality[] {
  checkSome("F1", pairs);
  const tallies = new Map<string, { right: number; expected: number; predicted: number }>();
  const tallyOf = (label: string) => {
    const found = tallies.get(label) ?? { right: 0, expected: 0, predicted: 0 };
    tallies.set(label, found);
    return found;
  };
  for (const { expected, predicted } of pairs) {
    tallyOf(expected).expected++;
    tallyOf(predicted).predicted++;
    if (expected === predicted) tallyOf(expected).right++;
  }
  return [...tallies].sort(([a], [b]) => (a < b ? -1 : 1)).map(([label, tally]) => qualityOf(label, tally));
}

/**
 * F1 over all labels that were expected or predicted, as scikit-learn's `f1_score` with `zero_division=0`.
 *
 * @throws {DataError} if there are no predictions.
 */
export function f1(pairs: readonly LabelPair[], average: Average): number {
  // With one label a text, each wrong one is a false positive and a false negative: precision = recall = accuracy.
  if (average === "micro") return accuracy(pairs);
  const qualities = labelQualities(pairs);
  const weightOf = ({ support }: LabelQuality) => (average === "macro" ? 1 : support);
  const total = qualities.reduce((sum, quality) => sum + weightOf(quality), 0);
  return qualities.reduce((sum, quality) => sum + weightOf(quality) * quality.f1, 0) / total;
}

/**
 * F1 of one label against all others.
 *
 * @throws {DataError} if there are no predictions.
 */
export function binaryF1(pairs: readonly LabelPair[], positive: string): number {
  return labelQualities(pairs).find(({ label }) => label === positive)?.f1 ?? 0;
}

/**
 * Matthews' correlation for any number of labels: 1 is perfect, 0 no better than chance (also where it is not defined, because only one label
 * was expected or predicted).
 *
 * @throws {DataError} if there are no predictions.
 * @see Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient".
 */
export function matthews(pairs: readonly LabelPair[]): number {
  checkSome("Matthews", pairs);
  const expected = new Map<string, number>();
  const predicted = new Map<string, number>();
  let right = 0;
  for (const pair of pairs) {
    expected.set(pair.expected, (expected.get(pair.expected) ?? 0) + 1);
    predicted.set(pair.predicted, (predicted.get(pair.predicted) ?? 0) + 1);
    right += Number(pair.expected === pair.predicted);
  }
  const n = pairs.length;
  const product = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>) =>
    [...a].reduce((sum, [label, count]) => sum + count * (b.get(label) ?? 0), 0);
  const spread = (n * n - product(expected, expected)) * (n * n - product(predicted, predicted));
  return spread === 0 ? 0 : (right * n - product(expected, predicted)) / Math.sqrt(spread);
}

function qualityOf(
  label: string,
  { right, expected, predicted }: { right: number; expected: number; predicted: number },
): LabelQuality {
  return {
    label,
    precision: predicted === 0 ? 0 : right / predicted,
    recall: expected === 0 ? 0 : right / expected,
    f1: right === 0 ? 0 : (2 * right) / (expected + predicted),
    support: expected,
  };
}

function checkSome(where: string, pairs: readonly unknown[]): void {
  if (pairs.length === 0) throw new DataError({ where, expected: "at least one prediction", got: "none" });
}
