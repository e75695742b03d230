/** Taking measurements in turn, and what to make of several of them. */

/** Repeats of everything that is judged. */
export const REPEATS = 5;

export function median(values) {
  return quantile(values, 0.5);
}

/** Interquartile range as a share of the median. */
export function spread(values) {
  return (quantile(values, 0.75) - quantile(values, 0.25)) / median(values);
}

/** Linear interpolation between the two nearest values. */
function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)];
  return below + (sorted[Math.ceil(at)] - below) * (at - Math.floor(at));
}

/**
 * Measures all sides in turn, A B A B …, so that whatever slows the machine for a while slows all of them.
 *
 * @param {Record<string, () => Promise<number>>} sides
 * @returns {Promise<Record<string, number[]>>} each side's values; those of one round have the same index
 */
export async function alternate(sides, repeats) {
  const values = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
  for (let round = 0; round < repeats; round++) {
    for (const [name, measure] of Object.entries(sides)) values[name].push(await measure());
  }
  return values;
}

/** `above / below`, round by round: neighbours in time are compared, so slow drift of the machine cancels. */
export function ratios(above, below) {
  return above.map((value, round) => value / below[round]);
}
