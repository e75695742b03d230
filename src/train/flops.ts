import { numElements } from "../core/dtype.ts";
import { type Shape, staticShape } from "../core/shape.ts";
import type { CausalLM } from "../models/contracts.ts";
import { reachableNodes } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Floating-point operations of training on a number of tokens: `6·N` a token for the matrices, and `12·L·T·C` for
 * attention over full squares of T × T (Kaplan et al. 2020, §2.1; PaLM, app. B). Position tables do no arithmetic.
 */
export function trainingFlops(model: CausalLM, contextLength: number, numTokens: number): number {
  const lookups = model.parameters.filter(({ path }) => model.lookupPaths.includes(path));
  const count = (list: readonly { readonly shape: readonly number[] }[]) =>
    list.reduce((total, { shape }) => total + numElements(shape), 0);
  const matrices = count(model.parameters) - count(lookups);
  return numTokens * (6 * matrices + 12 * model.shape.numLayers * contextLength * model.shape.width);
}

/**
 * Floating-point operations of training by these losses, counted on the graph: two a product of numbers in matrix products
 * and attention forwards, and twice as many again backwards.
 */
export function trainingFlopsOf(losses: readonly Tensor[]): number {
  const forward = reachableNodes(losses).reduce((sum, { op, inputs, outputs }) => {
    const count = FORWARD_FLOPS[op?.name ?? ""];
    return sum + (count?.(inputs, outputs[0]!) ?? 0);
  }, 0);
  return 3 * forward;
}

/** Of one operator, from its inputs and its first output. */
const FORWARD_FLOPS: Readonly<Record<string, (inputs: readonly Tensor[], output: Tensor) => number>> = {
  // The inner size is the last one of the left matrix: no model transposes that.
  matmul: ([left], output) => 2 * size(output) * size(left!.shape.slice(-1)),
  linear: ([left], output) => 2 * size(output) * size(left!.shape.slice(-1)),
  attention: ([query, key], _) => 4 * size(query!) * size(key!.shape.slice(2, 3)),
};

function size(of: Tensor | Shape): number {
  return numElements(staticShape("shape" in of ? of.shape : of, "trainingFlopsOf"));
}
