// B sequences · T tokens · P predictions a sequence · C width · V vocabulary

import { type HostTensor, hostTensor } from "../core/dtype.ts";
import { type MaskedBatch, maskedShape } from "../data/masked-rows.ts";
import type { MaskedOptions } from "../data/masked-sampler.ts";
import type { Encoder } from "../models/contracts.ts";
import { constant, input, type Tensor } from "../tensor/tensor.ts";
import type { BatchShape } from "./objective.ts";

/** What an encoder says about a batch: scores of the hidden tokens, and whether pairs belong together. */
export interface MaskedScores {
  /** `(B·P, V)` */
  readonly masked: Tensor;
  /** `(B, 2)`: follows, does not */
  readonly nextSentence: Tensor | undefined;
}

/**
 * What an encoder says about a batch, over inputs `tokens`, `segments`, `mask` `(B, T)` and `positions` `(B, P)`. Scores
 * are computed at these positions only.
 */
export function maskedScores(encoder: Encoder, shape: BatchShape, options: MaskedOptions): MaskedScores {
  const { batchSize: B, contextLength: T } = shape;
  const { numPredictions: P } = maskedShape(shape, options);
  const { maskedLogits, pooled, nextSentenceLogits } = encoder.heads;
  const ids = (name: string) => input(name, "int32", [B, T]);
  const text = { tokens: ids("tokens"), segments: ids("segments"), mask: ids("mask") };
  const hidden = encoder.hidden(text); // (B, T, C)
  const starts = Int32Array.from({ length: B }, (_, row) => row * T);
  const places = input("positions", "int32", [B, P]).add(constant(hostTensor("int32", [B, 1], starts)));
  const picked = hidden.reshape([B * T, encoder.shape.width]).gatherRows(places.reshape([B * P])); // (B·P, C)
  const nextSentence = options.pairs ? nextSentenceLogits!(pooled!(hidden)) : undefined;
  return { masked: maskedLogits!(picked), nextSentence };
}

/** Feeds of {@link maskedScores}. */
export function maskedFeeds(batch: MaskedBatch): Record<string, HostTensor> {
  const { batchSize: B, contextLength: T, numPredictions: P } = batch.shape;
  return {
    tokens: hostTensor("int32", [B, T], batch.tokens),
    segments: hostTensor("int32", [B, T], batch.segments),
    mask: hostTensor("int32", [B, T], batch.mask),
    positions: hostTensor("int32", [B, P], batch.positions),
  };
}
