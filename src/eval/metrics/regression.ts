import { DataError } from "../../core/errors.ts";

/** What a value is, and what a system said it is. */
export interface NumberPair {
  readonly expected: number;
  readonly predicted: number;
}

/** Mean squared error. @throws {DataError} if there are no pairs. */
export function meanSquaredError(pairs: readonly NumberPair[]): number {
  checkSome("meanSquaredError", pairs, 1);
  return meanOf(pairs.map(({ expected, predicted }) => (expected - predicted) ** 2));
}

/** Mean absolute error. @throws {DataError} if there are no pairs. */
export function meanAbsoluteError(pairs: readonly NumberPair[]): number {
  checkSome("meanAbsoluteError", pairs, 1);
  return meanOf(pairs.map(({ expected, predicted }) => Math.abs(expected - predicted)));
}

/**
 * Pearson's correlation: how close to a straight line. NaN if one side is constant.
 *
 * @throws {DataError} if there are fewer than two pairs.
 */
export function pearson(pairs: readonly NumberPair[]): number {
  checkSome("pearson", pairs, 2);
  return correlate(
    pairs.map(({ expected }) => expected),
    pairs.map(({ predicted }) => predicted),
  );
}

/**
 * Spearman's correlation: Pearson's of the ranks, where equal values share the mean of their ranks. NaN if one side is constant.
 *
 * @throws {DataError} if there are fewer than two pairs.
 */
export function spearman(pairs: readonly NumberPair[]): number {
  checkSome("spearman", pairs, 2);
  return correlate(
    ranksOf(pairs.map(({ expected }) => expected)),
    ranksOf(pairs.map(({ predicted }) => predicted)),
  );
}

function correlate(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [meanOf(a), meanOf(b)];
  let [both, squareA, squareB] = [0, 0, 0];
  for (const [i, value] of a.entries()) {
    both += (value - meanA) * (b[i]! - meanB);
    squareA += (value - meanA) ** 2;
    squareB += (b[i]! - meanB) ** 2;
  }
  // Rounding may carry a perfect correlation past 1.
  return Math.max(-1, Math.min(1, both / Math.sqrt(squareA) / Math.sqrt(squareB)));
}

function ranksOf(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Array<number>(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (const i of order.slice(start, end)) ranks[i] = (start + end + 1) / 2;
    start = end;
  }
  return ranks;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function checkSome(where: string, pairs: readonly NumberPair[], least: number): void {
  if (pairs.length < least) {
    throw new DataError({ where, expected: `at least ${least} pairs`, got: `${pairs.length}` });
  }
  const wrong = pairs.findIndex(
    (pair) => !Number.isFinite(pair.expected) || !Number.isFinite(pair.predicted),
  );
  if (wrong < 0) return;
  const got = `${pairs[wrong]!.expected} and ${pairs[wrong]!.predicted}`;
  throw new DataError({ where: `${where}, pair ${wrong}`, expected: "two finite numbers", got });
}
