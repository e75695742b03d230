import { DataError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { SamplingOptions } from "./sampling-options.ts";
import { processScores, type SequenceContext } from "./score-processing.ts";

/** The best of so many tokens are found by insertion. */
const MAX_SORTED = 256;

/** A token and the natural logarithm of its probability. */
export interface TokenLogProbability {
  readonly token: number;
  readonly logprob: number;
}

/**
 * Chooses the next token: the best one at temperature 0 (the lowest id where several are), else drawn from
 * {@link tokenProbabilities}, for which it takes one number of `random`.
 *
 * @param logits   scores of all tokens `(V)`; not changed
 * @param previous tokens of prompt and text so far
 * @throws {DataError} if a score is NaN, or there is no finite one.
 */
export function sampleToken(
  logits: Float32Array,
  previous: ArrayLike<number>,
  options: SamplingOptions,
  random: Random,
  context: SequenceContext = {},
): number {
  if (options.temperature === 0) return argmax(processScores(logits, previous, options, context));
  const { tokens, weights } = candidates(logits, previous, options, context);
  const total = sum(weights);
  let left = random.uniform();
  let last = 0;
  for (let i = 0; i < tokens.length; i++) {
    if (weights[i] === 0) continue;
    left -= weights[i]! / total;
    if (left < 0) return tokens[i]!;
    last = tokens[i]!;
  }
  return last; // the sum fell short of 1 by rounding
}

/**
 * The probabilities that a token is drawn with, `(V)`, summing to 1. The filters come in the order of Python's
 * `transformers`: those of {@link processScores}, then temperature, top-k, top-p, min-p, typical, epsilon, eta; each sees what
 * the ones before left.
 *
 * Computed in float64 from scores with their maximum subtracted, so that any temperature above 0 is safe.
 *
 * @throws {DataError} if a score is NaN, or there is no finite one.
 * @see Repetition penalty: Keskar et al. 2019, §4.1. Top-k: Fan et al. 2018, §5.4. Top-p: Holtzman et al. 2020, §3.1.
 * Min-p: Nguyen et al. 2024, §3. Typical: Meister et al. 2022, §3. Epsilon, eta: Hewitt et al. 2022, §3.
 */
export function tokenProbabilities(
  logits: Float32Array,
  previous: ArrayLike<number>,
  options: Omit<SamplingOptions, "seed">,
  context: SequenceContext = {},
): Float64Array {
  const { tokens, weights } = candidates(logits, previous, options, context);
  const total = sum(weights);
  const probabilities = new Float64Array(logits.length);
  for (let i = 0; i < tokens.length; i++) probabilities[tokens[i]!] = weights[i]! / total;
  return probabilities;
}

/** The tokens that may be drawn, in ascending order, and their probabilities but for a factor. */
interface Candidates {
  readonly tokens: Int32Array;
  readonly weights: Float64Array;
}

function candidates(
  logits: Float32Array,
  previous: ArrayLike<number>,
  options: Omit<SamplingOptions, "seed">,
  context: SequenceContext,
): Candidates {
  const { temperature, topK, topP, minP, typicalP, epsilonCutoff, etaCutoff } = options;
  const scores = processScores(logits, previous, options, context);
  const best = scores[argmax(scores)]!;
  const floor = topK > 0 && topK < scores.length ? kthLargest(scores, topK) : Number.NEGATIVE_INFINITY;
  const tokens = new Int32Array(scores.length);
  let count = 0;
  for (let id = 0; id < scores.length; id++) if (scores[id]! >= floor) tokens[count++] = id;
  const weights = new Float64Array(count);
  for (let i = 0; i < count; i++) weights[i] = Math.exp((scores[tokens[i]!]! - best) / temperature);
  let found: Candidates = { tokens: tokens.subarray(0, count), weights };
  const filter = (keep: (weights: Float64Array) => void) => {
    keep(found.weights);
    found = withoutZeros(found);
  };
  if (topP < 1) filter((left) => keepNucleus(left, topP));
  if (minP > 0) filter((left) => keepAtLeast(left, minP)); // the best token's weight is 1
  if (typicalP < 1) filter((left) => keepTypical(left, typicalP));
  if (epsilonCutoff > 0) filter((left) => keepAtLeast(left, epsilonCutoff * sum(left)));
  if (etaCutoff > 0) filter((left) => keepAtLeast(left, eta(left, etaCutoff) * sum(left)));
  return found;
}

function withoutZeros({ tokens, weights }: Candidates): Candidates {
  let count = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    tokens[count] = tokens[i]!;
    weights[count++] = weights[i]!;
  }
  return { tokens: tokens.subarray(0, count), weights: weights.subarray(0, count) };
}

/**
 * Natural logarithm of one token's probability under the model's own scores, unfiltered.
 *
 * @example
 * logProbability(Float32Array.of(0, 0), 1); // => -0.6931 ±1e-4
 */
export function logProbability(logits: Float32Array, token: number): number {
  const best = logits[argmax(logits)]!;
  return logits[token]! - best - logSumExp(logits, best);
}

/**
 * The likeliest tokens under the model's own scores, best first, of equal ones the lower id: as many as asked for, or all.
 *
 * @example
 * topLogProbabilities(Float32Array.of(0, 1, 0), 1); // => [{ token: 1, logprob: -0.5514 }] ±1e-4
 */
