import { join } from "node:path";
import type { ModelDirectory } from "../hub/model-directory.ts";
import { openQuantizedWeights, type QuantizedWeights } from "../hub/quantized-weights.ts";
import { type Described, matchTensors } from "./match-tensors.ts";
import { openCheckpoint } from "./open-checkpoint.ts";
import type { Family } from "./registry.ts";

/** Finds the family of a `model_type`, or says why there is none. */
export type FindFamily<M> = (modelType: unknown, where: string) => Family<M>;

/** A model that a directory describes, with its weights ready to be read. */
export interface OpenModel<M> {
  /** To be closed. */
  readonly opened: ModelDirectory;
  readonly model: M;
  /** The published name of each parameter. */
  readonly nameOf: ReadonlyMap<string, string>;
  readonly quantized: QuantizedWeights | undefined;
}

/**
 * Reads configuration and headers, and checks that the tensors are those of the architecture.
 *
 * @throws as `loadModel`
 */
export function openModel<M extends Described>(directory: string, find: FindFamily<M>): OpenModel<M> {
  const opened = openCheckpoint(directory);
  try {
    const where = join(directory, "config.json");
    const family = find(opened.config.model_type, where);
    const quantized = openQuantizedWeights(opened.config, opened.weights, where);
    const names = quantized?.names ?? opened.weights.names;
    const model = family.fromPublished(opened.config, names);
    return { opened, model, nameOf: matchTensors(directory, model, family, names), quantized };
  } catch (error) {
    opened.close();
    throw error;
  }
}
