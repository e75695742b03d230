import { ShapeError } from "../../core/errors.ts";
import { showShape, staticShape } from "../../core/shape.ts";
import { mapLines, ndArray } from "../nd-array.ts";
import type { EmitCall, Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { addTerms } from "./add-terms.ts";
import { float32, int64s } from "./constants.ts";
import { inverseSlope } from "./normalize.ts";

// B batch · C channels · G groups · N elements of a group, over its channels and all places

export interface GroupNormAttributes {
  readonly groups: number;
  readonly epsilon: number;
}

/**
 * Group normalisation of x `(B, C, …)`: each of the groups of channels is brought to mean 0 and variance 1 over its channels and
 * all places, then channel c is scaled by `weight[c]` and shifted by `bias[c]` (Wu & He 2018, eq. 1 and 6). Yields the
 * result, and mean and inverse deviation `(B, G, 1)`, which its gradient needs.
 */
export const groupNorm: Op<GroupNormAttributes> = {
  name: "groupNorm",
  infer: ([x, weight, bias], { groups }) => {
    const numChannels = staticShape(x!.shape.slice(1), "groupNorm")[0];
    const fits = [weight!, bias!].every(({ shape }) => shape.length === 1 && shape[0] === numChannels);
    if (numChannels === undefined || !fits || numChannels % groups !== 0) {
      throw new ShapeError({
        where: "groupNorm",
        expected: `x (batch, channels, …) with channels that ${groups} groups divide, and parameters [channels]`,
        got: [x!, weight!, bias!].map(({ shape }) => showShape(shape)).join(", "),
      });
    }
    const statistics = { dtype: x!.dtype, shape: [x!.shape[0]!, groups, 1] };
    return [x!, statistics, statistics];
  },
  reference: ([x, weight, bias], { groups, epsilon }) => {
    const [batch, numChannels] = x!.shape as [number, number];
    const size = x!.data.length / batch / groups;
    const lines = { shape: [batch, groups, size], data: x!.data };
    const mean = mapLines(lines, 2, (line) => [average(line)]);
    const inverse = mapLines(lines, 2, (line) => [
      1 / Math.sqrt(average(line.map((v) => (v - average(line)) ** 2)) + epsilon),
    ]);
    const perChannel = (size * groups) / numChannels;
    const result = ndArray(x!.shape, (flat) => {
      const line = Math.floor(flat / size);
      const channel = Math.floor(flat / perChannel) % numChannels;
      const normal = (x!.data[flat]! - mean.data[line]!) * inverse.data[line]!;
      return normal * weight!.data[channel]! + bias!.data[channel]!;
    });
    return [result, mean, inverse];
  },
  emit: emitGroupNorm,
  gradient: ({ inputs, outputs: [, mean, inverse], gradients: [g, byMean, byInverse], attributes }) => {
    const [x, weight, bias] = inputs as [Tensor, Tensor, Tensor];
    const [batch, numChannels, ...places] = x.shape as [number, number, ...number[]];
    const { groups } = attributes;
    const size = (numChannels / groups) * places.reduce((a, b) => a * b, 1);
    const onGroups = (t: Tensor) => t.reshape([batch, groups, size]);
    const perChannel = [numChannels, ...places.map(() => 1)]; // broadcasts over x
    const normal = onGroups(x).sub(mean!).mul(inverse!);
    const byStatistics = addTerms(
      byMean?.mul(1 / size).broadcastTo([batch, groups, size]),
      byInverse && normal.mul(inverseSlope(byInverse, inverse!, size)),
    );
    if (!g) return [byStatistics?.reshape(x.shape), undefined, undefined];
    const product = g.mul(normal.reshape(x.shape));
    const weighted = onGroups(g.mul(weight.reshape(perChannel)));
    // dx = inverse · (g·w − mean(g·w) − normal · mean(g·w·normal))
    const slope = weighted.mul(normal).mean(2, true);
    const byX = weighted.sub(weighted.mean(2, true)).sub(normal.mul(slope)).mul(inverse!);
    const toChannels = (t: Tensor) => t.sumTo(perChannel).reshape(weight.shape);
    const total = addTerms(byX, byStatistics)!.reshape(x.shape);
    return [total, toChannels(product), toChannels(g).reshape(bias.shape)];
  },
  samples: [
    { shapes: [[2, 4, 3], [4], [4]], attributes: { groups: 2, epsilon: 1e-5 } },
    { shapes: [[1, 3, 2, 2], [3], [3]], attributes: { groups: 3, epsilon: 1e-2 } },
    { shapes: [[2, 4, 1, 3], [4], [4]], attributes: { groups: 1, epsilon: 1e-5 } },
    { shapes: [[3, 6], [6], [6]], attributes: { groups: 2, epsilon: 1e-5 } },
  ],
};

function average(line: Float64Array): number {
  return line.reduce((a, b) => a + b, 0) / line.length;
}

/**
 * As a layer normalisation whose rows are the groups: the runtime's kernel for that is quick and gives the statistics, while it
 * takes `GroupNormalization` apart into a dozen elementwise steps.
 */
function emitGroupNorm({ emitter, inputs, inputSpecs, attributes }: EmitCall<GroupNormAttributes>): string[] {
  const [numChannels, ...places] = inputSpecs[0]!.shape.slice(1) as [number, ...number[]];
  const { groups, epsilon } = attributes;
  const size = (numChannels / groups) * places.reduce((a, b) => a * b, 1);
  const one = (type: string, names: readonly string[]) => emitter.node(type, names)[0]!;
  const reshape = (name: string, shape: readonly number[]) => one("Reshape", [name, int64s(emitter, shape)]);
  const filled = (value: number) => one("Expand", [float32(emitter, value), int64s(emitter, [size])]);
  const rows = reshape(inputs[0]!, [0, groups, size]); // (B, G, N)
  const [normal, mean, inverse] = emitter.node("LayerNormalization", [rows, filled(1), filled(0)], {
    attributes: { axis: -1n, epsilon },
    numOutputs: 3,
  });
  const perChannel = [numChannels, ...places.map(() => 1)];
  const scaled = one("Mul", [reshape(normal!, [0, numChannels, ...places]), reshape(inputs[1]!, perChannel)]);
  return [one("Add", [scaled, reshape(inputs[2]!, perChannel)]), mean!, inverse!];
}