export function topLogProbabilities(logits: Float32Array, count: number): TokenLogProbability[] {
  const best = logits[argmax(logits)]!;
  const rest = logSumExp(logits, best);
  const tokens: number[] = []; // sorted; insertion is cheap, as few of many tokens get that far
  for (let id = 0; id < logits.length; id++) {
    const score = logits[id]!;
    if (tokens.length === count && (count === 0 || score <= logits[tokens[count - 1]!]!)) continue;
    let at = Math.min(tokens.length, count - 1);
    while (at > 0 && logits[tokens[at - 1]!]! < score) {
      tokens[at] = tokens[at - 1]!;
      at--;
    }
    tokens[at] = id;
  }
  return tokens.map((token) => ({ token, logprob: logits[token]! - best - rest }));
}

/** Natural logarithms of all tokens' probabilities under the model's own scores, unfiltered. */
export function logSoftmax(logits: Float32Array): Float32Array {
  const best = logits[argmax(logits)]!;
  const rest = best + logSumExp(logits, best);
  return logits.map((score) => score - rest);
}

/** Logarithm of the sum of `exp(score − best)`. */
function logSumExp(logits: Float32Array, best: number): number {
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += Math.exp(logits[id]! - best);
  return Math.log(total);
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

function sum(weights: Float64Array): number {
  let total = 0;
  for (let id = 0; id < weights.length; id++) total += weights[id]!;
  return total;
}

/** Sets to zero what is below the floor, but not the largest. */
function keepAtLeast(weights: Float64Array, floor: number): void {
  let largest = 0;
  for (let id = 0; id < weights.length; id++) largest = Math.max(largest, weights[id]!);
  const least = Math.min(floor, largest);
  for (let id = 0; id < weights.length; id++) if (weights[id]! < least) weights[id] = 0;
}

/** Expected surprise of a draw by these weights, in nats. */
function entropy(weights: Float64Array): number {
  const total = sum(weights);
  let mean = 0;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id]! > 0) mean += weights[id]! * Math.log(weights[id]!);
  }
  return Math.log(total) - mean / total;
}

function eta(weights: Float64Array, epsilon: number): number {
  return Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-entropy(weights)));
}

/** Sets to zero all but the tokens whose surprise is nearest the entropy and that together hold the share. */
function keepTypical(given: Float64Array, share: number): void {
  const total = sum(given);
  const expected = entropy(given);
  const closeness = new Float64Array(given.length);
  for (let i = 0; i < given.length; i++) {
    closeness[i] =
      given[i] === 0 ? Number.NEGATIVE_INFINITY : -Math.abs(Math.log(total / given[i]!) - expected);
  }
  const floor = threshold(closeness.slice(), share * total, given.slice());
  for (let i = 0; i < given.length; i++) if (closeness[i]! < floor) given[i] = 0;
}

/** Of few, by keeping those few sorted; of many, by quickselect. */
function kthLargest(scores: ArrayLike<number>, k: number): number {
  if (k > MAX_SORTED) return threshold(Float64Array.from(scores), k, new Float64Array(scores.length).fill(1));
  const best = new Float64Array(k).fill(Number.NEGATIVE_INFINITY); // descending
  let least = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id]!;
    if (score <= least) continue;
    let at = k - 1;
    for (; at > 0 && best[at - 1]! < score; at--) best[at] = best[at - 1]!;
    best[at] = score;
    least = best[k - 1]!;
  }
  return least;
}

/** Sets to zero the weights outside the smallest set of the largest ones that holds a share of at least `topP`. */
function keepNucleus(weights: Float64Array, topP: number): void {
  let total = 0;
  for (let id = 0; id < weights.length; id++) total += weights[id]!;
  const wanted = topP * total;
  // V weights of that size together are within the share left out, so only the larger ones, often few, are looked at.
  const negligible = Math.min((total - wanted) / weights.length, 0.5); // the best token's weight is 1
  const likely = new Float64Array(weights.length);
  let count = 0;
  for (let id = 0; id < weights.length; id++) if (weights[id]! > negligible) likely[count++] = weights[id]!;
  const floor = threshold(likely.subarray(0, count), wanted);
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
 * The largest value such that the measures of it and of the values above it reach `wanted`; the smallest value if all do not. A value
 * measures itself unless `measures` says otherwise. Quickselect, which leaves the arrays in another order: the time is linear.
 */
function threshold(values: Float64Array, wanted: number, measures?: Float64Array): number {
  let [low, high, above] = [0, values.length, 0];
  const exchange = (i: number, j: number) => {
    swap(values, i, j);
    if (measures) swap(measures, i, j);
  };
  const measured = measures ?? values;
  for (;;) {
    const pivot = values[(low + high) >> 1]!;
    let [at, firstSmaller, larger, equal] = [low, high, 0, 0]; // larger or equal | not yet seen | smaller
    while (at < firstSmaller) {
      const value = values[at]!;
      if (value < pivot) {
        exchange(at, --firstSmaller);
        continue;
      }
      if (value === pivot) equal += measured[at]!;
      else larger += measured[at]!;
      at++;
    }
    if (above + larger >= wanted) {
      // Among the larger ones: the pivot's equals go, so that the range always shrinks.
      let end = low;
      for (let i = low; i < firstSmaller; i++) if (values[i] !== pivot) exchange(i, end++);
      high = end;
    } else if (above + larger + equal >= wanted || firstSmaller === high) return pivot;
    else {
      above += larger + equal;
      low = firstSmaller;
    }
  }
}

function swap(values: Float64Array, i: number, j: number): void {
  const value = values[i]!;
  values[i] = values[j]!;
  values[j] = value;
}
