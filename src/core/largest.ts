/**
 * Places of the largest numbers, in falling order; of equal ones the first comes first.
 *
 * @example
 * largest([1, 5, 3], 2); // => [1, 2]
 */
export function largest(values: ArrayLike<number>, count: number): number[] {
  const kept: number[] = [];
  for (let place = 0; place < values.length; place++) {
    if (kept.length === count && !(values[place]! > values[kept.at(-1)!]!)) continue;
    let at = kept.length;
    while (at > 0 && values[place]! > values[kept[at - 1]!]!) at--;
    kept.splice(at, 0, place);
    if (kept.length > count) kept.pop();
  }
  return kept;
}

/** Probabilities that scores stand for: `exp(x) / Σ exp(x)`, in float64. */
export function softmax(scores: ArrayLike<number>): Float64Array {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < scores.length; i++) most = Math.max(most, scores[i]!);
  const powers = Float64Array.from(scores, (score) => Math.exp(score - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}
