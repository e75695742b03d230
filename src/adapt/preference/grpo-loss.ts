// Group relative policy optimisation: "DeepSeekMath", Shao et al. 2024, §4.1, eq. 3 and 4.
// B sequences · T tokens

import type { Tensor } from "../../tensor/tensor.ts";
import type { CompletionLogProbs } from "./completion-log-probs.ts";

/**
 * What the losses of tokens are averaged over:
 *
 * | name      | mean                                                                                     |
 * | --------- | ---------------------------------------------------------------------------------------- |
 * | `dapo`    | over all tokens of the batch (Yu et al. 2025); the default here, as in trl                 |
 * | `grpo`    | over the tokens of each text, then over texts (Shao et al. 2024): favours short good texts |
 * | `dr_grpo` | the sum over a text by the longest it may be, then over texts (Liu et al. 2025)            |
 */
export type Aggregation = "dapo" | "grpo" | "dr_grpo";

/** How a policy is improved. */
export interface GrpoLossOptions {
  readonly aggregation: Aggregation;
  /** ε: a token's probability gains nothing by moving further than to 1 ± ε times what it was when the text was drawn. */
  readonly clip: number;
  /** Most tokens of a text. */
  readonly maxTokens: number;
}

/** What is known of the texts drawn. */
export interface Drawn {
  /** `(B)` */
  readonly advantages: Tensor;
  /** `(B, T)`: by the weights that the texts were drawn with. */
  readonly oldLogProbs: Tensor;
}

/** The loss of the clipped ratios: the mean of −min(ρA, clip(ρ, 1 ± ε)·A), with ρ = π / π_old. */
export function policyLoss(policy: CompletionLogProbs, drawn: Drawn, options: GrpoLossOptions): Tensor {
  const ratio = policy.logProbs.sub(drawn.oldLogProbs).exp(); // (B, T)
  const clipped = ratio.maximum(1 - options.clip).minimum(1 + options.clip);
  const advantages = drawn.advantages.unsqueeze(1); // (B, 1)
  const gain = ratio.mul(advantages).minimum(clipped.mul(advantages)); // (B, T)
  return aggregate(gain.neg(), policy.counted, options);
}

/**
 * How far the policy is from a reference: the mean of e^d − d − 1 with d = ln π_ref − ln π, which is never negative and whose
 * expectation is the Kullback–Leibler divergence (Schulman 2020, "Approximating KL divergence", k3).
 */
export function divergenceLoss(
  policy: CompletionLogProbs,
  referenceLogProbs: Tensor,
  options: GrpoLossOptions,
): Tensor {
  const difference = referenceLogProbs.sub(policy.logProbs); // (B, T)
  return aggregate(difference.exp().sub(difference).sub(1), policy.counted, options);
}

function aggregate(losses: Tensor, counted: Tensor, { aggregation, maxTokens }: GrpoLossOptions): Tensor {
  const total = losses.mul(counted);
  if (aggregation === "dapo") return total.sum().div(counted.sum().maximum(1));
  if (aggregation === "dr_grpo")
    return total
      .sum(1)
      .mean()
      .mul(1 / maxTokens);
  return total.sum(1).div(counted.sum(1).maximum(1)).mean();
}
