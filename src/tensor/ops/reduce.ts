import { numElements } from "../../core/dtype.ts";
import { normalizeAxis, type Shape } from "../../core/shape.ts";
import { aroundAxis, mapLines, type NdArray } from "../nd-array.ts";
import type { EmitCall, Op, Sample, TensorSpec } from "../op.ts";
import { int64s } from "./constants.ts";

export interface ReduceAttributes {
  /** Axes to fold, counted from the front, ascending. */
  readonly axes: readonly number[];
  /** Keep the folded axes with size 1. */
  readonly keepAxes: boolean;
}

const SAMPLES: readonly Sample<ReduceAttributes>[] = [
  { shapes: [[3, 4]], attributes: { axes: [1], keepAxes: false } },
  { shapes: [[2, 1, 5]], attributes: { axes: [0, 2], keepAxes: true } },
  { shapes: [[6]], attributes: { axes: [0], keepAxes: false } },
  { shapes: [[4, 1]], attributes: { axes: [1], keepAxes: true } },
];

/** All axes when none are named; negative ones count from the back. */
export function normalizeAxes(
  axes: number | readonly number[] | undefined,
  rank: number,
  where: string,
): number[] {
  const given = axes === undefined ? Array.from({ length: rank }, (_, axis) => axis) : [axes].flat();
  return [...new Set(given.map((axis) => normalizeAxis(axis, rank, where)))].sort((a, b) => a - b);
}

/** The shape with the folded axes at size 1: what broadcasts back over the input. */
export function keptShape(shape: Shape, axes: readonly number[]): Shape {
  return shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
}

function reducedShape(shape: Shape, { axes, keepAxes }: ReduceAttributes): Shape {
  return keepAxes ? keptShape(shape, axes) : shape.filter((_, axis) => !axes.includes(axis));
}

function referenceReduce(
  x: NdArray,
  attributes: ReduceAttributes,
  fold: (line: Float64Array) => number,
): NdArray {
  const kept = attributes.axes.reduce((array, axis) => mapLines(array, axis, (line) => [fold(line)]), x);
  return { shape: reducedShape(x.shape, attributes) as number[], data: kept.data };
}

function emitReduce(onnx: string, { emitter, inputs, attributes }: EmitCall<ReduceAttributes>) {
  return emitter.node(onnx, [inputs[0]!, int64s(emitter, attributes.axes)], {
    attributes: { keepdims: attributes.keepAxes ? 1n : 0n },
  });
}

/** Sum over axes. */
export const sum: Op<ReduceAttributes> = {
  name: "sum",
  infer: ([x], attributes) => [{ dtype: x!.dtype, shape: reducedShape(x!.shape, attributes) }],
  reference: ([x], attributes) => [
    referenceReduce(x!, attributes, (line) => line.reduce((a, b) => a + b, 0)),
  ],
  emit: (call) => emitColumnSum(call) ?? emitReduce("ReduceSum", call),
  gradient: ({ inputs: [x], gradients: [g], attributes }) => [
    g!.reshape(keptShape(x!.shape, attributes.axes)).broadcastTo(x!.shape),
  ],
  samples: SAMPLES,
};

/**
 * A sum over the leading axes as a product with a row of ones, which the runtime streams through at twice the speed of
 * its reduction: the gradients of biases and norms are such sums. `undefined` where it does not apply.
 */
function emitColumnSum({ emitter, inputs, inputSpecs, outputSpecs, attributes }: EmitCall<ReduceAttributes>) {
  const [{ dtype, shape }] = inputSpecs as [TensorSpec];
  const { axes } = attributes;
  const isLeading = axes.length < shape.length && axes.every((axis, i) => axis === i);
  if (!isLeading || dtype !== "float32" || shape.some((dim) => typeof dim === "string")) return undefined;
  const rows = numElements(shape.slice(0, axes.length) as number[]);
  const columns = numElements(shape.slice(axes.length) as number[]);
  const matrix = emitter.node("Reshape", [inputs[0]!, int64s(emitter, [rows, columns])])[0]!;
  const ones = emitter.constant({ dtype, shape: [1, rows], data: new Float32Array(rows).fill(1) });
  const sums = emitter.node("MatMul", [ones, matrix])[0]!;
  return emitter.node("Reshape", [sums, int64s(emitter, outputSpecs[0]!.shape as number[])]);
}

/** Largest element; ties share the gradient equally. */
export const max: Op<ReduceAttributes> = {
  name: "max",
  infer: ([x], attributes) => [{ dtype: x!.dtype, shape: reducedShape(x!.shape, attributes) }],
  reference: ([x], attributes) => [referenceReduce(x!, attributes, (line) => Math.max(...line))],
  emit: (call) => emitReduce("ReduceMax", call),
  gradient: ({ inputs: [x], outputs: [y], gradients: [g], attributes }) => {
    const kept = keptShape(x!.shape, attributes.axes);
    const hits = x!.equal(y!.reshape(kept)).cast(x!.dtype);
    const share = g!.reshape(kept).div(hits.sum(attributes.axes, true));
    return [hits.mul(share)];
  },
  samples: SAMPLES.map((sample) => ({ ...sample, draw: ["apart"] })),
};

/** Index of the largest element along one axis (the first, on ties). */
export const argmax: Op<{ readonly axis: number }> = {
  name: "argmax",
  infer: ([x], { axis }) => [{ dtype: "int64", shape: x!.shape.filter((_, a) => a !== axis) }],
  reference: ([x], { axis }) => {
    const { outer, inner } = aroundAxis(x!.shape, axis);
    const indices = mapLines(x!, axis, (line) => [line.indexOf(Math.max(...line))]);
    return [{ shape: x!.shape.filter((_, a) => a !== axis), data: indices.data.slice(0, outer * inner) }];
  },
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("ArgMax", inputs, { attributes: { axis: BigInt(attributes.axis), keepdims: 0n } }),
  samples: [
    { shapes: [[3, 4]], attributes: { axis: 1 }, draw: ["apart"] },
    { shapes: [[2, 1, 5]], attributes: { axis: 0 }, draw: ["apart"] },
    { shapes: [[6]], attributes: { axis: 0 }, draw: ["apart"] },
  ],
};
