import { DataError } from "../core/errors.ts";
import { type Field, integer, readFields, real } from "../core/fields.ts";
import type { Random } from "../core/random.ts";

/** How the next token is chosen from the model's scores. */
export interface SamplingOptions {
  /** Divides the scores: below 1 sharper, above 1 flatter; 0 takes the best token (greedy). Default 1. */
  readonly temperature: number;
  /** Draws among that many best tokens; 0, the default, among all. Tokens that tie with the last of them stay in. */
  readonly topK: number;
  /** Draws among the fewest best tokens whose probabilities reach that sum, in (0, 1]. Default 1: all. */
  readonly topP: number;
  /** Leaves out tokens less probable than that fraction of the best one's probability, in [0, 1]. Default 0: none. */
  readonly minP: number;
  /** Divides positive scores of tokens already there by it, and multiplies negative ones. Above 0; default 1: off. */
  readonly repetitionPenalty: number;
  /** Of the random numbers; default 0. */
  readonly seed: number;
}

const POSITIVE: Field<number> = {
  describe: "a number above 0",
  fallback: 1,
  accepts: (value): value is number => Number.isFinite(value) && (value as number) > 0,
};

const SHARE: Field<number> = {
  describe: "a number above 0 and at most 1",
  fallback: 1,
  accepts: (value): value is number => POSITIVE.accepts(value) && value <= 1,
};

/**
 * Checks sampling options and fills in the defaults.
 *
 * @throws {ConfigError} if a key is unknown or out of range.
 * @example
 * samplingOptions({ topK: 40 }).temperature; // => 1
 */
export function samplingOptions(given: Partial<SamplingOptions> = {}): SamplingOptions {
  return readFields<SamplingOptions>(
    "sampling",
    {
      temperature: real(0, Number.POSITIVE_INFINITY, 1),
      topK: integer(0, Number.MAX_SAFE_INTEGER, 0),
      topP: SHARE,
      minP: real(0, 1, 0),
      repetitionPenalty: POSITIVE,
      seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 0),
    },
    given,
  );
}

/**
 * Chooses the next token: the best one at temperature 0 (the lowest id where several are), else drawn from
 * {@link tokenProbabilities}, for which it takes one number of `random`.
 *
 * @param logits   scores of all tokens `(V)`; not changed
 * @param previous tokens of prompt and text so far, for the repetition penalty
 * @throws {DataError} if a score is NaN, or there is no finite one.
 */
export function sampleToken(
  logits: Float32Array,
  previous: Iterable<number>,
  options: SamplingOptions,
  random: Random,
): number {
  if (options.temperature === 0) return argmax(penalized(logits, previous, options.repetitionPenalty));
  const probabilities = tokenProbabilities(logits, previous, options);
  let left = random.uniform();
  let last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    const probability = probabilities[id]!;
    if (probability === 0) continue;
    left -= probability;
    if (left < 0) return id;
    last = id;
  }
  return last; // the sum fell short of 1 by rounding
}

/**
 * The probabilities that a token is drawn with, `(V)`, summing to 1. The filters come in the order of Python's
 * `transformers`: repetition penalty, temperature, top-k, top-p, min-p; each sees what the ones before left.
 *
 * Computed in float64 from scores with their maximum subtracted, so that any temperature above 0 is safe.
 *
 * @throws {DataError} if a score is NaN, or there is no finite one.
 * @see Repetition penalty: Keskar et al. 2019, §4.1. Top-k: Fan et al. 2018, §5.4. Top-p: Holtzman et al. 2020, §3.1.
 * Min-p: Nguyen et al. 2024, §3.
 */
export function tokenProbabilities(
  logits: Float32Array,
  previous: Iterable<number>,
  options: Omit<SamplingOptions, "seed">,
): Float64Array {
  const { temperature, topK, topP, minP, repetitionPenalty } = options;
  const scores = penalized(logits, previous, repetitionPenalty);
  const best = scores[argmax(scores)]!;
  const floor =
    topK > 0 && topK < scores.length
      ? threshold(Float64Array.from(scores), topK, "count")
      : Number.NEGATIVE_INFINITY;
  const weights = new Float64Array(scores.length);
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id]!;
    if (score >= floor) weights[id] = Math.exp((score - best) / temperature);
  }
  if (topP < 1) keepNucleus(weights, topP);
  let total = 0;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id]! < minP) weights[id] = 0; // the best token's weight is 1
    total += weights[id]!;
  }
  for (let id = 0; id < weights.length; id++) weights[id]! /= total;
  return weights;
}

