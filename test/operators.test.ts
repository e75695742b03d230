import { describe, expect, test } from "vitest";
import { Random } from "../src/core/random.ts";
import { Engine } from "../src/engine/engine.ts";
import { interpret, toNdArray } from "../src/engine/interpreter.ts";
import { gradients } from "../src/tensor/gradient.ts";
import { type NdArray, ndArray } from "../src/tensor/nd-array.ts";
import type { Sample } from "../src/tensor/op.ts";
import { isFloat } from "../src/tensor/ops/compare.ts";
import { OPS } from "../src/tensor/registry.ts";
import { constant, type Tensor } from "../src/tensor/tensor.ts";
import { expectClose } from "./expect-close.ts";
import { type DrawnSample, drawSample, toHost } from "./op-samples.ts";

// Being registered is being tested: every operator's gradient against finite differences in float64, and the
// runtime against the float64 reference, for both the result and the gradient.

const EPSILON = 1e-6;
const ABSOLUTE = 1e-5;
const RELATIVE = 1e-3;
const RUNTIME_TOLERANCE = 1e-4;

const engine = new Engine({ threads: 1 });

const byName = (values: readonly NdArray[]) => Object.fromEntries(values.map((value, i) => [`x${i}`, value]));

/** A scalar that every output element moves differently, so that no error can cancel. */
function weighOutputs(outputs: readonly Tensor[]): Tensor | undefined {
  const random = new Random(5);
  const terms = outputs
    .filter(({ dtype }) => isFloat(dtype))
    .map((output) => {
      const weights = ndArray(output.shape as number[], () => random.uniform() + 0.5);
      return output.mul(constant(toHost(weights, output))).sum();
    });
  return terms.length > 0 ? terms.reduce((a, b) => a.add(b)) : undefined;
}

function lossOf(drawn: DrawnSample, float: "float32" | "float64") {
  const { inputs, outputs } = drawn.build(float);
  const wrt = inputs.filter((_, i) => drawn.isReal[i]);
  return { loss: weighOutputs(outputs), wrt };
}

function numericGradient(loss: Tensor, values: readonly NdArray[], which: number): NdArray {
  const at = (data: Float64Array) => {
    const moved = values.map((value, i) => (i === which ? { shape: value.shape, data } : value));
    return interpret([loss], byName(moved))[0]!.data[0]!;
  };
  const { shape, data } = values[which]!;
  return ndArray(shape, (i) => {
    const up = data.slice();
    const down = data.slice();
    up[i]! += EPSILON;
    down[i]! -= EPSILON;
    return (at(up) - at(down)) / (2 * EPSILON);
  });
}

describe.each(OPS.map((op) => [op.name, op] as const))("%s", (_, op) => {
  const samples = op.samples.map(
    (sample: Sample, i) => [i, drawSample(op, sample, new Random(i + 1))] as const,
  );

  test("has at least three samples, and infers the shapes its reference computes", () => {
    expect(samples.length).toBeGreaterThanOrEqual(3);
    for (const [, drawn] of samples) {
      const { outputs } = drawn.build("float64");
      const computed = interpret(outputs, byName(drawn.values));
      outputs.forEach((output, i) => {
        expect(computed[i]!.shape).toEqual(output.shape);
      });
    }
  });

  const differentiable = samples.filter(([, drawn]) => {
    const { loss, wrt } = lossOf(drawn, "float64");
    return op.gradient && loss && wrt.length > 0;
  });
  test.each(differentiable)("gradient, sample %i", (_, drawn) => {
    const { loss, wrt } = lossOf(drawn, "float64");
    const analytic = interpret(gradients(loss!, wrt), byName(drawn.values));
    const real = drawn.values.flatMap((_, i) => (drawn.isReal[i] ? [i] : []));
    real.forEach((which, i) => {
      expectClose(analytic[i]!, numericGradient(loss!, drawn.values, which), ABSOLUTE, RELATIVE);
    });
  });

  test.each(samples)("runtime against reference, sample %i", async (_, drawn) => {
    const { outputs } = drawn.build("float32");
    const results: Record<string, Tensor> = Object.fromEntries(outputs.map((y, i) => [`y${i}`, y]));
    if (op.gradient) {
      const { loss, wrt } = lossOf(drawn, "float32");
      const fresh = loss ? gradients(loss, wrt) : [];
      await compareRuntime(Object.fromEntries(fresh.map((g, i) => [`g${i}`, g])), drawn.values);
    }
    await compareRuntime(results, drawn.values);
  });
});

async function compareRuntime(results: Record<string, Tensor>, values: readonly NdArray[]): Promise<void> {
  if (Object.keys(results).length === 0) return;
  const program = engine.compile("sample", results);
  const feeds = [...program.inputs].map(([name, spec]) => [
    name,
    toHost(values[Number(name.slice(1))]!, spec),
  ]);
  const outputs = await program.run(Object.fromEntries(feeds));
  // The reference sees the inputs as float32 rounded them, so that only the arithmetic is compared.
  const seen = values.map((value) => ({
    shape: value.shape,
    data: Float64Array.from(value.data, Math.fround),
  }));
  const expected = interpret(Object.values(results), byName(seen));
  Object.keys(results).forEach((name, i) => {
    expectClose(toNdArray(outputs[name]!), expected[i]!, 1e-6, RUNTIME_TOLERANCE);
  });
  program.dispose();
}
