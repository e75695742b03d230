import { mapLines, type NdArray } from "../nd-array.ts";
import type { Op, Sample } from "../op.ts";

/** The axis that is normalised over, counted from the front. */
export interface AxisAttribute {
  readonly axis: number;
}

const SAMPLES: readonly Sample<AxisAttribute>[] = [
  { shapes: [[3, 4]], attributes: { axis: 1 } },
  { shapes: [[2, 1, 5]], attributes: { axis: 2 } },
  { shapes: [[3, 2, 2]], attributes: { axis: 0 } },
  { shapes: [[1]], attributes: { axis: 0 } },
];

/** `exp(x − max) / Σ exp(x − max)` along an axis. */
export const softmax: Op<AxisAttribute> = {
  name: "softmax",
  infer: ([x]) => [x!],
  reference: ([x], { axis }) => [softmaxLines(x!, axis)],
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("Softmax", inputs, { attributes: { axis: BigInt(attributes.axis) } }),
  gradient: ({ outputs: [y], gradients: [g], attributes: { axis } }) => [
    y!.mul(g!.sub(g!.mul(y!).sum(axis, true))),
  ],
  samples: SAMPLES,
};

/** `x − max − ln Σ exp(x − max)` along an axis. */
export const logSoftmax: Op<AxisAttribute> = {
  name: "logSoftmax",
  infer: ([x]) => [x!],
  reference: ([x], { axis }) => [mapLines(x!, axis, logSoftmaxLine)],
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("LogSoftmax", inputs, { attributes: { axis: BigInt(attributes.axis) } }),
  gradient: ({ outputs: [y], gradients: [g], attributes: { axis } }) => [
    g!.sub(y!.exp().mul(g!.sum(axis, true))),
  ],
  samples: SAMPLES,
};

/** Reference softmax, shared with the operators that contain one. A line of −∞ only becomes zeros. */
export function softmaxLines(x: NdArray, axis: number): NdArray {
  return mapLines(x, axis, (line) => {
    const peak = Math.max(...line);
    if (peak === Number.NEGATIVE_INFINITY) return line.map(() => 0);
    const weights = line.map((value) => Math.exp(value - peak));
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / total);
  });
}

/** Reference log-softmax of one line. */
export function logSoftmaxLine(line: Float64Array): Float64Array {
  const peak = Math.max(...line);
  const logTotal = Math.log(line.reduce((sum, value) => sum + Math.exp(value - peak), 0));
  return line.map((value) => value - peak - logTotal);
}
