import { describe, expect, test } from "vitest";
import { Random } from "../src/core/random.ts";
import { PLAIN } from "../src/engine/dialect.ts";
import { Engine, exportOnnx } from "../src/engine/engine.ts";
import { interpret, toNdArray } from "../src/engine/interpreter.ts";
import { lower } from "../src/engine/lower.ts";
import { Program } from "../src/engine/program.ts";
import { gradients } from "../src/tensor/gradient.ts";
import type { NdArray } from "../src/tensor/nd-array.ts";
import { isFloat } from "../src/tensor/ops/compare.ts";
import { OPS } from "../src/tensor/registry.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import { expectClose } from "./expect-close.ts";
import { type DrawnSample, drawSample, toHost } from "./op-samples.ts";

// What `exportOnnx` writes for other tools must mean the same as what our own runtime gets: every operator and its
// gradient, written with standard ONNX operators only, against the float64 reference.

const engine = new Engine({ threads: 1 });

/** Operators that only a runtime with fused operators has, and what is said to whoever exports them. */
const FUSED_ONLY = new Map([
  ["cachedAttention", /cachedAttention: expected a runtime with GroupQueryAttention/],
]);

const portable = OPS.filter(({ name }) => !FUSED_ONLY.has(name));
const feedsOf = (values: readonly NdArray[]) =>
  Object.fromEntries(values.map((value, i) => [`x${i}`, value]));

describe.each(portable.map((op) => [op.name, op] as const))("plain ONNX: %s", (_, op) => {
  test.each(op.samples.map((sample, i) => [i, sample] as const))("sample %i", async (i, sample) => {
    const drawn = drawSample(op, sample, new Random(i + 100));
    const { inputs, outputs } = drawn.build("float32");
    const main = outputs[0]!;
    const wrt = inputs.filter((_, which) => drawn.isReal[which]);
    const slopes = op.gradient && isFloat(main.dtype) ? gradients(main.mul(main).sum(), wrt) : [];
    const named = (letter: string, tensors: readonly Tensor[]) =>
      tensors.map((tensor, which) => [`${letter}${which}`, tensor] as const);
    await comparePlain(Object.fromEntries([...named("y", outputs), ...named("g", slopes)]), drawn);
  });
});

async function comparePlain(results: Record<string, Tensor>, { values }: DrawnSample): Promise<void> {
  const program = new Program(engine, "plain", lower("plain", results, PLAIN), {});
  const feeds = [...program.inputs].map(([name, spec]) => [
    name,
    toHost(values[Number(name.slice(1))]!, spec),
  ]);
  const actual = await program.run(Object.fromEntries(feeds));
  program.dispose();
  const seen = values.map(({ shape, data }) => ({ shape, data: Float64Array.from(data, Math.fround) }));
  const expected = interpret(Object.values(results), feedsOf(seen));
  Object.keys(results).forEach((name, i) => {
    expectClose(toNdArray(actual[name]!), expected[i]!, 1e-6, 1e-4);
  });
}

test.each([...FUSED_ONLY])("%s is refused by name when exported", (name, message) => {
  const op = OPS.find((candidate) => candidate.name === name)!;
  const { outputs } = drawSample(op, op.samples[0]!, new Random(1)).build("float32");
  expect(() => exportOnnx("refused", { y: outputs[0]! })).toThrow(message);
});
