import { numElements } from "../core/dtype.ts";
import { type Shape, staticShape } from "../core/shape.ts";
import type { CausalLM } from "../models/contracts.ts";
import type { Parameter } from "../nn/scope.ts";
import { reachableNodes } from "../tensor/graph.ts";
import type { Node, Tensor } from "../tensor/tensor.ts";

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
 * and attention forwards, and as many again backwards for each factor that depends on a trained parameter.
 *
 * @param trained default: every parameter
 */
export function trainingFlopsOf(losses: readonly Tensor[], trained?: readonly Parameter[]): number {
  const isTrained = new Set(trained?.map(({ tensor }) => tensor.node));
  const moving = new Set<Node>();
  let flops = 0;
  for (const node of reachableNodes(losses)) {
    const { op, leaf, inputs, outputs } = node;
    const moves = inputs.map((tensor) => moving.has(tensor.node));
    const isSource = leaf?.kind === "parameter" && (!trained || isTrained.has(node));
    if (isSource || moves.includes(true)) moving.add(node);
    const forward = FORWARD_FLOPS[op?.name ?? ""]?.(inputs, outputs[0]!) ?? 0;
    // Of attention's two products, four factors; they all move or none does.
    const factors =
      op?.name === "attention" ? [moves.includes(true), moves.includes(true)] : moves.slice(0, 2);
    flops += forward * (1 + factors.filter(Boolean).length);
  }
  return flops;
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
