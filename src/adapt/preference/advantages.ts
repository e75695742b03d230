/** Keeps a group of nearly equal rewards from being blown up; trl's value. */
const EPSILON = 1e-4;

/** By what rewards are divided: the deviation of their own group, that of the whole batch, or nothing. */
export type AdvantageScale = "group" | "batch" | "none";

/**
 * How much better each text is than the others of its prompt: reward minus the group's mean, by the deviation (of a sample: divided
 * by n − 1) and 10⁻⁴.
 *
 * @param rewards texts of one prompt lie side by side
 * @see Shao et al. 2024, §4.1.2; without the deviation, Liu et al. 2025, "Understanding R1-Zero-like training"
 */
export function groupAdvantages(
  rewards: ArrayLike<number>,
  groupSize: number,
  scale: AdvantageScale = "group",
): Float64Array {
  const all = Float64Array.from(rewards);
  const advantages = new Float64Array(all.length);
  for (let start = 0; start < all.length; start += groupSize) {
    const group = all.subarray(start, start + groupSize);
    const center = meanOf(group);
    const deviation = scale === "none" ? undefined : deviationOf(scale === "group" ? group : all);
    group.forEach((reward, i) => {
      advantages[start + i] =
        deviation === undefined ? reward - center : (reward - center) / (deviation + EPSILON);
    });
  }
  return advantages;
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviationOf(values: Float64Array): number {
  if (values.length < 2) return 0;
  const center = meanOf(values);
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}
