import { ConfigError, DataError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";

/** A score, and between which values it would mostly be had other examples been drawn. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** Default 1. */
  readonly seed?: number | undefined;
  /** Default 1000. */
  readonly numResamples?: number | undefined;
  /** Share of resamples inside the interval; default 0.95. */
  readonly confidence?: number | undefined;
  /**
   * For each record the name of what it comes from, such as a page or an article. Records of one origin are alike, so whole origins are drawn;
   * without it, records are.
   */
  readonly origins?: readonly string[] | undefined;
}

/**
 * The score of all records with an interval by the percentile bootstrap: as many records are drawn with replacement, again and again. Works for any
 * score that is a function of records. Resamples for which it is not defined (NaN) are left out.
 *
 * @throws {DataError} if there are no records.
 * @throws {ConfigError} if an option cannot be used.
 * @see Efron & Tibshirani 1993, "An Introduction to the Bootstrap", §13.3.
 * @example
 * bootstrap(pairs, accuracy); // => { value: 0.81, low: 0.78, high: 0.84 }
 */
export function bootstrap<T>(
  records: readonly T[],
  score: (records: readonly T[]) => number,
  options: BootstrapOptions = {},
): Interval {
  return bootstrapIndices(records.length, (indices) => score(indices.map((i) => records[i]!)), options);
}

/**
 * How much better the first system is than the second on the same examples, with an interval: both are scored on the same resamples, so what
 * makes an example hard for both cancels. An interval without 0 is a difference.
 *
 * @throws {DataError} if there are no records, or not as many of one as of the other.
 * @throws {ConfigError} if an option cannot be used.
 * @see Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation", §4.
 */
export function bootstrapDifference<T>(
  first: readonly T[],
  second: readonly T[],
  score: (records: readonly T[]) => number,
  options: BootstrapOptions = {},
): Interval {
  if (first.length !== second.length) {
    const [expected, got] = [`${first.length} records of the second system`, `${second.length}`];
    throw new DataError({ where: "bootstrapDifference", expected, got });
  }
  const difference = (indices: readonly number[]) =>
    score(indices.map((i) => first[i]!)) - score(indices.map((i) => second[i]!));
  return bootstrapIndices(first.length, difference, options);
}

/**
 * The value below which a share of sorted numbers lies; between two of them by a straight line.
 *
 * @example
 * percentile([1, 2, 4], 0.75); // => 3
 */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (place - below) * (sorted[above]! - sorted[below]!);
}

function bootstrapIndices(
  count: number,
  score: (indices: readonly number[]) => number,
  options: BootstrapOptions,
): Interval {
  const { seed = 1, numResamples = 1000, confidence = 0.95 } = options;
  if (count === 0) throw new DataError({ where: "bootstrap", expected: "at least one record", got: "none" });
  if (!(Number.isSafeInteger(numResamples) && numResamples >= 1)) {
    throw new ConfigError({ where: "numResamples", expected: "an integer ≥ 1", got: `${numResamples}` });
  }
  if (!(confidence > 0 && confidence < 1)) {
    throw new ConfigError({ where: "confidence", expected: "a number in (0, 1)", got: `${confidence}` });
  }
  const units = unitsOf(count, options.origins);
  const random = new Random(seed).fork("bootstrap");
  const scores: number[] = [];
  for (let i = 0; i < numResamples; i++) {
    const drawn: number[] = [];
    for (let k = 0; k < units.length; k++) {
      for (const place of units[random.integer(units.length)]!) drawn.push(place);
    }
    const value = score(drawn);
    if (!Number.isNaN(value)) scores.push(value);
  }
  const value = score(Array.from({ length: count }, (_, i) => i));
  if (scores.length === 0) return { value, low: Number.NaN, high: Number.NaN };
  const sorted = Float64Array.from(scores).sort();
  const tail = (1 - confidence) / 2;
  return { value, low: percentile(sorted, tail), high: percentile(sorted, 1 - tail) };
}

/** What is drawn: single records, or all of one origin. */
function unitsOf(count: number, origins: readonly string[] | undefined): readonly (readonly number[])[] {
  if (!origins) return Array.from({ length: count }, (_, i) => [i]);
  if (origins.length !== count) {
    const [expected, got] = [`${count} origins, one a record`, `${origins.length}`];
    throw new DataError({ where: "bootstrap", expected, got });
  }
  const units = new Map<string, number[]>();
  for (const [i, origin] of origins.entries()) units.set(origin, [...(units.get(origin) ?? []), i]);
  return [...units.values()];
}
