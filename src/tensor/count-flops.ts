import { reachableNodes } from "./graph.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Floating-point operations of all matrix products that the tensors depend on, each node once. Sizes must be known.
 *
 * @example
 * countFlops([input("x", "float32", [2, 3]).matmul(input("y", "float32", [3, 4]))]); // => 48
 */
export function countFlops(tensors: readonly Tensor[]): number {
  return reachableNodes(tensors).reduce(
    (total, { op, inputs, attributes }) => total + (op?.flops?.(inputs, attributes) ?? 0),
    0,
  );
}
