import { ShapeError } from "../../core/errors.ts";
import { showShape, staticShape } from "../../core/shape.ts";
import { ndArray } from "../nd-array.ts";
import type { Op } from "../op.ts";
import { int64s } from "./constants.ts";

export interface TopKAttributes {
  readonly count: number;
}

/**
 * The largest elements of each line of the last axis, in falling order, and their int64 indices: x `(…, V)` → `(…, count)`. Of equal ones the
 * first comes first.
 */
export const topK: Op<TopKAttributes> = {
  name: "topK",
  infer: ([x], { count }) => {
    const [size] = staticShape(x!.shape.slice(-1), "topK");
    if (size === undefined || !Number.isInteger(count) || count < 1 || count > size) {
      throw new ShapeError({
        where: "topK",
        expected: `a count in [1, ${size ?? 0}] for ${showShape(x!.shape)}`,
        got: `${count}`,
      });
    }
    const shape = [...x!.shape.slice(0, -1), count];
    return [
      { dtype: x!.dtype, shape },
      { dtype: "int64", shape },
    ];
  },
  reference: ([x], { count }) => {
    const size = x!.shape.at(-1)!;
    const orders = Array.from({ length: x!.data.length / size }, (_, line) => {
      const values = x!.data.subarray(line * size, (line + 1) * size);
      return [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
    });
    const shape = [...x!.shape.slice(0, -1), count];
    const indices = ndArray(shape, (flat) => orders[Math.floor(flat / count)]![flat % count]!);
    return [
      ndArray(shape, (flat) => x!.data[Math.floor(flat / count) * size + indices.data[flat]!]!),
      indices,
    ];
  },
  emit: ({ emitter, inputs, attributes: { count } }) =>
    emitter.node("TopK", [inputs[0]!, int64s(emitter, [count])], {
      attributes: { axis: -1n, largest: 1n, sorted: 1n },
      numOutputs: 2,
    }),
  gradient: ({ inputs: [x], outputs: [, indices], gradients: [g] }) => [
    x!.zero().broadcastTo(x!.shape).scatterAddAlongLast(indices!, g!),
  ],
  samples: [
    { shapes: [[3, 5]], attributes: { count: 2 }, draw: ["apart"] },
    { shapes: [[2, 1, 4]], attributes: { count: 4 }, draw: ["apart"] },
    { shapes: [[1]], attributes: { count: 1 }, draw: ["apart"] },
    // Ties, and integers.
    { shapes: [[2, 6]], attributes: { count: 5 }, draw: [{ values: [2, 7, 7, 1, 2, 7], dtype: "int64" }] },
  ],
};
