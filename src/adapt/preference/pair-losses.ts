// P pairs: of each two numbers, the first is that of the side to be preferred

import { ConfigError } from "../../core/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/**
 * How unlikely the preferences are by the model of Bradley and Terry, in which the first of two `(P, 2)` wins with probability
 * σ(first − second): the mean of −ln of it.
 *
 * @param labelSmoothing ε, how many of the labels are thought to be the wrong way round, below ½ (Mitchell 2023,
 *   "A note on DPO with noisy preferences")
 */
export function bradleyTerryLoss(scores: Tensor, labelSmoothing: number): Tensor {
  // The logarithm of a softmax over two is ln σ of their difference, without overflow and with a gradient at a tie.
  const logShares = scores.logSoftmax(); // (P, 2)
  const right = side(logShares, 0).mean().neg();
  if (labelSmoothing === 0) return right;
  const wrong = side(logShares, 1).mean().neg();
  return right.mul(1 - labelSmoothing).add(wrong.mul(labelSmoothing));
}

/** The loss of IPO: the mean of (first − second − 1 / 2β)² (Azar et al. 2023, eq. 17, which calls β τ). */
export function identityPreferenceLoss(scores: Tensor, beta: number): Tensor {
  const miss = side(scores, 0)
    .sub(side(scores, 1))
    .sub(1 / (2 * beta));
  return miss.mul(miss).mean();
}

/** One side of the pairs: `(P, 2)` → `(P)`. */
export function side(scores: Tensor, which: 0 | 1): Tensor {
  return scores.slice(1, which, which + 1).squeeze(1);
}

/** @throws {ConfigError} if a share of wrong labels is not below one half. */
export function checkSmoothing(where: string, labelSmoothing: number): void {
  if (labelSmoothing >= 0 && labelSmoothing < 0.5) return;
  throw new ConfigError({
    where: `${where}, labelSmoothing`,
    expected: "a share of wrong labels from 0 up to, but not, 0.5",
    got: `${labelSmoothing}`,
  });
}
