// C width · D head width

import type { HostTensor } from "../../core/dtype.ts";
import type { Random } from "../../core/random.ts";
import { initializeParameters } from "../../nn/scope.ts";
import type { Bert } from "./model.ts";

/** The width that BERT's deviation of 0.02 was chosen for. */
const PUBLISHED_WIDTH = 768;

/** How much longer positions are than other embeddings to begin with, so that attention sees them first. */
const POSITION_GAIN = 3.3;

/** Base of the wavelengths: from 2π tokens to a hundred times as many. */
const WAVELENGTH_BASE = 100;

/** Factor on queries and keys: attention begins with clear preferences instead of an even spread. */
const ATTENTION_GAIN = 1.5;

/**
 * First weights for a small encoder that is pretrained in minutes: the published ones, which suit a wide model with weeks
 * to learn, leave it guessing the most common token for most of its time. Three things are different. Matrices of a model
 * narrower than BERT start larger, in proportion to √(768 / C), so that products have the same size. Positions start as
 * sines and cosines, so that near ones are alike (Vaswani et al. 2017, §3.5); they are trained like everything else.
 * And keys start as their queries, so that each token looks first at those near it.
 */
export function localFirstWeights(model: Bert, random: Random): Map<string, HostTensor> {
  const { width, contextLength } = model.config;
  const gain = Math.sqrt(PUBLISHED_WIDTH / width);
  const weights = initializeParameters(model.parameters, random);
  for (const { shape, data } of weights.values()) {
    if (shape.length >= 2) scale(data as Float32Array, gain);
  }
  const positions = weights.get("embeddings.position_embeddings.weight")!.data as Float32Array;
  fillWithWaves(positions, contextLength, width, POSITION_GAIN * 0.02 * gain);
  for (let layer = 0; layer < model.config.numLayers; layer++) {
    const of = (name: string) =>
      weights.get(`encoder.layer.${layer}.attention.self.${name}.weight`)!.data as Float32Array;
    scale(of("query"), ATTENTION_GAIN);
    of("key").set(of("query"));
  }
  return weights;
}

function scale(values: Float32Array, factor: number): void {
  for (let i = 0; i < values.length; i++) values[i]! *= factor;
}

function fillWithWaves(table: Float32Array, numPositions: number, width: number, amplitude: number): void {
  for (let at = 0; at < numPositions; at++) {
    for (let c = 0; c < width; c++) {
      const angle = at * WAVELENGTH_BASE ** (-(c - (c % 2)) / width);
      table[at * width + c] = amplitude * (c % 2 === 0 ? Math.sin(angle) : Math.cos(angle));
    }
  }
}
