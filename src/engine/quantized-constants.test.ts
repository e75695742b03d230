import { describe, expect, test } from "vitest";
import { dequantize } from "../core/dequantize.ts";
import { type HostTensor, hostTensor } from "../core/dtype.ts";
import { type BlockFormat, quantize } from "../core/quantize.ts";
import { Random } from "../core/random.ts";
import { gradients } from "../tensor/gradient.ts";
import { input, parameter, type Tensor } from "../tensor/tensor.ts";
import { Engine } from "./engine.ts";
import { interpret, toNdArray } from "./interpreter.ts";

// Programs over quantised constants against the float64 reference of the dequantised matrices.

const engine = new Engine();

const FORMATS: readonly BlockFormat[] = [
  { scheme: "int4", blockSize: 32 },
  { scheme: "int4", blockSize: 32, zeroPoints: true },
  { scheme: "int4", blockSize: 128 },
  { scheme: "int4", blockSize: 128, zeroPoints: true },
  { scheme: "int8", blockSize: 32 },
  { scheme: "int8", blockSize: 128 },
  { scheme: "int8", blockSize: 128, zeroPoints: true },
  { scheme: "nf4", blockSize: 64 },
];

/** Activations are rounded to one part in 254 of the largest of their block; nothing else differs. */
const ACTIVATION_ERROR = 0.008;

function draw(shape: readonly number[], seed: number): HostTensor {
  const random = new Random(seed);
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal());
  return hostTensor("float32", shape, data);
}

/** Runs `build` with the parameter `w` quantised, and in float64 with what that stands for. */
async function compare(
  weight: HostTensor,
  axis: 0 | 1,
  format: BlockFormat,
  feeds: Readonly<Record<string, HostTensor>>,
  build: (w: Tensor) => Tensor,
) {
  const quantized = quantize(weight, axis, format, "w");
  const y = build(parameter("w", weight.shape));
  const program = engine.compile("quantized", { y }, { constants: new Map([["w", quantized]]) });
  const actual = (await program.run(feeds)).y!;
  program.dispose();
  const values = Object.entries({ ...feeds, w: dequantize(quantized) });
  const [expected] = interpret(
    [y],
    Object.fromEntries(values.map(([name, tensor]) => [name, toNdArray(tensor)])),
  );
  let [error, norm] = [0, 0];
  expected!.data.forEach((value, i) => {
    error += (value - Number(actual.data[i])) ** 2;
    norm += value ** 2;
  });
  return { actual, expected: expected!, relative: Math.sqrt(error / norm) };
}

describe.each(FORMATS)("%j", (format) => {
  const exact = 1e-6;
  const product = format.scheme === "nf4" ? exact : ACTIVATION_ERROR;
  const weight = draw([96, 256], 1); // (out, in)
  const x = draw([5, 256], 2);

  test("a product with (out, in) weights, and with a bias", async () => {
    const build = (w: Tensor) => input("x", "float32", ["rows", 256]).linear(w, undefined, true);
    expect((await compare(weight, 1, format, { x }, build)).relative).toBeLessThan(product);
    const batches = (w: Tensor) => input("x", "float32", ["B", "T", 256]).linear(w, undefined, true);
    const cube = hostTensor("float32", [1, 5, 256], x.data);
    expect((await compare(weight, 1, format, { x: cube }, batches)).relative).toBeLessThan(product);
    const bias = draw([96], 3);
    const biased = (w: Tensor) =>
      input("x", "float32", ["rows", 256]).linear(w, input("bias", "float32", [96]), true);
    expect((await compare(weight, 1, format, { x, bias }, biased)).relative).toBeLessThan(product);
  });

  test("a product with (in, out) weights, quantised along their rows' axis", async () => {
    const build = (w: Tensor) => input("x", "float32", ["rows", 256]).linear(w, undefined, false);
    expect((await compare(draw([256, 96], 4), 0, format, { x }, build)).relative).toBeLessThan(product);
  });

  test("rows of a table, and the same table as a head", async () => {
    const ids = hostTensor("int32", [3], Int32Array.of(95, 0, 17));
    const rows = (w: Tensor) => w.gatherRows(input("ids", "int32", ["n"]));
    expect((await compare(weight, 1, format, { ids }, rows)).relative).toBeLessThan(exact);
    const tied = (w: Tensor) =>
      rows(w)
        .mul(input("scale", "float32", []))
        .linear(w, undefined, true);
    const scale = hostTensor("float32", [], Float32Array.of(0.5));
    expect((await compare(weight, 1, format, { ids, scale }, tied)).relative).toBeLessThan(product);
  });

  test("any other use sees the matrix: sliced, added, multiplied from the other side", async () => {
    const sliced = (w: Tensor) => w.slice(0, 10, 20).add(w.slice(0, 20, 30));
    expect((await compare(weight, 1, format, {}, sliced)).relative).toBeLessThan(exact);
    const g = draw([5, 96], 5);
    const backward = (w: Tensor) => input("g", "float32", ["rows", 96]).matmul(w);
    expect((await compare(weight, 1, format, { g }, backward)).relative).toBeLessThan(exact);
    const scaled = (w: Tensor) =>
      input("x", "float32", [5, 256]).matmul(w, { transposeB: true, scale: 0.25 });
    expect((await compare(weight, 1, format, { x }, scaled)).relative).toBeLessThan(exact);
  });

  test("the gradient by activations passes through", async () => {
    const build = (w: Tensor) => {
      const leaf = input("x", "float32", [5, 256]);
      return gradients(leaf.linear(w, undefined, true).mul(0.03).tanh().sum(), [leaf])[0]!;
    };
    expect((await compare(weight, 1, format, { x: draw([5, 256], 6) }, build)).relative).toBeLessThan(
      2 * product,
    );
  });
});
