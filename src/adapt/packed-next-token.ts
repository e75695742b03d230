// B rows · T tokens · V vocabulary

import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { CausalLM } from "../models/contracts.ts";
import type { Parameter } from "../nn/scope.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import { trainingFlops } from "../train/flops.ts";
import type { BatchShape, Objective } from "../train/objective.ts";
import { packedHidden } from "./packed-decoder.ts";

/**
 * A decoder is trained to predict each token from those before it in the same example, where several examples share a row. For rows
 * of one example each, that is `NextToken`.
 */
export class PackedNextToken implements Objective {
  readonly model: CausalLM;

  constructor(model: CausalLM) {
    this.model = model;
  }

  get parameters(): readonly Parameter[] {
    return this.model.parameters;
  }

  get shape(): CausalLM["shape"] {
    return this.model.shape;
  }

  losses(
    { batchSize: B, contextLength: T }: BatchShape,
    labelSmoothing: number,
  ): Record<"nextToken", Tensor> {
    const [tokens, targets, documents, positions] = ["tokens", "targets", "documents", "positions"].map(
      (name) => input(name, "int32", [B, T]),
    ) as [Tensor, Tensor, Tensor, Tensor];
    const hidden = packedHidden(this.model, tokens, { documents, positions });
    const logits = this.model.logits(hidden).reshape([B * T, this.model.shape.vocabularySize]);
    const options = { ignoredLabel: IGNORED_TARGET, labelSmoothing };
    return { nextToken: logits.crossEntropy(targets.reshape([B * T]), options) };
  }

  trainingFlops({ batchSize, contextLength }: BatchShape): number {
    return trainingFlops(this.model, contextLength, batchSize * contextLength);
  }
}
