import { numElements } from "../core/dtype.ts";
import { sizeInBytes, storedParts } from "../core/weights.ts";
import type { CausalLM, Encoder } from "./contracts.ts";
import type { Described } from "./match-tensors.ts";
import { openCheckpoint } from "./open-checkpoint.ts";
import { type FindFamily, openModel } from "./open-model.ts";
import {
  classifierFamilyOf,
  encoderFamilyOf,
  familyOf,
  isClassifierConfig,
  isEncoderType,
} from "./registry.ts";

/** How a parameter will lie in memory. */
export interface TensorFootprint {
  readonly path: string;
  readonly shape: readonly number[];
  /** A matrix that activations are multiplied with, of which the runtime keeps a copy packed for its kernels. */
  readonly isMultiplied: boolean;
  /** Mapped from its file; else read into memory as float32. */
  readonly isMapped: boolean;
  /** Of its numbers, in the form they are held in: float32, or blocks of few bits. */
  readonly bytes: number;
  /** Of scales and zero points of blocks. */
  readonly scaleBytes: number;
}

/** What a model directory will be once it is loaded. */
export type ModelDescription = {
  readonly directory: string;
  readonly tensors: readonly TensorFootprint[];
} & (
  | { readonly kind: "causal"; readonly model: CausalLM }
  | { readonly kind: "encoder"; readonly model: Encoder }
);

/**
 * Describes a model directory from its configuration and the headers of its files: no weights are read.
 *
 * @throws as `loadModel` and `loadEncoder`
 */
export function describeModel(directory: string): ModelDescription {
  const opened = openCheckpoint(directory);
  opened.close();
  if (isEncoderType(opened.config.model_type)) {
    return { kind: "encoder", directory, ...describe(directory, encoderFamilyOf) };
  }
  if (isClassifierConfig(opened.config)) {
    const { model, tensors } = describe(directory, classifierFamilyOf);
    return { kind: "causal", directory, model: model.body, tensors };
  }
  return { kind: "causal", directory, ...describe(directory, familyOf) };
}

function describe<M extends Described & { readonly lookupPaths: readonly string[] }>(
  directory: string,
  find: FindFamily<M>,
): { readonly model: M; readonly tensors: readonly TensorFootprint[] } {
  const { opened, model, nameOf, quantized } = openModel(directory, find);
  try {
    const lookups = new Set(model.lookupPaths);
    const tensors = model.parameters.map(({ path, shape, sumAxis }): TensorFootprint => {
      const name = nameOf.get(path)!;
      const isMultiplied = sumAxis !== undefined && !lookups.has(path);
      const blocks = sumAxis === undefined ? undefined : quantized?.open(name, shape, sumAxis);
      if (blocks) {
        const [values, ...others] = storedParts(blocks).map(sizeInBytes);
        const scaleBytes = others.reduce((sum, bytes) => sum + bytes, 0);
        return { path, shape, isMultiplied, isMapped: true, bytes: values!, scaleBytes };
      }
      const { dtype, byteOffset } = opened.weights.entry(name);
      const isMapped = dtype === "F32" && byteOffset % 4 === 0;
      return { path, shape, isMultiplied, isMapped, bytes: 4 * numElements(shape), scaleBytes: 0 };
    });
    return { model, tensors };
  } finally {
    opened.close();
  }
}
