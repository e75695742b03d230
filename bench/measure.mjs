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
 * @param {(line: string) => void} log is told every round's raw values
 * @returns {Promise<Record<string, number[]>>} each side's values; those of one round have the same index
 */
export async function alternate(sides, repeats, log) {
  const values = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
  for (let round = 0; round < repeats; round++) {
    for (const [name, measure] of Object.entries(sides)) values[name].push(await measure());
    const raw = Object.entries(values).map(([name, list]) => `${name} ${list[round].toPrecision(4)}`);
    log(`  round ${round + 1}: ${raw.join(", ")}`);
  }
  return values;
}

/**
 * How two sides compare: `above / below`. The ratio is the median of the rounds' own ratios: neighbours in time are
 * compared, so slow drift of the machine cancels. On a steady machine the ratio of the
 * medians is much the same.
 */
export function compareRounds(above, below) {
  const ratios = above.map((value, round) => value / below[round]);
  return { ratio: median(ratios), spread: spread(ratios), ratioOfMedians: median(above) / median(below) };
}
