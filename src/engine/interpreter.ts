import type { HostTensor } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { reachableNodes } from "../tensor/graph.ts";
import type { NdArray } from "../tensor/nd-array.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Computes tensors in float64 with every operator's reference: slow, obvious, and the oracle for everything else.
 *
 * @param feeds values of inputs and parameters by name
 * @throws {ShapeError} if a needed value is missing.
 */
export function interpret(
  tensors: readonly Tensor[],
  feeds: Readonly<Record<string, NdArray>>,
): readonly NdArray[] {
  const values = new Map<Tensor, NdArray>();
  for (const node of reachableNodes(tensors)) {
    const results = node.op
      ? node.op.reference(
          node.inputs.map((tensor) => values.get(tensor)!),
          node.attributes,
        )
      : [leafValue(node.outputs[0]!, feeds)];
    node.outputs.forEach((tensor, i) => {
      values.set(tensor, results[i]!);
    });
  }
  return tensors.map((tensor) => values.get(tensor)!);
}

function leafValue(tensor: Tensor, feeds: Readonly<Record<string, NdArray>>): NdArray {
  const leaf = tensor.node.leaf!;
  if (leaf.kind === "constant") return toNdArray(leaf.value);
  const name = leaf.kind === "input" ? leaf.name : leaf.path;
  const value = feeds[name];
  if (value) return value;
  throw new ShapeError({ where: "interpret", expected: `a value for "${name}"`, got: "none" });
}

/** Widens a tensor to doubles. */
export function toNdArray({ shape, data }: HostTensor): NdArray {
  return { shape, data: Float64Array.from(data as ArrayLike<number | bigint>, Number) };
}
