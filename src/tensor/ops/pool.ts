import { numElements } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import type { Shape } from "../../core/shape.ts";
import { type NdArray, ndArray, ravel, unravel } from "../nd-array.ts";
import type { Op, TensorSpec } from "../op.ts";
import {
  countWindows,
  expectIntegers,
  onnxWindow,
  type Padding,
  perAxis,
  placeOf,
  spatialSizes,
  type WindowAttributes,
  type WindowOptions,
  windowAttributes,
} from "./windows.ts";

// B batch · C channels · L length; L stands for one axis or for two

export interface PoolAttributes {
  /** Size of the window, per spatial axis. */
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly Padding[];
}

export interface AveragePoolAttributes extends PoolAttributes {
  /** Padding counts as zeros to be averaged; otherwise only what is really there counts. */
  readonly countPadding: boolean;
}

/** The stride is the kernel's size unless given, so that windows tile the image. */
export interface PoolOptions extends Omit<WindowOptions, "dilation"> {
  readonly kernel: number | readonly number[];
}

/** Options spelled out for every spatial axis. @throws {ShapeError} if one is out of range. */
export function poolAttributes(numAxes: number, options: PoolOptions): PoolAttributes {
  const kernel = perAxis<number>("pool", "kernel", numAxes, options.kernel);
  expectIntegers("pool", "kernel", kernel, 1);
  const { stride, padding } = windowAttributes("pool", numAxes, { stride: kernel, ...options });
  return { kernel, stride, padding };
}

/**
 * Largest element of each window of x `(B, C, L)`; padding never wins. Also yields where it was, as an int64 index into all of x
 * laid flat: the gradient goes there, to the first where several tie (as in PyTorch).
 */
export const maxPool: Op<PoolAttributes> = {
  name: "maxPool",
  infer: ([x], attributes) => {
    const shape = pooledShape(x!, attributes);
    return [
      { dtype: x!.dtype, shape },
      { dtype: "int64", shape },
    ];
  },
  reference: ([x], attributes) => {
    const indices = mapWindows(x!, attributes, (places) =>
      places.reduce((best, place) => (x!.data[place]! > x!.data[best]! ? place : best)),
    );
    return [ndArray(indices.shape, (flat) => x!.data[indices.data[flat]!]!), indices];
  },
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("MaxPool", inputs, {
      attributes: onnxWindow(attributes.kernel, attributes),
      numOutputs: 2,
    }),
  gradient: ({ inputs: [x], outputs: [, indices], gradients: [g] }) => {
    const flat = x!.zero().broadcastTo([numElements(x!.shape as number[])]);
    const count = numElements(g!.shape as number[]);
    return [flat.scatterAddAlongLast(indices!.reshape([count]), g!.reshape([count])).reshape(x!.shape)];
  },
  samples: [
    { shapes: [[2, 3, 7]], attributes: pool([2], [2], [[0, 0]]), draw: ["apart"] },
    { shapes: [[1, 1, 5]], attributes: pool([3], [1], [[1, 2]]), draw: ["apart"] },
    { shapes: [[2, 1, 1]], attributes: pool([1], [1], [[0, 0]]), draw: ["apart"] },
    {
      shapes: [[2, 2, 5, 4]],
      attributes: pool(
        [3, 2],
        [2, 1],
        [
          [1, 1],
          [0, 1],
        ],
      ),
      draw: ["apart"],
    },
  ],
};

