import { ConfigError } from "../../core/errors.ts";

/**
 * Probability that at least one of `k` programs works, drawn without replacement from `numSamples` of which `numCorrect` do:
 * `1 − C(n − c, k) / C(n, k)`, without the large binomials. Its mean over problems is pass@k, without bias.
 *
 * @throws {ConfigError} if not 0 ≤ numCorrect ≤ numSamples and 1 ≤ k ≤ numSamples.
 * @see Chen et al. 2021, "Evaluating Large Language Models Trained on Code", eq. 1.
 * @example
 * passAtK(10, 3, 1); // => 0.3
 */
export function passAtK(numSamples: number, numCorrect: number, k: number): number {
  const isCount = (value: number, min: number, max: number) =>
    Number.isSafeInteger(value) && value >= min && value <= max;
  if (!isCount(numSamples, 1, Number.MAX_SAFE_INTEGER)) {
    throw new ConfigError({ where: "numSamples", expected: "an integer ≥ 1", got: `${numSamples}` });
  }
  if (!isCount(numCorrect, 0, numSamples)) {
    const expected = `an integer in [0, ${numSamples}]`;
    throw new ConfigError({ where: "numCorrect", expected, got: `${numCorrect}` });
  }
  if (!isCount(k, 1, numSamples)) {
    const fix = "Draw at least k samples of each problem.";
    throw new ConfigError({ where: "k", expected: `an integer in [1, ${numSamples}]`, got: `${k}`, fix });
  }
  if (numSamples - numCorrect < k) return 1;
  let none = 1;
  for (let i = numSamples - numCorrect + 1; i <= numSamples; i++) none *= 1 - k / i;
  return 1 - none;
}
