// B sequences, of each pair the chosen one and then the rejected · P pairs

import type { Tensor } from "../../tensor/tensor.ts";
import { bradleyTerryLoss, checkSmoothing, side } from "./pair-losses.ts";

/** How scores of pairs are turned into losses. */
export interface RewardLossOptions {
  /** The share of pairs thought to be the wrong way round. */
  readonly labelSmoothing: number;
  /** Weight of the mean square of a pair's summed scores, which keeps scores about zero (Eisenstein et al. 2023, eq. 2); 0: none. */
  readonly centring: number;
  /** `(P)`: by how much the chosen side should win at least (Touvron et al. 2023, "Llama 2", eq. 2). */
  readonly margin?: Tensor | undefined;
}

/** The parts of a reward model's loss; they add up. */
export interface RewardLosses {
  readonly preference: Tensor;
  readonly centring?: Tensor;
}

/**
 * The losses of scores `(B)` of pairs that lie side by side.
 *
 * @throws {ConfigError} if labels are smoothed too much.
 */
export function rewardLosses(scores: Tensor, options: RewardLossOptions): RewardLosses {
  const { labelSmoothing, centring, margin } = options;
  checkSmoothing("reward model", labelSmoothing);
  const pairs = scores.reshape([(scores.shape[0] as number) / 2, 2]); // (P, 2)
  const [won, lost] = [side(pairs, 0), side(pairs, 1)];
  const compared = margin ? won.sub(margin).stack([lost], 1) : pairs;
  const total = won.add(lost);
  return {
    preference: bradleyTerryLoss(compared, labelSmoothing),
    ...(centring > 0 && { centring: total.mul(total).mean().mul(centring) }),
  };
}