/**
 * Natural logarithm of one token's probability under the model's own scores, unfiltered.
 *
 * @example
 * logProbability(Float32Array.of(0, 0), 1); // => -0.6931 ±1e-4
 */
export function logProbability(logits: Float32Array, token: number): number {
  const best = logits[argmax(logits)]!;
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += Math.exp(logits[id]! - best);
  return logits[token]! - best - Math.log(total);
}

function penalized(logits: Float32Array, previous: Iterable<number>, penalty: number): ArrayLike<number> {
  if (penalty === 1) return logits;
  const scores = Float64Array.from(logits);
  for (const id of new Set(previous)) {
    const score = scores[id];
    if (score !== undefined) scores[id] = score < 0 ? score * penalty : score / penalty;
  }
  return scores;
}

function argmax(scores: ArrayLike<number>): number {
  let best = -1;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id]!;
    if (Number.isNaN(score)) throw unusable(`NaN for token ${id}`);
    if (score > bestScore) {
      best = id;
      bestScore = score;
    }
  }
  if (Number.isFinite(bestScore)) return best;
  throw unusable(best < 0 ? "none" : `infinity for token ${best}`);
}

function unusable(got: string): DataError {
  return new DataError({
    where: "scores of the next token",
    expected: "finite numbers",
    got,
    fix: "The weights are damaged, or their training went wrong.",
  });
}

/** Sets to zero the weights outside the smallest set of the largest ones that holds a share of at least `topP`. */
function keepNucleus(weights: Float64Array, topP: number): void {
  let total = 0;
  for (let id = 0; id < weights.length; id++) total += weights[id]!;
  const wanted = topP * total;
  // V weights of that size together are within the share left out, so only the larger ones, often few, are looked at.
  const negligible = Math.min((total - wanted) / weights.length, 0.5); // the best token's weight is 1
  const candidates = weights.filter((weight) => weight > negligible);
  const floor = threshold(candidates, wanted, "value");
  let share = 0;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id]! > floor) share += weights[id]!;
  }
  for (let id = 0; id < weights.length; id++) {
    const weight = weights[id]!;
    if (weight > floor) continue;
    if (weight === floor && share < wanted) share += weight;
    else weights[id] = 0;
  }
}

/**
 * The largest value such that it and the values above it measure at least `wanted` together, each measuring itself or, to
 * count them, 1; the smallest value if all do not. Quickselect, which leaves the values in another order: the time is
 * linear in their number.
 */
function threshold(values: Float64Array, wanted: number, measure: "value" | "count"): number {
  const counts = measure === "count";
  let [low, high, above] = [0, values.length, 0];
  for (;;) {
    const pivot = values[(low + high) >> 1]!;
    let [at, firstSmaller, larger] = [low, high, 0]; // larger or equal | not yet seen | smaller
    let numEqual = 0;
    while (at < firstSmaller) {
      const value = values[at]!;
      if (value < pivot) {
        values[at] = values[--firstSmaller]!;
        values[firstSmaller] = value;
        continue;
      }
      if (value === pivot) numEqual++;
      else larger += counts ? 1 : value;
      at++;
    }
    const equal = counts ? numEqual : numEqual * pivot;
    if (above + larger >= wanted) {
      // Among the larger ones: the pivot's equals go, so that the range always shrinks.
      let end = low;
      for (let i = low; i < firstSmaller; i++) {
        if (values[i]! > pivot) values[end++] = values[i]!;
      }
      high = end;
    } else if (above + larger + equal >= wanted || firstSmaller === high) return pivot;
    else {
      above += larger + equal;
      low = firstSmaller;
    }
  }
}
