import { type Batch, type BatchCursor, BatchSampler, type BatchSamplerOptions } from "../data/batches.ts";
import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { CausalLM } from "../models/contracts.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { trainingFlops } from "./flops.ts";
import { batchFeeds, languageModelLoss } from "./language-model-loss.ts";
import type { BatchShape, ExampleStream, Examples, Objective } from "./objective.ts";

/** A batch for {@link NextToken}: every target counts but those that are ignored. */
export function nextTokenExamples(batch: Batch, shape: BatchShape): Examples {
  const { batchSize, contextLength } = shape;
  const numTargets = Int32Array.from({ length: batchSize }, (_, row) => {
    const targets = batch.targets.subarray(row * contextLength, (row + 1) * contextLength);
    return targets.reduce((n, id) => n + Number(id !== IGNORED_TARGET), 0);
  });
  return { inputs: batchFeeds(batch, shape), numTargets: { nextToken: numTargets }, contextLength };
}

/**
 * Endless windows of text for {@link NextToken}.
 *
 * @throws {ConfigError} if a source is shorter than one window.
 */
export function nextTokenStream(options: BatchSamplerOptions): ExampleStream<BatchCursor> {
  const sampler = new BatchSampler(options);
  return {
    next: () => nextTokenExamples(sampler.next(), options),
    state: () => sampler.state(),
    restore: (cursor) => sampler.restore(cursor),
  };
}

/** A decoder is trained to predict each token from those before it. */
export class NextToken implements Objective {
  readonly model: CausalLM;

  constructor(model: CausalLM) {
    this.model = model;
  }

  losses(shape: BatchShape, labelSmoothing: number): Record<"nextToken", Tensor> {
    return { nextToken: languageModelLoss(this.model, shape, labelSmoothing) };
  }

  trainingFlops(shape: BatchShape): number {
    return trainingFlops(this.model, shape);
  }
}
