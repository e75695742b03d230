import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import { mapLines } from "../nd-array.ts";
import type { Op } from "../op.ts";
import { addTerms } from "./add-terms.ts";
import { expectIndices, expectRank } from "./checks.ts";
import { float32, int64s } from "./constants.ts";
import { logSoftmaxLine } from "./softmax.ts";

export interface CrossEntropyAttributes {
  /** Rows with this label count neither in the sum nor in the mean. */
  readonly ignoredLabel: number;
  /** Share of the target spread evenly over all classes (Szegedy et al. 2016, §7). */
  readonly labelSmoothing: number;
}

/**
 * Mean cross-entropy in nats of logits `(N, V)` against labels `(N)`, over the rows whose label is not ignored;
 * 0 when all are. Also yields the log-probabilities `(N, V)`, which its gradient needs.
 */
export const crossEntropy: Op<CrossEntropyAttributes> = {
  name: "crossEntropy",
  infer: ([logits, labels]) => {
    expectRank("crossEntropy logits", logits!, 2);
    expectIndices("crossEntropy labels", labels!);
    if (labels!.shape.length !== 1 || labels!.shape[0] !== logits!.shape[0]) {
      throw new ShapeError({
        where: "crossEntropy",
        expected: `labels [${logits!.shape[0]}] for logits ${showShape(logits!.shape)}`,
        got: showShape(labels!.shape),
      });
    }
    return [{ dtype: logits!.dtype, shape: [] }, logits!];
  },
  reference: ([logits, labels], { ignoredLabel, labelSmoothing }) => {
    const logProbabilities = mapLines(logits!, 1, logSoftmaxLine);
    const width = logits!.shape[1]!;
    let total = 0;
    let count = 0;
    labels!.data.forEach((label, row) => {
      if (label === ignoredLabel) return;
      const line = logProbabilities.data.subarray(row * width, (row + 1) * width);
      const average = line.reduce((a, b) => a + b, 0) / width;
      total -= (1 - labelSmoothing) * line[label]! + labelSmoothing * average;
      count += 1;
    });
    return [{ shape: [], data: Float64Array.of(total / Math.max(count, 1)) }, logProbabilities];
  },
  emit: ({ emitter, inputs: [logits, labels], inputSpecs, attributes }) => {
    const one = (type: string, names: readonly string[], options = {}) =>
      emitter.node(type, names, options)[0]!;
    const integer = (value: number) => {
      const data = inputSpecs[1]!.dtype === "int64" ? BigInt64Array.of(BigInt(value)) : Int32Array.of(value);
      return emitter.constant({ dtype: inputSpecs[1]!.dtype, shape: [], data });
    };
    const logProbabilities = one("LogSoftmax", [logits!], { attributes: { axis: -1n } });
    const ignored = one("Equal", [labels!, integer(attributes.ignoredLabel)]);
    const safe = one("Where", [ignored, integer(0), labels!]);
    const column = int64s(emitter, [1]);
    const picked = one("GatherElements", [logProbabilities, one("Unsqueeze", [safe, column])], {
      attributes: { axis: 1n },
    });
    let gain = one("Squeeze", [picked, column]);
    if (attributes.labelSmoothing > 0) {
      const average = one("ReduceMean", [logProbabilities, column], { attributes: { keepdims: 0n } });
      const weighted = (name: string, weight: number) => one("Mul", [name, float32(emitter, weight)]);
      gain = one("Add", [
        weighted(gain, 1 - attributes.labelSmoothing),
        weighted(average, attributes.labelSmoothing),
      ]);
    }
    const counted = one("Where", [ignored, float32(emitter, 0), gain]);
    const keepNone = { attributes: { keepdims: 0n } };
    const total = one("ReduceSum", [counted], keepNone);
    const rows = one("Cast", [one("Not", [ignored])], { attributes: { to: 1n } });
    const count = one("Max", [one("ReduceSum", [rows], keepNone), float32(emitter, 1)]);
    return [one("Neg", [one("Div", [total, count])]), logProbabilities];
  },
  gradient: ({ inputs: [logits, labels], outputs: [loss, kept], gradients, attributes }) => {
    // Nothing else needs the loss, and the runtime would compute it last, holding on to all log-probabilities meanwhile.
    const logProbabilities = kept!.after([loss!]);
    const [rows, width] = logits!.shape as [number, number];
    const { ignoredLabel, labelSmoothing } = attributes;
    const counts = labels!.equal(labels!.scalar(ignoredLabel)).logicalNot();
    const column = counts.where(labels!, labels!.zero()).reshape([rows, 1]);
    const share = counts.cast(logits!.dtype);
    const hit = logits!
      .scalar(-(1 - labelSmoothing))
      .reshape([1, 1])
      .broadcastTo([rows, 1]);
    let excess = logProbabilities.exp().scatterAddAlongLast(column, hit);
    if (labelSmoothing > 0) excess = excess.sub(labelSmoothing / width);
    const [byLoss, byLogProbabilities] = gradients;
    const perRow = byLoss && share.div(share.sum().maximum(1)).mul(byLoss).reshape([rows, 1]);
    const total = byLogProbabilities?.sum(1, true);
    return [
      addTerms(
        perRow && excess.mul(perRow),
        total && byLogProbabilities!.sub(logProbabilities.exp().mul(total)),
      ),
      undefined,
    ];
  },
  samples: [
    {
      shapes: [[3, 4], [3]],
      attributes: { ignoredLabel: -1, labelSmoothing: 0 },
      draw: ["signed", { below: 4 }],
    },
    {
      shapes: [[4, 5], [4]],
      attributes: { ignoredLabel: -100, labelSmoothing: 0.1 },
      draw: ["signed", { values: [1, -100, 4, 0] }],
    },
    {
      shapes: [[1, 2], [1]],
      attributes: { ignoredLabel: -1, labelSmoothing: 0 },
      draw: ["signed", { values: [-1] }],
    },
  ],
};
