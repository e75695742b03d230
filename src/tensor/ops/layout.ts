import { ShapeError } from "../../core/errors.ts";
import {
  broadcastShapes,
  type Dim,
  type Shape,
  sameShape,
  showShape,
  staticShape,
} from "../../core/shape.ts";
import { aroundAxis, broadcastIndex, ndArray, ravel, stridesOf, unravel } from "../nd-array.ts";
import type { Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { int64s } from "./constants.ts";

/**
 * The same elements under another shape. Named dimensions may stay where they are; at most one dimension may
 * be left to be worked out at run time.
 */
export const reshape: Op<{ readonly shape: Shape }> = {
  name: "reshape",
  infer: ([x], { shape }) => {
    const product = (dims: Shape) =>
      dims.reduce<number>((n, dim) => n * (typeof dim === "number" ? dim : 1), 1);
    const isStatic = [...x!.shape, ...shape].every((dim) => typeof dim === "number");
    if (
      isStatic ? product(x!.shape) !== product(shape) : onnxSizes(x!.shape, shape).filter(isFree).length > 1
    ) {
      throw new ShapeError({
        where: "reshape",
        expected: `a shape with the elements of ${showShape(x!.shape)}`,
        got: showShape(shape),
      });
    }
    return [{ dtype: x!.dtype, shape }];
  },
  reference: ([x], { shape }) => [{ shape: resolve(x!.data.length, shape), data: x!.data }],
  emit: ({ emitter, inputs, inputSpecs, attributes }) => {
    const sizes = int64s(emitter, onnxSizes(inputSpecs[0]!.shape, attributes.shape));
    // ONNX reads a 0 as "the size it had", unless told that there are axes without elements.
    const isEmpty = attributes.shape.includes(0);
    return emitter.node("Reshape", [inputs[0]!, sizes], isEmpty ? { attributes: { allowzero: 1n } } : {});
  },
  gradient: ({ inputs: [x], gradients: [g] }) => [g!.reshape(x!.shape)],
  samples: [
    { shapes: [[2, 6]], attributes: { shape: [3, 4] } },
    { shapes: [[4]], attributes: { shape: [1, 2, 2] } },
    { shapes: [[1]], attributes: { shape: [] } },
  ],
};

/** ONNX's way of saying it: 0 keeps the input's size on that axis, −1 is worked out. */
function onnxSizes(from: Shape, to: Shape): number[] {
  return to.map((dim, axis) => (typeof dim === "number" ? dim : dim === from[axis] ? 0 : -1));
}

function isFree(size: number): boolean {
  return size === -1;
}

/** The reference sees sizes only, not which name an axis had, so it can work out a single named one. */
function resolve(length: number, shape: Shape): number[] {
  if (shape.filter((dim) => typeof dim === "string").length > 1) staticShape(shape, "reference of reshape");
  const known = shape.reduce<number>((n, dim) => n * (typeof dim === "number" ? dim : 1), 1);
  return shape.map((dim) => (typeof dim === "number" ? dim : length / known));
}

/** Axes in another order: output axis i is input axis `order[i]`. */
export const transpose: Op<{ readonly order: readonly number[] }> = {
  name: "transpose",
  infer: ([x], { order }) => {
    const sorted = [...order].sort((a, b) => a - b);
    if (order.length !== x!.shape.length || sorted.some((axis, i) => axis !== i)) {
      throw new ShapeError({
        where: "transpose",
        expected: `an order of the ${x!.shape.length} axes of ${showShape(x!.shape)}`,
        got: `[${order.join(", ")}]`,
      });
    }
    return [{ dtype: x!.dtype, shape: order.map((axis) => x!.shape[axis]!) }];
  },
  reference: ([x], { order }) => {
    const shape = order.map((axis) => x!.shape[axis]!);
    const strides = stridesOf(x!.shape);
    const at = (flat: number) =>
      unravel(flat, shape).reduce((sum, index, i) => sum + index * strides[order[i]!]!, 0);
    return [ndArray(shape, (flat) => x!.data[at(flat)]!)];
  },
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("Transpose", inputs, { attributes: { perm: attributes.order.map(BigInt) } }),
  gradient: ({ gradients: [g], attributes: { order } }) => [
    g!.transpose(order.map((_, axis) => order.indexOf(axis))),
  ],
  samples: [
    { shapes: [[3, 4]], attributes: { order: [1, 0] } },
    { shapes: [[2, 1, 3, 4]], attributes: { order: [0, 2, 1, 3] } },
    { shapes: [[5]], attributes: { order: [0] } },
  ],
};

/** Repeats size-1 (or missing leading) axes up to the given sizes. */
export const broadcastTo: Op<{ readonly shape: readonly number[] }> = {
  name: "broadcastTo",
  infer: ([x], { shape }) => {
    staticShape(shape, "broadcastTo");
    if (!sameShape(broadcastShapes(x!.shape, shape, "broadcastTo"), shape)) {
      throw new ShapeError({
        where: "broadcastTo",
        expected: `a shape that broadcasts to ${showShape(shape)}`,
        got: showShape(x!.shape),
      });
    }
    return [{ dtype: x!.dtype, shape }];
  },
  reference: ([x], { shape }) => [
    ndArray(shape, (flat) => x!.data[broadcastIndex(unravel(flat, shape), x!.shape)]!),
  ],
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("Expand", [inputs[0]!, int64s(emitter, attributes.shape)]),
  gradient: ({ inputs: [x], gradients: [g] }) => [g!.sumTo(x!.shape)],
  samples: [
    { shapes: [[3, 1]], attributes: { shape: [2, 3, 4] } },
    { shapes: [[]], attributes: { shape: [2, 2] } },
    { shapes: [[1, 5]], attributes: { shape: [1, 5] } },
  ],
};

export interface SliceAttributes {
  readonly axis: number;
  readonly start: number;
  /** One past the last index taken. */
  readonly end: number;
}

/** The part [start, end) of one axis. Of one that is only named the first place can be taken, as every axis has that. */
export const slice: Op<SliceAttributes> = {
  name: "slice",
  infer: ([x], { axis, start, end }) => {
    const dim = x!.shape[axis]!;
    const isFirst = start === 0 && end === 1;
    const size = typeof dim === "string" && isFirst ? 1 : staticShape([dim], "slice")[0]!;
    if (start < 0 || end > size || start >= end) {
      throw new ShapeError({
        where: "slice",
        expected: `0 ≤ start < end ≤ ${size} on axis ${axis}`,
        got: `[${start}, ${end})`,
      });
    }
    return [{ dtype: x!.dtype, shape: withAxis(x!.shape, axis, end - start) }];
  },
  reference: ([x], { axis, start, end }) => {
    const shape = withAxis(x!.shape, axis, end - start) as number[];
    return [
      ndArray(shape, (flat) => {
        const index = unravel(flat, shape);
        index[axis]! += start;
        return x!.data[ravel(index, x!.shape)]!;
      }),
    ];
  },
  emit: ({ emitter, inputs, attributes: { axis, start, end } }) =>
    emitter.node("Slice", [inputs[0]!, ...[[start], [end], [axis]].map((value) => int64s(emitter, value))]),
  gradient: ({ inputs: [x], gradients: [g], attributes: { axis, start, end } }) => {
    const [size] = staticShape([x!.shape[axis]!], "gradient of slice");
    return [g!.pad(axis, start, size! - end)];
  },
  samples: [
    { shapes: [[5, 2]], attributes: { axis: 0, start: 1, end: 4 } },
    { shapes: [[2, 1, 3]], attributes: { axis: 1, start: 0, end: 1 } },
    { shapes: [[6]], attributes: { axis: 0, start: 5, end: 6 } },
  ],
};

export interface PadAttributes {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

/** Zeros before and after along one axis. */
export const pad: Op<PadAttributes> = {
  name: "pad",
  infer: ([x], { axis, before, after }) => {
    const size = staticShape([x!.shape[axis]!], "pad")[0]!;
    return [{ dtype: x!.dtype, shape: withAxis(x!.shape, axis, before + size + after) }];
  },
  reference: ([x], { axis, before, after }) => {
    const size = x!.shape[axis]!;
    const shape = withAxis(x!.shape, axis, before + size + after) as number[];
    return [
      ndArray(shape, (flat) => {
        const index = unravel(flat, shape);
        index[axis]! -= before;
        const inside = index[axis]! >= 0 && index[axis]! < size;
        return inside ? x!.data[ravel(index, x!.shape)]! : 0;
      }),
    ];
  },
  emit: ({ emitter, inputs, attributes: { axis, before, after } }) => {
    const parts = [int64s(emitter, [before, after]), "", int64s(emitter, [axis])];
    return emitter.node("Pad", [inputs[0]!, ...parts]);
  },
  gradient: ({ inputs: [x], gradients: [g], attributes: { axis, before } }) => [
    g!.slice(axis, before, before + (x!.shape[axis] as number)),
  ],
  samples: [
    { shapes: [[3, 2]], attributes: { axis: 0, before: 1, after: 2 } },
    { shapes: [[2, 1, 3]], attributes: { axis: 2, before: 0, after: 1 } },
    { shapes: [[4]], attributes: { axis: 0, before: 2, after: 0 } },
  ],
};

/** Tensors one after another along an axis; all other sizes agree. */
export const concat: Op<{ readonly axis: number }> = {
  name: "concat",
  infer: (inputs, { axis }) => {
    const others = (shape: Shape) => shape.filter((_, a) => a !== axis);
    const first = inputs[0]!;
    for (const { shape, dtype } of inputs) {
      const alike = shape.length === first.shape.length && sameShape(others(shape), others(first.shape));
      if (alike && dtype === first.dtype) continue;
      throw new ShapeError({
        where: "concat",
        expected: `tensors like ${showShape(first.shape)} except on axis ${axis}`,
        got: `${dtype} ${showShape(shape)}`,
      });
    }
    const sizes = inputs.map(({ shape }) => shape[axis]!);
    const total: Dim = sizes.every((size) => typeof size === "number")
      ? sizes.reduce<number>((a, b) => a + (b as number), 0)
      : sizes.join(" + ");
    return [{ dtype: first.dtype, shape: withAxis(first.shape, axis, total) }];
  },
  reference: (inputs, { axis }) => {
    const total = inputs.reduce((n, { shape }) => n + shape[axis]!, 0);
    const shape = withAxis(inputs[0]!.shape, axis, total) as number[];
    return [
      ndArray(shape, (flat) => {
        const index = unravel(flat, shape);
        let part = 0;
        while (index[axis]! >= inputs[part]!.shape[axis]!) index[axis]! -= inputs[part++]!.shape[axis]!;
        return inputs[part]!.data[ravel(index, inputs[part]!.shape)]!;
      }),
    ];
  },
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("Concat", inputs, { attributes: { axis: BigInt(attributes.axis) } }),
  gradient: ({ inputs, gradients: [g], attributes: { axis } }) =>
    g!.split(
      inputs.map((input) => input.shape[axis] as number),
      axis,
    ),
  samples: [
    {
      shapes: [
        [2, 3],
        [1, 3],
      ],
      attributes: { axis: 0 },
    },
    {
      shapes: [
        [2, 1, 2],
        [2, 3, 2],
        [2, 1, 2],
      ],
      attributes: { axis: 1 },
    },
    { shapes: [[4]], attributes: { axis: 0 } },
  ],
};

export interface SplitAttributes {
  readonly axis: number;
  readonly sizes: readonly number[];
}

/** The inverse of `concat`: consecutive parts of the given sizes. */
export const split: Op<SplitAttributes> = {
  name: "split",
  infer: ([x], { axis, sizes }) => {
    if (sizes.reduce((a, b) => a + b, 0) !== x!.shape[axis]) {
      throw new ShapeError({
        where: "split",
        expected: `sizes that add up to ${x!.shape[axis]}`,
        got: `[${sizes.join(", ")}]`,
      });
    }
    return sizes.map((size) => ({ dtype: x!.dtype, shape: withAxis(x!.shape, axis, size) }));
  },
  reference: ([x], { axis, sizes }) => {
    const { outer, size: total, inner } = aroundAxis(x!.shape, axis);
    let start = 0;
    return sizes.map((size) => {
      const from = start;
      start += size;
      return ndArray(withAxis(x!.shape, axis, size) as number[], (flat) => {
        const o = Math.floor(flat / (size * inner)) % outer;
        return x!.data[(o * total + from) * inner + (flat % (size * inner))]!;
      });
    });
  },
  emit: ({ emitter, inputs, attributes: { axis, sizes } }) =>
    emitter.node("Split", [inputs[0]!, int64s(emitter, sizes)], {
      attributes: { axis: BigInt(axis) },
      numOutputs: sizes.length,
    }),
  gradient: ({ outputs, gradients, attributes: { axis } }) => {
    const parts = gradients.map((g, i) => g ?? outputs[i]!.zero().broadcastTo(outputs[i]!.shape));
    const [first, ...rest] = parts as [Tensor, ...Tensor[]];
    return [first.concat(rest, axis)];
  },
  samples: [
    { shapes: [[2, 6]], attributes: { axis: 1, sizes: [1, 2, 3] } },
    { shapes: [[3, 1, 2]], attributes: { axis: 0, sizes: [1, 2] } },
    { shapes: [[4]], attributes: { axis: 0, sizes: [4] } },
  ],
};

function withAxis(shape: Shape, axis: number, dim: Dim): Shape {
  return shape.map((old, a) => (a === axis ? dim : old));
}

/** The same values, as a constant to gradients. */
export const detach: Op = {
  name: "detach",
  infer: ([x]) => [x!],
  reference: ([x]) => [x!],
  emit: ({ emitter, inputs }) => emitter.node("Identity", inputs),
  stopsGradient: true,
  samples: [
    { shapes: [[2, 3]], attributes: {} },
    { shapes: [[]], attributes: {} },
    { shapes: [[1, 4, 1]], attributes: {} },
  ],
};
