import { numElements } from "../core/dtype.ts";
import type { CausalLM } from "../models/contracts.ts";
import type { Parameter } from "../nn/scope.ts";
import { countFlops } from "../tensor/count-flops.ts";
import { gradients } from "../tensor/gradient.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { BatchShape, Objective } from "./objective.ts";

/**
 * Floating-point operations of training a decoder on one batch: `6·N` a token for the matrices, and `12·L·T·C` for
 * attention over full squares of T × T (Kaplan et al. 2020, §2.1; PaLM, app. B). Position tables do no arithmetic.
 */
export function trainingFlops(model: CausalLM, { batchSize, contextLength }: BatchShape): number {
  const lookups = model.parameters.filter(({ path }) => model.lookupPaths.includes(path));
  const count = (list: readonly { readonly shape: readonly number[] }[]) =>
    list.reduce((total, { shape }) => total + numElements(shape), 0);
  const matrices = count(model.parameters) - count(lookups);
  return (
    batchSize *
    contextLength *
    (6 * matrices + 12 * model.shape.numLayers * contextLength * model.shape.width)
  );
}

/**
 * Floating-point operations of one training step by these losses, counted on the graph of losses and gradients: two for each product in
 * matrix products and attention. Frozen weights have no gradient of their own, and what lies before the first trained one has none at all.
 */
export function trainingFlopsOf(losses: readonly Tensor[], trained: readonly Parameter[]): number {
  const loss = losses.reduce((sum, part) => sum.add(part));
  const wrt = trained.map(({ tensor }) => tensor);
  return countFlops([loss, ...gradients(loss, wrt)]);
}

/** Floating-point operations of training on one batch: as the objective says, or else counted on its graph. */
export function flopsOf(objective: Objective, shape: BatchShape): number {
  const counted = () =>
    trainingFlopsOf(Object.values(objective.losses(shape, 0)), objective.model.parameters);
  return objective.trainingFlops?.(shape) ?? counted();
}
