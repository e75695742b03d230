// B sequences · T tokens · V vocabulary

import { ConfigError } from "../../core/errors.ts";
import { IGNORED_TARGET } from "../../data/validation-windows.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { input, type Tensor } from "../../tensor/tensor.ts";
import type { BatchShape } from "../../train/objective.ts";

/** How probable a model finds the completions of a batch, token by token. */
export interface CompletionLogProbs {
  /** `(B, T)`, in nats; 0 where there is no target. */
  readonly logProbs: Tensor;
  /** `(B, T)`: 1 where there is a target, else 0. */
  readonly counted: Tensor;
}

/**
 * Natural logarithms of the probabilities of targets `(B, T)` by scores `(B, T, V)`.
 *
 * @param temperature divides the scores, as when the targets were drawn
 */
export function completionLogProbs(logits: Tensor, targets: Tensor, temperature = 1): CompletionLogProbs {
  const isTarget = targets.equal(IGNORED_TARGET).logicalNot(); // (B, T)
  const ids = isTarget.where(targets, targets.zero()).unsqueeze(2); // (B, T, 1)
  const scores = temperature === 1 ? logits : logits.mul(1 / temperature);
  const picked = scores.logSoftmax().takeAlongLast(ids).squeeze(2); // (B, T)
  return { logProbs: isTarget.where(picked, picked.zero()), counted: isTarget.cast(logits.dtype) };
}

/** The same of a model, over inputs `tokens` and `targets`, both `(B, T)`. */
export function modelLogProbs(
  model: CausalLM,
  { batchSize: B, contextLength: T }: BatchShape,
  temperature = 1,
): CompletionLogProbs {
  const tokens = input("tokens", "int32", [B, T]);
  const targets = input("targets", "int32", [B, T]);
  return completionLogProbs(model.logits(model.hidden(tokens)), targets, temperature);
}

/** @throws {ConfigError} if labels are to be smoothed where there is no such thing. */
export function refuseSmoothing(where: string, labelSmoothing: number): void {
  if (labelSmoothing === 0) return;
  throw new ConfigError({
    where: `${where}, labelSmoothing`,
    expected: "0: this loss has no labels",
    got: `${labelSmoothing}`,
  });
}
