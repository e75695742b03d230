import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { CausalLM } from "../models/contracts.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { trainingFlops } from "../train/flops.ts";
import type { BatchShape, Objective } from "../train/objective.ts";
import { rowScores } from "./row-scores.ts";

/**
 * A decoder is trained to predict each token from those before it in the same example, where several examples share a row. For rows
 * of one example each, that is `NextToken`.
 */
export class PackedNextToken implements Objective {
  readonly model: CausalLM;

  constructor(model: CausalLM) {
    this.model = model;
  }

  losses(shape: BatchShape, labelSmoothing: number): Record<"nextToken", Tensor> {
    const { logits, targets } = rowScores(this.model, shape, true);
    return { nextToken: logits.crossEntropy(targets, { ignoredLabel: IGNORED_TARGET, labelSmoothing }) };
  }

  trainingFlops(shape: BatchShape): number {
    return trainingFlops(this.model, shape);
  }
}
