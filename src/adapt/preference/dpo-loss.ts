// Direct preference optimisation: Rafailov et al. 2023, eq. 7.
// B sequences, of each pair the chosen one and then the rejected · P pairs

import { ConfigError } from "../../core/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { CompletionLogProbs } from "./completion-log-probs.ts";
import { bradleyTerryLoss, checkSmoothing, identityPreferenceLoss } from "./pair-losses.ts";

/** How pairs are turned into a loss. */
export interface DpoLossOptions {
  /**
   * `sigmoid`: −ln σ(β·(rᵂ − rᴸ)), with r = ln π − ln π_ref summed over a completion. `ipo`: (rᵂ − rᴸ − 1/2β)² with r averaged over the
   * tokens of a completion, as its authors do and trl has it (1.16).
   */
  readonly kind: "sigmoid" | "ipo";
  /** How much it costs to leave the reference; both losses forbid it as β grows. */
  readonly beta: number;
}

/** What DPO takes for rewards: ln π − ln π_ref of each completion `(B)`, not yet times β. */
export function logRatios(policy: CompletionLogProbs, reference: Tensor | undefined): Tensor {
  const total = policy.logProbs.sum(1); // (B)
  return reference ? total.sub(reference) : total;
}

/**
 * The mean loss of pairs that lie side by side.
 *
 * @param reference ln π_ref of each completion `(B)`; without it, the reference finds all equally likely
 * @param labelSmoothing the share of pairs thought to be the wrong way round; `sigmoid` only
 * @throws {ConfigError} if labels are smoothed too much, or where they cannot be.
 */
export function dpoLoss(
  policy: CompletionLogProbs,
  reference: Tensor | undefined,
  { kind, beta }: DpoLossOptions,
  labelSmoothing = 0,
): Tensor {
  checkSmoothing("DPO", labelSmoothing);
  const ratios = logRatios(policy, reference); // (B)
  const pairs = [(ratios.shape[0] as number) / 2, 2];
  if (kind === "sigmoid") return bradleyTerryLoss(ratios.mul(beta).reshape(pairs), labelSmoothing);
  if (labelSmoothing > 0) {
    throw new ConfigError({
      where: "IPO, labelSmoothing",
      expected: "0: its loss is not one of labels",
      got: `${labelSmoothing}`,
    });
  }
  const lengths = policy.counted.sum(1).maximum(1); // (B)
  return identityPreferenceLoss(ratios.div(lengths).reshape(pairs), beta);
}

/** Mean nats of a token of the chosen sides. */
export function chosenLoss({ logProbs, counted }: CompletionLogProbs): Tensor {
  const [B, T] = logProbs.shape as [number, number];
  const ofChosen = (x: Tensor) =>
    x
      .reshape([B / 2, 2, T])
      .slice(1, 0, 1)
      .sum();
  return ofChosen(logProbs).neg().div(ofChosen(counted).maximum(1));
}
