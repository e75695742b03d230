import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { engine } from "../../../test/tiny-run.ts";
import { hostTensor } from "../../core/dtype.ts";
import { gradients } from "../../tensor/gradient.ts";
import { constant, input, type Tensor } from "../../tensor/tensor.ts";
import { answerLoss, binaryLoss, classLoss, squaredLoss } from "./task-losses.ts";

// Golden values of tools/golden/task_losses.py: PyTorch in float64.

interface Case {
  readonly name: string;
  readonly scores: NestedNumbers;
  readonly loss: number;
  readonly gradient: NestedNumbers;
  readonly labels?: readonly number[];
  readonly truths?: readonly (readonly number[])[];
  readonly values?: readonly (readonly number[])[];
  readonly places?: readonly [readonly number[], readonly number[]];
  readonly weights?: readonly number[] | null;
  readonly labelSmoothing?: number;
}
type NestedNumbers = readonly (number | NestedNumbers)[];

const GOLDEN = new URL("../../../test/fixtures/tasks/losses.json", import.meta.url).pathname;
const { cases } = JSON.parse(readFileSync(GOLDEN, "utf8")) as { readonly cases: readonly Case[] };

const flat = (numbers: NestedNumbers): number[] =>
  numbers.flatMap((part) => (typeof part === "number" ? [part] : flat(part)));
const ints = (numbers: readonly number[]) =>
  constant(hostTensor("int32", [numbers.length], Int32Array.from(numbers)));
const floats = (rows: readonly (readonly number[])[]) =>
  constant(hostTensor("float32", [rows.length, rows[0]!.length], Float32Array.from(rows.flat())));

function shapeOf(numbers: NestedNumbers): number[] {
  const shape: number[] = [];
  for (let at: number | NestedNumbers = numbers; typeof at !== "number"; at = at[0]!) shape.push(at.length);
  return shape;
}

function lossOf(golden: Case, scores: Tensor): Tensor {
  const { labels, truths, values, places, weights, labelSmoothing = 0 } = golden;
  const options = { weights: weights ?? undefined, labelSmoothing };
  if (labels) return classLoss(scores, ints(labels), options);
  if (truths) return binaryLoss(scores, floats(truths), options);
  if (values) return squaredLoss(scores, floats(values));
  const [start, end] = scores.split([1, 1], 0).map((part) => part.squeeze(0));
  return answerLoss({ start: start!, end: end! }, { start: ints(places![0]), end: ints(places![1]) });
}

describe("losses equal PyTorch's, and so do their gradients", () => {
  test.each(
    cases.map((golden) => [`${golden.name}, smoothing ${golden.labelSmoothing ?? "none"}`, golden] as const),
  )("%s", async (_, golden) => {
    const shape = shapeOf(golden.scores);
    const scores = input("scores", "float32", shape);
    const loss = lossOf(golden, scores);
    const program = engine.compile("loss", { loss, gradient: gradients(loss, [scores])[0]! });
    const found = await program.run({
      scores: hostTensor("float32", shape, Float32Array.from(flat(golden.scores))),
    });
    program.dispose();
    expect(Math.abs((found.loss!.data[0] as number) - golden.loss)).toBeLessThan(1e-5 * (1 + golden.loss));
    flat(golden.gradient).forEach((expected, i) => {
      expect(Math.abs((found.gradient!.data[i] as number) - expected)).toBeLessThan(1e-6);
    });
  });

  test("a batch in which nothing counts has no loss, and no gradient that is not a number", async () => {
    const scores = input("scores", "float32", [2, 2]);
    const loss = classLoss(scores, ints([-100, -100]), { weights: [1, 2], labelSmoothing: 0.1 });
    const program = engine.compile("loss", { loss, gradient: gradients(loss, [scores])[0]! });
    const found = await program.run({ scores: hostTensor("float32", [2, 2], Float32Array.of(1, 2, 3, 4)) });
    program.dispose();
    expect([...found.loss!.data, ...found.gradient!.data].map(Math.abs as never)).toEqual([0, 0, 0, 0, 0]);
  });
});
