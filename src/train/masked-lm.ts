// B sequences · P predictions a sequence

import { hostTensor } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import { type MaskedBatch, maskedShape, NO_LABEL } from "../data/masked-rows.ts";
import {
  type MaskedCursor,
  type MaskedOptions,
  MaskedSampler,
  type MaskedSamplerOptions,
} from "../data/masked-sampler.ts";
import type { Encoder } from "../models/contracts.ts";
import { input, type Tensor } from "../tensor/tensor.ts";
import { maskedFeeds, maskedScores } from "./masked-loss.ts";
import type { BatchShape, ExampleStream, Examples, Objective } from "./objective.ts";

/**
 * An encoder is trained to fill in hidden tokens, and, with pairs, to tell whether the second text follows the first.
 *
 * Scores are computed for the hidden tokens only: a fixed number of rows of each sequence.
 *
 * @throws {ConfigError} if the encoder lacks a head that is trained.
 * @see Devlin et al. 2019, §3.1
 */
export class MaskedLM implements Objective {
  readonly model: Encoder;
  readonly options: MaskedOptions;

  constructor(encoder: Encoder, options: MaskedOptions) {
    const { maskedLogits, pooled, nextSentenceLogits } = encoder.heads;
    const missing = [
      !maskedLogits && "a masked-language head",
      options.pairs && !(pooled && nextSentenceLogits) && "a next-sentence head",
    ].find(Boolean);
    if (missing) {
      throw new ConfigError({ where: "MaskedLM", expected: `an encoder with ${missing}`, got: "none" });
    }
    this.model = encoder;
    this.options = options;
  }

  losses(shape: BatchShape, labelSmoothing: number): Record<string, Tensor> {
    const { batchSize: B } = shape;
    const { numPredictions: P } = maskedShape(shape, this.options);
    const { masked, nextSentence } = maskedScores(this.model, shape, this.options);
    const labels = input("labels", "int32", [B, P]).reshape([B * P]);
    const options = { ignoredLabel: NO_LABEL, labelSmoothing };
    return {
      masked: masked.crossEntropy(labels, options),
      ...(nextSentence && {
        nextSentence: nextSentence.crossEntropy(input("isRandom", "int32", [B]), { ignoredLabel: NO_LABEL }),
      }),
    };
  }
}

/**
 * Endless text with hidden tokens for {@link MaskedLM}.
 *
 * @throws {ConfigError} if a source is shorter than a sequence, or a sequence has no room for text.
 */
export function maskedStream(options: MaskedSamplerOptions): ExampleStream<MaskedCursor> {
  const sampler = new MaskedSampler(options);
  return {
    next: () => maskedExamples(sampler.next(), options.pairs),
    state: () => sampler.state(),
    restore: (cursor) => sampler.restore(cursor),
  };
}

/** A batch as the losses take it: each hidden token is a target, and each pair. */
export function maskedExamples(batch: MaskedBatch, pairs: boolean): Examples {
  const { batchSize: B, numPredictions: P, contextLength } = batch.shape;
  const masked = Int32Array.from({ length: B }, (_, row) =>
    batch.labels.subarray(row * P, (row + 1) * P).reduce((n, label) => n + Number(label !== NO_LABEL), 0),
  );
  const labels = hostTensor("int32", [B, P], batch.labels);
  const inputs = { ...maskedFeeds(batch), labels };
  if (!pairs) return { inputs, numTargets: { masked }, contextLength };
  return {
    inputs: { ...inputs, isRandom: hostTensor("int32", [B], batch.isRandom) },
    numTargets: { masked, nextSentence: batch.isRandom.map((label) => Number(label !== NO_LABEL)) },
    contextLength,
  };
}
