// B batch · T tokens · V vocabulary

import type { HostTensor } from "../core/dtype.ts";
import type { Batch } from "../data/batches.ts";
import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { CausalLM } from "../models/contracts.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import type { BatchShape } from "./objective.ts";

/** Mean next-token cross-entropy of a batch, in nats, as a graph over inputs `tokens` and `targets`, both `(B, T)`. */
export function languageModelLoss(
  model: CausalLM,
  { batchSize: B, contextLength: T }: BatchShape,
  labelSmoothing = 0,
): Tensor {
  const tokens = input("tokens", "int32", [B, T]);
  const targets = input("targets", "int32", [B, T]);
  const logits = model.logits(model.hidden(tokens)).reshape([B * T, model.shape.vocabularySize]);
  return logits.crossEntropy(targets.reshape([B * T]), { ignoredLabel: IGNORED_TARGET, labelSmoothing });
}

/** Feeds of one batch for {@link languageModelLoss}. */
export function batchFeeds(batch: Batch, shape: BatchShape): Record<"tokens" | "targets", HostTensor> {
  const ids = (data: Int32Array): HostTensor => ({
    dtype: "int32",
    shape: [shape.batchSize, shape.contextLength],
    data,
  });
  return { tokens: ids(batch.tokens), targets: ids(batch.targets) };
}
