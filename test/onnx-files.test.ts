import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { Random } from "../src/core/random.ts";
import { CPU, type Dialect, PLAIN } from "../src/engine/dialect.ts";
import { exportOnnx } from "../src/engine/engine.ts";
import { lower } from "../src/engine/lower.ts";
import { gradients } from "../src/tensor/gradient.ts";
import { isFloat } from "../src/tensor/ops/compare.ts";
import { OPS } from "../src/tensor/registry.ts";
import { input, parameter, type Tensor } from "../src/tensor/tensor.ts";
import { type OnnxFile, type OnnxNode, readOnnx } from "./onnx-reader.ts";
import { drawSample } from "./op-samples.ts";

// The bytes themselves: read back by an independent reader, and checked by the `onnx` package where there is one.

interface SampleFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** One file per sample of every operator, its results and its gradients together. */
function sampleFiles(dialect: Dialect): SampleFile[] {
  const portable = OPS.filter(({ name }) => dialect === CPU || name !== "cachedAttention");
  return portable.flatMap((op) =>
    op.samples.map((sample, i) => {
      const drawn = drawSample(op, sample, new Random(i + 1));
      const { inputs, outputs } = drawn.build("float32");
      const main = outputs[0]!;
      const wrt = inputs.filter((_, which) => drawn.isReal[which]);
      const slopes = op.gradient && isFloat(main.dtype) ? gradients(main.sum(), wrt) : [];
      const entries = [
        ...outputs.map((y, at) => [`y${at}`, y] as const),
        ...slopes.map((g, at) => [`g${at}`, g] as const),
      ];
      const name = `${op.name}-${i}`;
      return { name, bytes: lower(name, Object.fromEntries(entries), dialect).bytes };
    }),
  );
}

const plainFiles = sampleFiles(PLAIN);
const cpuFiles = sampleFiles(CPU);

/** Standard operators (opset 21) that Plinth writes; a new one is added here after a look at the specification. */
const STANDARD = new Set(
  `Abs Add And ArgMax AveragePool Cast Concat Conv ConvTranspose Cos Div Equal Erf Exp Expand Gather GatherElements Gelu Gemm
   Greater GreaterOrEqual Identity LayerNormalization Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Min Mul Neg Not Or Pad
   Pow Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape ScatterElements ScatterND Shape Sigmoid Sign Sin Slice Softmax
   Split Sqrt Squeeze Sub Sum Tanh TopK Transpose Unsqueeze Where`.split(/\s+/),
);

/** Which field of an attribute holds a value of each kind (`AttributeProto`): float, int, string, floats, ints. */
const FIELD_OF_KIND = new Map([
  [1, 2],
  [2, 3],
  [3, 4],
  [6, 7],
  [7, 8],
]);

/** Bytes per element by ONNX's type codes. */
const SIZES = new Map([
  [1, 4],
  [6, 4],
  [7, 8],
  [9, 1],
  [11, 8],
]);

function expectSound(file: OnnxFile): void {
  expect(file.irVersion).toBe(10);
  expect(file.opsets.get("")).toBe(21);
  const defined = new Set<string>();
  const define = (name: string) => {
    expect(name).not.toBe("");
    expect(defined, `defined twice: ${name}`).not.toContain(name);
    defined.add(name);
  };
  for (const { name } of [...file.inputs, ...file.initializers]) define(name);
  for (const { elementType, shape, numBytes } of file.initializers) {
    expect(numBytes).toBe(shape.reduce((a, b) => a * b, SIZES.get(elementType)!));
  }
  for (const node of file.nodes) {
    expect([...file.opsets.keys()]).toContain(node.domain);
    for (const name of node.inputs) {
      if (name !== "") expect(defined, `${node.type} reads ${name} before it is made`).toContain(name);
    }
    for (const { type, fields } of node.attributes.values())
      expect(fields).toEqual([FIELD_OF_KIND.get(type)]);
    node.outputs.forEach(define);
  }
  for (const { name } of file.outputs) expect(defined).toContain(name);
}

describe("files of every operator's samples", () => {
  test.each(plainFiles)("plain: $name", ({ bytes }) => {
    const file = readOnnx(bytes);
    expectSound(file);
    const foreign = file.nodes.filter(({ type, domain }) => domain !== "" || !STANDARD.has(type));
    expect(foreign.map(({ type }) => type)).toEqual([]);
  });

  test.each(cpuFiles)("for ONNX Runtime: $name", ({ bytes }) => {
    const file = readOnnx(bytes);
    expectSound(file);
    const isKnown = ({ type, domain }: OnnxNode) =>
      domain === "com.microsoft" || STANDARD.has(type) || type === "SimplifiedLayerNormalization";
    expect(file.nodes.filter((node) => !isKnown(node)).map(({ type }) => type)).toEqual([]);
  });
});

describe("a graph's signature in the file", () => {
  const x = input("x", "float32", ["batch", 3]);
  const w = parameter("h.0.weight", [3, 2]);
  const y = x.matmul(w);
  const results: Record<string, Tensor> = { y, again: y, echo: x, hit: y.greater(0) };

  test("names, element types and dimensions, also named ones and one tensor under two names", () => {
    const { inputs, outputs } = readOnnx(exportOnnx("signature", results));
    expect(inputs).toEqual([
      { name: "x", elementType: 1, shape: ["batch", 3] },
      { name: "h.0.weight", elementType: 1, shape: [3, 2] },
    ]);
    expect(outputs).toEqual([
      { name: "y", elementType: 1, shape: ["batch", 2] },
      { name: "again", elementType: 1, shape: ["batch", 2] },
      { name: "echo", elementType: 1, shape: ["batch", 3] },
      { name: "hit", elementType: 9, shape: ["batch", 2] },
    ]);
    expectSound(readOnnx(exportOnnx("signature", results)));
  });

  test("two different leaves of one name are refused", () => {
    const other = input("x", "float32", [2]);
    expect(() => exportOnnx("twice", { y: x.sum().add(other.sum()) })).toThrow(
      'compile: expected one tensor for each name, got two different tensors named "x".',
    );
  });

  test("a name like those the file uses inside stays apart from them", () => {
    const t0 = input("t0", "float32", [2]);
    const c0 = input("c0", "float32", [2]);
    expectSound(readOnnx(exportOnnx("inside", { t1: t0.add(c0).mul(3).exp() })));
  });
});

const python = process.env.PLINTH_PYTHON;

describe.skipIf(!python)(`onnx.checker (${python ?? "skipped: PLINTH_PYTHON is not set"})`, () => {
  test("passes every file", () => {
    const directory = mkdtempSync(path.join(tmpdir(), "plinth-onnx-"));
    try {
      for (const { name, bytes } of plainFiles) writeFileSync(path.join(directory, `${name}.onnx`), bytes);
      for (const { name, bytes } of cpuFiles)
        writeFileSync(path.join(directory, `${name}.fused.onnx`), bytes);
      const script = path.join(import.meta.dirname, "../tools/golden/check_onnx.py");
      const output = execFileSync(python!, [script, directory], { encoding: "utf8" });
      const total = plainFiles.length + cpuFiles.length;
      expect(output).toContain(`${total} of ${total} files pass`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