/** Mean of each window of x `(B, C, L)`. */
export const averagePool: Op<AveragePoolAttributes> = {
  name: "averagePool",
  infer: ([x], attributes) => [{ dtype: x!.dtype, shape: pooledShape(x!, attributes) }],
  reference: ([x], attributes) => {
    const full = numElements(attributes.kernel);
    const average = (places: readonly number[]) =>
      places.reduce((sum, place) => sum + x!.data[place]!, 0) /
      (attributes.countPadding ? full : places.length);
    return [mapWindows(x!, attributes, average)];
  },
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("AveragePool", inputs, {
      attributes: {
        ...onnxWindow(attributes.kernel, attributes),
        count_include_pad: BigInt(attributes.countPadding),
      },
    }),
  gradient: ({ inputs: [x], gradients: [g], attributes: { kernel, stride, padding, countPadding } }) => {
    const [batch, numChannels, ...sizes] = x!.shape as [number, number, ...number[]];
    const filter = x!.scalar(1).broadcastTo([1, 1, ...kernel]);
    const onePlane = x!.scalar(1).broadcastTo([1, 1, ...sizes]);
    const counts = countPadding
      ? x!.scalar(numElements(kernel))
      : onePlane.convolution(filter, undefined, { stride, padding });
    const places = g!.shape.slice(2) as number[];
    const outputPadding = sizes.map((size, axis) => {
      const seen = (places[axis]! - 1) * stride[axis]! + kernel[axis]!;
      return size + padding[axis]![0] + padding[axis]![1] - seen;
    });
    // Each channel of each image is spread by itself: as if there were that many images of one channel.
    const planes = g!.div(counts).reshape([batch * numChannels, 1, ...places]);
    const spread = planes.convolutionTranspose(filter, undefined, { stride, padding, outputPadding });
    return [spread.reshape(x!.shape)];
  },
  samples: [
    { shapes: [[2, 3, 7]], attributes: { ...pool([2], [2], [[0, 0]]), countPadding: false } },
    { shapes: [[1, 1, 5]], attributes: { ...pool([3], [1], [[1, 2]]), countPadding: false } },
    { shapes: [[2, 1, 1]], attributes: { ...pool([1], [1], [[0, 0]]), countPadding: true } },
    {
      shapes: [[2, 2, 5, 4]],
      attributes: {
        ...pool(
          [3, 2],
          [2, 1],
          [
            [1, 1],
            [0, 1],
          ],
        ),
        countPadding: true,
      },
    },
    {
      shapes: [[1, 2, 4, 4]],
      attributes: {
        ...pool(
          [3, 3],
          [2, 2],
          [
            [1, 0],
            [1, 0],
          ],
        ),
        countPadding: false,
      },
    },
  ],
};

function pool(
  kernel: readonly number[],
  stride: readonly number[],
  padding: readonly Padding[],
): PoolAttributes {
  return { kernel, stride, padding };
}

function toWindows({ kernel, stride, padding }: PoolAttributes): WindowAttributes {
  return { stride, padding, dilation: kernel.map(() => 1) };
}

/** @throws {ShapeError} if padding could fill a whole window, which would have nothing to yield. */
function pooledShape(x: TensorSpec, attributes: PoolAttributes): Shape {
  const sizes = spatialSizes("pool", x.shape);
  const { kernel, padding } = attributes;
  if (padding.some((sides, axis) => Math.max(...sides) >= kernel[axis]!)) {
    throw new ShapeError({
      where: "pool",
      expected: `padding below the window's size [${kernel.join(", ")}]`,
      got: padding.map((sides) => `[${sides.join(", ")}]`).join(", "),
    });
  }
  return [...x.shape.slice(0, 2), ...countWindows("pool", sizes, kernel, toWindows(attributes))];
}

/** Applies `f` to the flat indices of the elements that each window holds, in order. */
function mapWindows(
  x: NdArray,
  attributes: PoolAttributes,
  f: (places: readonly number[]) => number,
): NdArray {
  const { kernel } = attributes;
  const sizes = x.shape.slice(2);
  const windows = toWindows(attributes);
  const taps = Array.from({ length: numElements(kernel) }, (_, tap) => unravel(tap, kernel));
  const shape = [...x.shape.slice(0, 2), ...countWindows("pool", sizes, kernel, windows)];
  return ndArray(shape, (flat) => {
    const [b, c, ...at] = unravel(flat, shape) as [number, number, ...number[]];
    const places = taps.flatMap((tap) => {
      const place = placeOf(at, tap, sizes, windows);
      return place ? [ravel([b, c, ...place], x.shape)] : [];
    });
    return f(places);
  });
}
