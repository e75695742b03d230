/** What the numbers of a tensor look like. Non-finite ones are counted and left out of the rest, `null` if nothing is left. */
export interface TensorStatistics {
  readonly mean: number | null;
  /** Of the whole population. */
  readonly std: number | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly numNonFinite: number;
}

/**
 * Statistics in float64, with the mean taken out before squaring, so that a large mean does not swallow a small spread.
 *
 * @example
 * tensorStatistics(Float32Array.of(1, 3)); // => { mean: 2, std: 1, min: 1, max: 3, numNonFinite: 0 }
 */
export function tensorStatistics(values: Float32Array): TensorStatistics {
  let [sum, count] = [0, 0];
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    sum += value;
    count += 1;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const numNonFinite = values.length - count;
  if (count === 0) return { mean: null, std: null, min: null, max: null, numNonFinite };
  const mean = sum / count;
  let squares = 0;
  for (const value of values) {
    if (Number.isFinite(value)) squares += (value - mean) ** 2;
  }
  return { mean, std: Math.sqrt(squares / count), min, max, numNonFinite };
}
