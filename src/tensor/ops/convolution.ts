import { ShapeError } from "../../core/errors.ts";
import { type Shape, showShape } from "../../core/shape.ts";
import { ndArray, ravel, unravel } from "../nd-array.ts";
import type { Op, TensorSpec } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { expectSameDType } from "./checks.ts";
import { sumOverPlaces, weightGradient } from "./convolution-gradient.ts";
import {
  countWindows,
  expectIntegers,
  onnxWindow,
  placeOf,
  spatialSizes,
  type WindowAttributes,
  type WindowOptions,
  windowAttributes,
} from "./windows.ts";

// B batch · C channels in · O channels out · K kernel · L length; L and K stand for one axis or for two

export interface ConvolutionAttributes extends WindowAttributes {
  /** Channels fall into that many groups that do not see each other; C groups make it depthwise. */
  readonly groups: number;
}

export interface ConvolutionOptions extends WindowOptions {
  readonly groups?: number;
}

/** Options spelled out for an image of that many spatial axes. @throws {ShapeError} if one is out of range. */
export function convolutionAttributes(numAxes: number, options: ConvolutionOptions): ConvolutionAttributes {
  const groups = options.groups ?? 1;
  expectIntegers("convolution", "groups", [groups], 1);
  return { ...windowAttributes("convolution", numAxes, options), groups };
}

/**
 * Cross-correlation of x `(B, C, L)` with weight `(O, C/groups, K)`, plus an optional bias `(O)`, in one or two spatial axes:
 * `y[b, o, t] = bias[o] + Σ_c Σ_k weight[o, c, k] · x[b, c, t·stride + k·dilation − before]`, zero outside x.
 *
 * By x the gradient is the transposed convolution; by the weight it is a matrix product for each element of the kernel.
 */
export const convolution: Op<ConvolutionAttributes> = {
  name: "convolution",
  infer: (inputs, attributes) => {
    const [x, weight] = inputs as [TensorSpec, TensorSpec];
    const sizes = spatialSizes("convolution", x.shape);
    expectOperands("convolution", inputs, 1, weight.shape[0] as number, attributes);
    if ((weight.shape[0] as number) % attributes.groups !== 0) throw badGroups(weight.shape, attributes);
    const count = countWindows("convolution", sizes, kernelOf(weight), attributes);
    return [{ dtype: x.dtype, shape: [x.shape[0]!, weight.shape[0]!, ...count] }];
  },
  reference: ([x, weight, bias], attributes) => {
    const sizes = x!.shape.slice(2);
    const [numOut, ...tapShape] = weight!.shape as [number, ...number[]];
    const numTaps = tapShape.reduce((a, b) => a * b, 1);
    const count = countWindows("convolution", sizes, tapShape.slice(1), attributes);
    const shape = [x!.shape[0]!, numOut, ...count];
    const groupSize = numOut / attributes.groups;
    const result = ndArray(shape, (flat) => {
      const [b, o, ...at] = unravel(flat, shape) as [number, number, ...number[]];
      let sum = bias?.data[o] ?? 0;
      for (let tap = 0; tap < numTaps; tap++) {
        const [c, ...k] = unravel(tap, tapShape) as [number, ...number[]];
        const place = placeOf(at, k, sizes, attributes);
        if (!place) continue;
        const channel = Math.floor(o / groupSize) * tapShape[0]! + c;
        sum += weight!.data[o * numTaps + tap]! * x!.data[ravel([b, channel, ...place], x!.shape)]!;
      }
      return sum;
    });
    return [result];
  },
  emit: ({ emitter, inputs, inputSpecs, attributes }) =>
    emitter.node("Conv", inputs, { attributes: onnxAttributes(inputSpecs[1]!, attributes) }),
  gradient: ({ inputs, gradients: [g], attributes }) => {
    const [x, weight] = inputs as [Tensor, Tensor];
    const { stride, dilation, padding } = attributes;
    const kernel = kernelOf(weight);
    const outputPadding = kernel.map((size, axis) => {
      const reach = dilation[axis]! * (size - 1) + 1;
      const seen = ((g!.shape[axis + 2] as number) - 1) * stride[axis]! + reach;
      return (x.shape[axis + 2] as number) + padding[axis]![0] + padding[axis]![1] - seen;
    });
    return [
      g!.convolutionTranspose(weight, undefined, { ...attributes, outputPadding }),
      weightGradient(x, g!, kernel, attributes),
      sumOverPlaces(g!),
    ];
  },
  samples: [
    { shapes: [[2, 3, 7], [4, 3, 3], [4]], attributes: sampleOf(2, 1, [1, 1], 1) },
    {
      shapes: [
        [1, 4, 6],
        [6, 2, 2],
      ],
      attributes: sampleOf(1, 2, [2, 0], 2),
    },
    { shapes: [[2, 1, 1], [1, 1, 1], [1]], attributes: sampleOf(1, 1, [0, 0], 1) },
    // Padding beyond the kernel's reach: windows that see nothing.
    {
      shapes: [
        [1, 2, 3],
        [2, 2, 1],
      ],
      attributes: sampleOf(1, 1, [1, 2], 1),
    },
    // The last two columns are in no window, and padding reaches past the kernel.
    { shapes: [[1, 2, 8], [2, 2, 1], [2]], attributes: sampleOf(3, 1, [1, 0], 1) },
    {
      shapes: [[2, 2, 5, 4], [3, 2, 3, 2], [3]],
      attributes: {
        stride: [2, 1],
        dilation: [1, 2],
        padding: [
          [1, 0],
          [0, 1],
        ],
        groups: 1,
      },
    },
    {
      shapes: [
        [1, 3, 4, 4],
        [3, 1, 3, 3],
      ],
      attributes: {
        stride: [1, 1],
        dilation: [1, 1],
        padding: [
          [1, 1],
          [1, 1],
        ],
        groups: 3,
      },
    },
  ],
};

