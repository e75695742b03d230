import { ShapeError } from "../../core/errors.ts";
import { type Shape, showShape } from "../../core/shape.ts";
import { mapLines, type NdArray, ndArray } from "../nd-array.ts";
import type { EmitCall, Op, TensorSpec } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { addTerms } from "./add-terms.ts";
import { float32, int64s } from "./constants.ts";

export interface NormAttributes {
  readonly epsilon: number;
}

function statisticsShape(x: TensorSpec): Shape {
  return x.shape.map((dim, axis) => (axis === x.shape.length - 1 ? 1 : dim));
}

function expectWidth(where: string, x: TensorSpec, parameters: readonly TensorSpec[]): void {
  const width = x.shape.at(-1);
  for (const { shape } of parameters) {
    if (shape.length === 1 && shape[0] === width) continue;
    throw new ShapeError({
      where,
      expected: `parameters [${width}] for x ${showShape(x.shape)}`,
      got: showShape(shape),
    });
  }
}

const meanOf = (line: Float64Array) => line.reduce((a, b) => a + b, 0) / line.length;

function affine(x: NdArray, weight: NdArray, bias?: NdArray): NdArray {
  const width = weight.data.length;
  return ndArray(
    x.shape,
    (flat) => x.data[flat]! * weight.data[flat % width]! + (bias?.data[flat % width] ?? 0),
  );
}

/**
 * Layer normalisation over the last axis: `(x − mean) / √(variance + ε) · weight + bias` (Ba et al. 2016).
 * Yields the result, and the mean and inverse deviation that its gradient needs.
 */
export const layerNorm: Op<NormAttributes> = {
  name: "layerNorm",
  infer: ([x, weight, bias]) => {
    expectWidth("layerNorm", x!, [weight!, bias!]);
    const statistics = { dtype: x!.dtype, shape: statisticsShape(x!) };
    return [x!, statistics, statistics];
  },
  reference: ([x, weight, bias], { epsilon }) => {
    const axis = x!.shape.length - 1;
    const mean = mapLines(x!, axis, (line) => [meanOf(line)]);
    const centred = mapLines(x!, axis, (line) => line.map((value) => value - meanOf(line)));
    const inverse = mapLines(centred, axis, (line) => [
      1 / Math.sqrt(meanOf(line.map((v) => v * v)) + epsilon),
    ]);
    const width = x!.shape[axis]!;
    const scaled = ndArray(x!.shape, (flat) => centred.data[flat]! * inverse.data[Math.floor(flat / width)]!);
    return [affine(scaled, weight!, bias), mean, inverse];
  },
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("LayerNormalization", inputs, {
      attributes: { axis: -1n, epsilon: attributes.epsilon },
      numOutputs: 3,
    }),
  gradient: ({ inputs, outputs: [, mean, inverse], gradients: [g, byMean, byInverse] }) => {
    const [x, weight, bias] = inputs as [Tensor, Tensor, Tensor];
    const width = weight.shape[0] as number;
    const perColumn = weight.mul(1 / width).reshape([width, 1]);
    const normal = x.sub(mean!).mul(inverse!);
    const byStatistics = addTerms(
      byMean?.mul(1 / width).broadcastTo(x.shape),
      byInverse && normal.mul(inverseSlope(byInverse, inverse!, width)),
    );
    if (!g) return [byStatistics, undefined, undefined];
    const product = g.mul(normal);
    // dx = inverse · (g·w − mean(g·w) − normal · mean(g·w·normal)); the two row means are matrix–vector products.
    const centred = g.mul(weight).sub(normal.mul(product.matmul(perColumn)));
    const byX = centred.sub(g.matmul(perColumn)).mul(inverse!);
    return [addTerms(byX, byStatistics), product.sumTo(weight.shape), g.sumTo(bias.shape)];
  },
  samples: [
    { shapes: [[3, 4], [4], [4]], attributes: { epsilon: 1e-5 } },
    { shapes: [[2, 1, 6], [6], [6]], attributes: { epsilon: 1e-2 } },
    { shapes: [[1, 5], [5], [5]], attributes: { epsilon: 1e-5 } },
  ],
};

/**
 * Root-mean-square normalisation over the last axis: `x / √(mean(x²) + ε) · weight` (Zhang & Sennrich 2019).
 * Yields the result and the inverse root mean square that its gradient needs.
 */
export const rmsNorm: Op<NormAttributes> = {
  name: "rmsNorm",
  infer: ([x, weight]) => {
    expectWidth("rmsNorm", x!, [weight!]);
    return [x!, { dtype: x!.dtype, shape: statisticsShape(x!) }];
  },
  reference: ([x, weight], { epsilon }) => {
    const axis = x!.shape.length - 1;
    const inverse = mapLines(x!, axis, (line) => [1 / Math.sqrt(meanOf(line.map((v) => v * v)) + epsilon)]);
    const width = x!.shape[axis]!;
    const scaled = ndArray(x!.shape, (flat) => x!.data[flat]! * inverse.data[Math.floor(flat / width)]!);
    return [affine(scaled, weight!), inverse];
  },
  emit: (call) => {
    const { emitter, inputs, attributes } = call;
    if (!emitter.supports("SimplifiedLayerNormalization")) return emitPlainRmsNorm(call);
    return emitter.node("SimplifiedLayerNormalization", inputs, {
      attributes: { axis: -1n, epsilon: attributes.epsilon },
      numOutputs: 2,
    });
  },
  gradient: ({ inputs, outputs: [, inverse], gradients: [g, byInverse] }) => {
    const [x, weight] = inputs as [Tensor, Tensor];
    const width = weight.shape[0] as number;
    const normal = x.mul(inverse!);
    const byStatistic = byInverse && normal.mul(inverseSlope(byInverse, inverse!, width));
    if (!g) return [byStatistic, undefined];
    const product = g.mul(normal);
    const rowMean = product.matmul(weight.mul(1 / width).reshape([width, 1]));
    const byX = g.mul(weight).sub(normal.mul(rowMean)).mul(inverse!);
    return [addTerms(byX, byStatistic), product.sumTo(weight.shape)];
  },
  samples: [
    { shapes: [[3, 4], [4]], attributes: { epsilon: 1e-5 } },
    { shapes: [[2, 1, 6], [6]], attributes: { epsilon: 1e-2 } },
    { shapes: [[1, 5], [5]], attributes: { epsilon: 1e-6 } },
  ],
};

/** With `inverse = (mean(c²) + ε)^−½`, what the normalised value is to be multiplied by: `d inverse / dx = −inverse²/width · normal`. */
export function inverseSlope(byInverse: Tensor, inverse: Tensor, width: number): Tensor {
  return byInverse.mul(inverse.mul(inverse)).mul(-1 / width);
}

/** ONNX has had the operator from opset 23 on; many tools read only older ones. */
function emitPlainRmsNorm({ emitter, inputs: [x, weight], attributes }: EmitCall<NormAttributes>): string[] {
  const one = (type: string, names: readonly string[]) => emitter.node(type, names)[0]!;
  const square = one("Mul", [x!, x!]);
  const meanSquare = one("ReduceMean", [square, int64s(emitter, [-1])]);
  const root = one("Sqrt", [one("Add", [meanSquare, float32(emitter, attributes.epsilon)])]);
  const inverse = one("Reciprocal", [root]);
  return [one("Mul", [one("Mul", [x!, inverse]), weight!]), inverse];
}
