// B texts · L labels

import { hostTensor } from "../../core/dtype.ts";
import { ConfigError } from "../../core/errors.ts";
import { softmax } from "../../core/largest.ts";
import { accuracy, binaryF1, f1, matthews } from "../../eval/metrics/classification.ts";
import {
  meanAbsoluteError,
  meanSquaredError,
  type NumberPair,
  pearson,
  spearman,
} from "../../eval/metrics/regression.ts";
import { input } from "../../tensor/tensor.ts";
import type { TaskKind, TaskPrediction, TaskRow } from "./task-kind.ts";
import { binaryLoss, classLoss, squaredLoss } from "./task-losses.ts";

/** A label and how probable it is. */
export interface Choice {
  readonly label: number;
  readonly probability: number;
}

/**
 * One of several classes; the target is its number.
 *
 * @param weights how much the examples of each class count; see `classWeights`
 */
export function singleLabel(
  labels: readonly string[],
  weights?: readonly number[],
): TaskKind<number, Choice> {
  return {
    name: "class",
    loss: ({ label }, { batchSize: B }, labelSmoothing) =>
      classLoss(label!, input("labels", "int32", [B]), { weights, labelSmoothing }),
    feeds: (targets) => ({ labels: hostTensor("int32", [targets.length], Int32Array.from(targets)) }),
    weightOf: (target) => weights?.[target] ?? 1,
    read: ({ label }) => {
      const probabilities = softmax(label!);
      const best = probabilities.indexOf(Math.max(...probabilities));
      return { label: best, probability: probabilities[best]! };
    },
    conclude: (rows, readings) => {
      const predictions = rows.map((row, i): TaskPrediction => {
        const { label, probability } = readings[i]!;
        const [expected, predicted] = [labels[row.target]!, labels[label]!];
        return { ...place(row), expected, predicted, isRight: label === row.target, confidence: probability };
      });
      const value = accuracy(predictions);
      return {
        quality: {
          ...{ metric: "accuracy", value, higherIsBetter: true, standardError: errorOf(value, rows.length) },
          others: { "macro F1": f1(predictions, "macro"), Matthews: matthews(predictions) },
        },
        predictions,
      };
    },
  };
}

/**
 * Any number of labels; the target says of each whether it applies. What is more probable than not is said to.
 *
 * @param positiveWeights how much more each label counts where it applies
 */
export function multiLabel(
  labels: readonly string[],
  positiveWeights?: readonly number[],
): TaskKind<readonly boolean[], readonly number[]> {
  const L = labels.length;
  const names = (applies: readonly boolean[]) => labels.filter((_, i) => applies[i]).join(", ") || "none";
  return {
    name: "labels",
    loss: ({ label }, { batchSize: B }, labelSmoothing) =>
      binaryLoss(label!, input("labels", "float32", [B, L]), { weights: positiveWeights, labelSmoothing }),
    feeds: (targets) => ({
      labels: hostTensor("float32", [targets.length, L], Float32Array.from(targets.flat(), Number)),
    }),
    weightOf: () => 1,
    read: ({ label }) => Array.from(label!, (score) => 1 / (1 + Math.exp(-score))),
    conclude: (rows, readings) => {
      const said = readings.map((probabilities) => probabilities.map((probability) => probability > 0.5));
      const predictions = rows.map((row, i): TaskPrediction => {
        const [expected, predicted] = [names(row.target), names(said[i]!)];
        const confidence = readings[i]!.reduce((product, p) => product * Math.max(p, 1 - p), 1);
        return { ...place(row), expected, predicted, isRight: expected === predicted, confidence };
      });
      const ofLabel = (label: number) =>
        rows.map(({ target }, i) => ({
          expected: target[label] ? "yes" : "no",
          predicted: said[i]![label] ? "yes" : "no",
        }));
      const decisions = labels.flatMap((_, label) => ofLabel(label));
      const single = labels.map((_, label) => binaryF1(ofLabel(label), "yes"));
      return {
        quality: {
          ...{ metric: "micro F1", value: binaryF1(decisions, "yes"), higherIsBetter: true },
          others: {
            "macro F1": single.reduce((sum, one) => sum + one, 0) / L,
            "all labels right": predictions.filter(({ isRight }) => isRight).length / rows.length,
          },
        },
        predictions,
      };
    },
  };
}

/** A number. Those around 1 are learnt most quickly; scale others. */
export function regression(): TaskKind<number, number> {
  return {
    name: "value",
    loss: ({ label }, { batchSize: B }, labelSmoothing) => {
      refuseSmoothing("regression", labelSmoothing);
      return squaredLoss(label!, input("values", "float32", [B, 1]));
    },
    feeds: (targets) => ({ values: hostTensor("float32", [targets.length, 1], Float32Array.from(targets)) }),
    weightOf: () => 1,
    read: ({ label }) => label![0]!,
    conclude: (rows, readings) => {
      const pairs = rows.map(({ target }, i) => ({ expected: target, predicted: readings[i]! }));
      const spread = deviation(pairs.map(({ expected }) => expected));
      return {
        quality: {
          ...{ metric: "mean squared error", value: meanSquaredError(pairs), higherIsBetter: false },
          others: { "mean absolute error": meanAbsoluteError(pairs), ...correlations(pairs) },
        },
        predictions: rows.map((row, i) => ({
          ...place(row),
          expected: `${row.target}`,
          predicted: `${Number(readings[i]!.toPrecision(6))}`,
          // Nearer than half a deviation of what is to be told.
          isRight: Math.abs(row.target - readings[i]!) <= spread / 2,
        })),
      };
    },
  };
}

/** @throws {ConfigError} if labels are to be smoothed where there is nothing to spread over. */
export function refuseSmoothing(what: string, labelSmoothing: number): void {
  if (labelSmoothing === 0) return;
  const expected = `0: ${what} has no classes to smooth over`;
  throw new ConfigError({ where: "labelSmoothing", expected, got: `${labelSmoothing}` });
}

/** Of a share of that many. */
export function errorOf(share: number, count: number): number {
  return Math.sqrt((share * (1 - share)) / count);
}

function place({ where, text }: TaskRow<unknown>) {
  return { where, text };
}

/** Both, where neither side is constant. */
function correlations(pairs: readonly NumberPair[]): Record<string, number> {
  if (pairs.length < 2) return {};
  const found = { Pearson: pearson(pairs), Spearman: spearman(pairs) };
  return Object.values(found).every(Number.isFinite) ? found : {};
}

function deviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