/** A one-dimensional sample's attributes. */
export function sampleOf(
  stride: number,
  dilation: number,
  padding: readonly [number, number],
  groups: number,
): ConvolutionAttributes {
  return { stride: [stride], dilation: [dilation], padding: [padding], groups };
}

/** Sizes of the kernel of a weight. */
export function kernelOf({ shape }: { readonly shape: Shape }): number[] {
  return shape.slice(2) as number[];
}

/** ONNX attributes that both directions share. */
export function onnxAttributes(weight: TensorSpec, attributes: ConvolutionAttributes) {
  return {
    ...onnxWindow(kernelOf(weight), attributes),
    dilations: attributes.dilation.map(BigInt),
    group: BigInt(attributes.groups),
  };
}

/** @throws {ShapeError} unless weight and bias suit x; x's channels are those of the weight's axis `inAxis`. */
export function expectOperands(
  where: string,
  [x, weight, bias]: readonly TensorSpec[],
  inAxis: number,
  numOut: number,
  { groups }: ConvolutionAttributes,
): void {
  expectSameDType(where, x!, weight!);
  if (bias) expectSameDType(where, x!, bias);
  const numIn = (weight!.shape[inAxis] as number) * (inAxis === 1 ? groups : 1);
  const fits = weight!.shape.length === x!.shape.length && x!.shape[1] === numIn;
  if (!fits || (bias && (bias.shape.length !== 1 || bias.shape[0] !== numOut))) {
    throw new ShapeError({
      where,
      expected: `x (batch, ${numIn}, …) of ${weight!.shape.length} axes and bias [${numOut}] for weight ${showShape(weight!.shape)} in ${groups} groups`,
      got: `${showShape(x!.shape)}${bias ? ` and ${showShape(bias.shape)}` : ""}`,
    });
  }
}

/** For channels that do not fall into groups. */
export function badGroups(shape: Shape, { groups }: ConvolutionAttributes): ShapeError {
  return new ShapeError({
    where: "convolution",
    expected: `channels that ${groups} groups divide`,
    got: showShape(shape),
  });
}
