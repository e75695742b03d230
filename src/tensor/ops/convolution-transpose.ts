import { ShapeError } from "../../core/errors.ts";
import { type NdArray, ndArray, ravel, unravel } from "../nd-array.ts";
import type { EmitCall, Op, TensorSpec } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { int64s } from "./constants.ts";
import {
  badGroups,
  type ConvolutionAttributes,
  type ConvolutionOptions,
  expectOperands,
  kernelOf,
  onnxAttributes,
  sampleOf,
} from "./convolution.ts";
import { sumOverPlaces, weightGradient } from "./convolution-gradient.ts";
import { expectIntegers, onnxWindow, type Padding, placeOf, spatialSizes } from "./windows.ts";

// B batch · C channels in · O channels out · K kernel · L length; L and K stand for one axis or for two

export interface ConvolutionTransposeAttributes extends ConvolutionAttributes {
  /** Extra elements at the end of each axis: a strided convolution maps several lengths to one, this says which. */
  readonly outputPadding: readonly number[];
}

export interface ConvolutionTransposeOptions extends ConvolutionOptions {
  readonly outputPadding?: readonly number[];
}

/**
 * The adjoint of `convolution`, which spreads instead of gathering: x `(B, C, L)`, weight `(C, O/groups, K)` and an optional bias
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
  emit: (call) => {
    const { emitter, inputs, inputSpecs, attributes } = call;
    const adjoint = adjointPadding(inputSpecs[1]!, attributes);
    if (adjoint) return emitAsConvolution(call, adjoint);
    return emitter.node("ConvTranspose", inputs, {
      attributes: {
        ...onnxAttributes(inputSpecs[1]!, attributes),
        output_padding: attributes.outputPadding.map(BigInt),
      },
    });
  },
  gradient: ({ inputs, gradients: [g], attributes }) => {
    const [x, weight] = inputs as [Tensor, Tensor];
    return [
      g!.convolution(weight, undefined, attributes),
      weightGradient(g!, x, kernelOf(weight), attributes),
      sumOverPlaces(g!),
    ];
  },
  samples: [
    { shapes: [[2, 3, 4], [3, 2, 3], [2]], attributes: { ...sampleOf(2, 1, [1, 0], 1), outputPadding: [1] } },
    {
      shapes: [
        [1, 4, 3],
        [4, 1, 2],
      ],
      attributes: { ...sampleOf(1, 2, [0, 1], 2), outputPadding: [0] },
    },
    { shapes: [[2, 1, 1], [1, 1, 1], [1]], attributes: { ...sampleOf(1, 1, [0, 0], 1), outputPadding: [0] } },
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

/** The padding with which a convolution gives the same, where one does: windows one step apart, cut by less than their reach. */
function adjointPadding(
  weight: TensorSpec,
  { stride, dilation, padding }: ConvolutionTransposeAttributes,
): Padding[] | undefined {
  if (stride.some((step) => step !== 1)) return undefined;
  const sides = padding.map(([before, after], axis): Padding => {
    const overlap = dilation[axis]! * ((weight.shape[axis + 2] as number) - 1);
    return [overlap - before, overlap - after];
  });
  return sides.flat().every((side) => side >= 0) ? sides : undefined;
}

/** With the weight's channels changed over and its kernel back to front: the runtime convolves several times quicker than it spreads. */
function emitAsConvolution(
  { emitter, inputs: [x, weight, bias], inputSpecs, attributes }: EmitCall<ConvolutionTransposeAttributes>,
  padding: readonly Padding[],
): readonly string[] {
  const { groups, stride, dilation } = attributes;
  const [numIn, perGroup, ...kernel] = inputSpecs[1]!.shape as [number, number, ...number[]];
  const one = (type: string, names: readonly string[], options = {}) =>
    emitter.node(type, names, options)[0]!;
  const axes = kernel.map((_, axis) => axis);
  const ints = (values: readonly number[]) => int64s(emitter, values);
  const everywhere = (value: number) => ints(axes.map(() => value));
  const toStart = everywhere(-(2 ** 31)); // past the first element, going back
  const flipped = one("Slice", [
    weight!,
    everywhere(-1),
    toStart,
    ints(axes.map((axis) => axis + 2)),
    everywhere(-1),
  ]);
  const grouped = one("Reshape", [flipped, ints([groups, numIn / groups, perGroup, ...kernel])]);
  const perm = [0n, 2n, 1n, ...axes.map((axis) => BigInt(axis + 3))];
  const swapped = one("Transpose", [grouped], { attributes: { perm } });
  const filters = one("Reshape", [swapped, ints([groups * perGroup, numIn / groups, ...kernel])]);
  return emitter.node("Conv", bias ? [x!, filters, bias] : [x!, filters], {
    attributes: {
      ...onnxWindow(kernel, { stride, padding }),
      dilations: dilation.map(BigInt),
      group: BigInt(groups),
    },
  });
}
