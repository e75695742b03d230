import { ShapeError } from "../../core/errors.ts";
import { type Shape, showShape } from "../../core/shape.ts";
import { type NdArray, ndArray, ravel, unravel } from "../nd-array.ts";
import type { Op, TensorSpec } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { expectSameDType } from "./checks.ts";
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

export interface ConvolutionTransposeAttributes extends ConvolutionAttributes {
  /** Extra elements at the end of each axis: a strided convolution maps several lengths to one, this says which. */
  readonly outputPadding: readonly number[];
}

export interface ConvolutionTransposeOptions extends ConvolutionOptions {
  readonly outputPadding?: readonly number[];
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
 * By x the gradient is the transposed convolution; by the weight it is a convolution again, of x with the gradient, with
 * batch and channels changed over and stride and dilation too.
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
    { shapes: [[2, 3, 7], [4, 3, 3], [4]], attributes: one(2, 1, [1, 1], 1) },
    {
      shapes: [
        [1, 4, 6],
        [6, 2, 2],
      ],
      attributes: one(1, 2, [2, 0], 2),
    },
    { shapes: [[2, 1, 1], [1, 1, 1], [1]], attributes: one(1, 1, [0, 0], 1) },
    // The last two columns are in no window, and padding reaches past the kernel.
    { shapes: [[1, 2, 8], [2, 2, 1], [2]], attributes: one(3, 1, [1, 0], 1) },
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

/**
 * The adjoint of {@link convolution}, which spreads instead of gathering: x `(B, C, L)`, weight `(C, O/groups, K)` and an optional bias
 * `(O)` to `(B, O, (L − 1)·stride + dilation·(K − 1) + 1 − before − after + outputPadding)`.
 *
 * @see Dumoulin & Visin 2016, §4, for the arithmetic of its sizes.
 */
export const convolutionTranspose: Op<ConvolutionTransposeAttributes> = {
  name: "convolutionTranspose",
  infer: (inputs, attributes) => {
    const [x, weight] = inputs as [TensorSpec, TensorSpec];
    const sizes = spatialSizes("convolutionTranspose", x.shape);
    const numOut = (weight.shape[1] as number) * attributes.groups;
    expectOperands("convolutionTranspose", inputs, 0, numOut, attributes);
    if ((x.shape[1] as number) % attributes.groups !== 0) throw badGroups(x.shape, attributes);
    return [{ dtype: x.dtype, shape: [x.shape[0]!, numOut, ...spreadSizes(sizes, weight, attributes)] }];
  },
  reference: ([x, weight, bias], attributes) => {
    const [batch, numIn, ...places] = x!.shape as [number, number, ...number[]];
    const [, ...tapShape] = weight!.shape as [number, ...number[]];
    const numOut = tapShape[0]! * attributes.groups;
    const sizes = spreadSizes(places, weight!, attributes);
    const numPlaces = sizes.reduce((a, b) => a * b, 1);
    const shape = [batch, numOut, ...sizes];
    const result = ndArray(shape, (flat) => bias?.data[Math.floor(flat / numPlaces) % numOut] ?? 0);
    const numTaps = tapShape.reduce((a, b) => a * b, 1);
    x!.data.forEach((value, flat) => {
      const [b, c, ...at] = unravel(flat, x!.shape) as [number, number, ...number[]];
      for (let tap = 0; tap < numTaps; tap++) {
        const [o, ...k] = unravel(tap, tapShape) as [number, ...number[]];
        const place = placeOf(at, k, sizes, attributes);
        if (!place) continue;
        const channel = Math.floor((c * attributes.groups) / numIn) * tapShape[0]! + o;
        result.data[ravel([b, channel, ...place], shape)]! += value * weight!.data[c * numTaps + tap]!;
      }
    });
    return [result];
  },
  emit: ({ emitter, inputs, inputSpecs, attributes }) =>
    emitter.node("ConvTranspose", inputs, {
      attributes: {
        ...onnxAttributes(inputSpecs[1]!, attributes),
        output_padding: attributes.outputPadding.map(BigInt),
      },
    }),
  gradient: ({ inputs, gradients: [g], attributes }) => {
    const [x, weight] = inputs as [Tensor, Tensor];
    return [
      g!.convolution(weight, undefined, attributes),
      weightGradient(g!, x, kernelOf(weight), attributes),
      sumOverPlaces(g!),
    ];
  },
  samples: [
    { shapes: [[2, 3, 4], [3, 2, 3], [2]], attributes: { ...one(2, 1, [1, 0], 1), outputPadding: [1] } },
    {
      shapes: [
        [1, 4, 3],
        [4, 1, 2],
      ],
      attributes: { ...one(1, 2, [0, 1], 2), outputPadding: [0] },
    },
    { shapes: [[2, 1, 1], [1, 1, 1], [1]], attributes: { ...one(1, 1, [0, 0], 1), outputPadding: [0] } },
    {
      shapes: [[1, 2, 3, 2], [2, 3, 2, 3], [3]],
      attributes: {
        stride: [2, 3],
        dilation: [1, 1],
        padding: [
          [1, 0],
          [0, 2],
        ],
        groups: 1,
        outputPadding: [1, 0],
      },
    },
  ],
};

/** A one-dimensional sample's attributes. */
function one(
  stride: number,
  dilation: number,
  padding: readonly [number, number],
  groups: number,
): ConvolutionAttributes {
  return { stride: [stride], dilation: [dilation], padding: [padding], groups };
}

function kernelOf({ shape }: { readonly shape: Shape }): number[] {
  return shape.slice(2) as number[];
}

function onnxAttributes(weight: TensorSpec, attributes: ConvolutionAttributes) {
  return {
    ...onnxWindow(kernelOf(weight), attributes),
    dilations: attributes.dilation.map(BigInt),
    group: BigInt(attributes.groups),
  };
}

/** @throws {ShapeError} unless weight and bias suit x; x's channels are those of the weight's axis `inAxis`. */
function expectOperands(
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

function badGroups(shape: Shape, { groups }: ConvolutionAttributes): ShapeError {
  return new ShapeError({
    where: "convolution",
    expected: `channels that ${groups} groups divide`,
    got: showShape(shape),
  });
}

function spreadSizes(
  places: readonly number[],
  weight: TensorSpec | NdArray,
  { stride, dilation, padding, outputPadding }: ConvolutionTransposeAttributes,
): number[] {
  expectIntegers("convolutionTranspose", "outputPadding", outputPadding, 0);
  return places.map((count, axis) => {
    const reach = dilation[axis]! * ((weight.shape[axis + 2] as number) - 1) + 1;
    const cut = padding[axis]![0] + padding[axis]![1];
    const size = (count - 1) * stride[axis]! + reach - cut + outputPadding[axis]!;
    if (size < 1 || outputPadding[axis]! >= stride[axis]!) {
      throw new ShapeError({
        where: "convolutionTranspose",
        expected: `something left after padding, and output padding below the stride ${stride[axis]}`,
        got: `size ${size}, output padding ${outputPadding[axis]}`,
      });
    }
    return size;
  });
}

/**
 * Gradient by a weight `(O, C/groups, K)` that made y `(B, O, …)` of an image `(B, C, L)`, from the gradient by y:
 * `Σ_b Σ_t byOutput[b, o, t] · image[b, c, t·stride + k·dilation − before]`, itself a convolution in which the
 * batch is what is summed over.
 */
function weightGradient(
  image: Tensor,
  byOutput: Tensor,
  kernel: readonly number[],
  { stride, dilation, padding, groups }: ConvolutionAttributes,
): Tensor {
  const [batch, numIn, ...sizes] = image.shape as [number, number, ...number[]];
  const axes = sizes.map((_, axis) => axis);
  const channels = image
    .reshape([batch, groups, numIn / groups, ...sizes])
    .transpose([2, 1, 0, ...axes.map((axis) => axis + 3)])
    .reshape([numIn / groups, groups * batch, ...sizes]); // (C/groups, groups·B, L)
  const swapped = [1, 0, ...axes.map((axis) => axis + 2)];
  const filters = byOutput.transpose(swapped); // (O, B, …)
  const windows = { stride: dilation, dilation: stride, padding, groups };
  const product = channels.convolution(filters, undefined, windows).transpose(swapped); // (O, C/groups, ≥ K)
  // Where the stride left a rest of the image unseen, there is room for taps that the kernel does not have.
  return axes.reduce((part, axis) => part.slice(axis + 2, 0, kernel[axis]!), product);
}

function sumOverPlaces(g: Tensor): Tensor {
  return g.sum(g.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]))); // (O)
}
