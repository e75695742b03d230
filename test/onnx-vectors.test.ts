import { describe, expect, test } from "vitest";
import { Engine } from "../src/engine/engine.ts";
import { interpret, toNdArray } from "../src/engine/interpreter.ts";
import type { NdArray } from "../src/tensor/nd-array.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import { TRANSLATIONS } from "./onnx-translations.ts";
import {
  hasVectors,
  OtherMeaning,
  readVectors,
  type StoredVector,
  toHostTensor,
  Vector,
} from "./onnx-vectors.ts";

// Every operator with a counterpart in ONNX against the ONNX project's own vectors: the float64 reference and the runtime.

const TOLERANCE = 1e-4;

interface Case {
  readonly name: string;
  readonly vector: Vector;
  readonly outputs: readonly { readonly tensor: Tensor; readonly expected: NdArray }[];
}

/** The vector in our operators, or why it is not there. */
function translate(stored: StoredVector): Case | string | undefined {
  const translation = TRANSLATIONS[stored.op];
  if (!translation) return undefined;
  const vector = new Vector(stored);
  try {
    const outputs = translation(vector).flatMap((tensor, i) => {
      const expected = stored.outputs[i];
      return tensor && expected ? [{ tensor, expected: toNdArray(toHostTensor(expected)) }] : [];
    });
    return { name: stored.name, vector, outputs };
  } catch (error) {
    if (error instanceof OtherMeaning) return error.message;
    throw error;
  }
}

const translated = (hasVectors ? readVectors() : []).map((stored) => [stored, translate(stored)] as const);
const cases = translated.flatMap(([, found]) => (typeof found === "object" ? [found] : []));

const why = hasVectors ? "" : " (skipped: ../shared/data/onnx-op-vectors is not there)";
describe.skipIf(!hasVectors)(`ONNX vectors${why}`, () => {
  test.each(cases.map((each) => [each.name, each] as const))("%s", async (_, { vector, outputs }) => {
    const feeds = Object.fromEntries([...vector.feeds].map(([name, value]) => [name, toNdArray(value)]));
    const reference = interpret(
      outputs.map(({ tensor }) => tensor),
      feeds,
    );
    reference.forEach((value, i) => {
      expectNear(value, outputs[i]!.expected);
    });
    const program = engine.compile(
      "vector",
      Object.fromEntries(outputs.map(({ tensor }, i) => [`y${i}`, tensor])),
    );
    const given = [...program.inputs.keys()].map((name) => [name, vector.feeds.get(name)!]);
    const results = await program.run(Object.fromEntries(given));
    program.dispose();
    outputs.forEach(({ expected }, i) => {
      expectNear(toNdArray(results[`y${i}`]!), expected);
    });
  });

  test("as many as we know to have a counterpart were compared, none silently left out", () => {
    const used = new Map<string, number>();
    for (const { vector } of cases) used.set(vector.stored.op, (used.get(vector.stored.op) ?? 0) + 1);
    const left = new Map<string, number>();
    for (const [, why] of translated) if (typeof why === "string") left.set(why, (left.get(why) ?? 0) + 1);
    expect(Object.fromEntries([...used].sort())).toMatchInlineSnapshot(`
      {
        "Abs": 1,
        "Add": 1,
        "And": 5,
        "ArgMax": 6,
        "Attention": 20,
        "AveragePool": 8,
        "Concat": 8,
        "Conv": 5,
        "ConvTranspose": 7,
        "Cos": 2,
        "Div": 1,
        "Equal": 1,
        "Exp": 2,
        "Expand": 2,
        "GatherElements": 1,
        "Gelu": 4,
        "Gemm": 6,
        "GlobalAveragePool": 1,
        "Greater": 2,
        "GreaterOrEqual": 2,
        "GroupNormalization": 2,
        "InstanceNormalization": 1,
        "LayerNormalization": 13,
        "Less": 2,
        "LessOrEqual": 1,
        "Log": 2,
        "LogSoftmax": 7,
        "MatMul": 4,
        "Max": 2,
        "MaxPool": 5,
        "Min": 5,
        "Mul": 3,
        "Neg": 2,
        "Not": 2,
        "OneHot": 1,
        "Or": 6,
        "Pad": 3,
        "Pow": 5,
        "RMSNormalization": 13,
        "Reciprocal": 2,
        "ReduceL2": 4,
        "ReduceMax": 5,
        "ReduceMean": 5,
        "ReduceMin": 4,
        "ReduceSum": 9,
        "ReduceSumSquare": 3,
        "Relu": 1,
        "Reshape": 8,
        "Resize": 2,
        "RotaryEmbedding": 8,
        "ScatterElements": 1,
        "Sigmoid": 2,
        "Sin": 2,
        "Slice": 4,
        "Softmax": 4,
        "SoftmaxCrossEntropyLoss": 8,
        "Split": 11,
        "Sqrt": 1,
        "Sub": 2,
        "Sum": 2,
        "Tanh": 1,
        "TopK": 4,
        "Transpose": 1,
        "Unsqueeze": 4,
        "Where": 2,
      }
    `);
    expect(Object.fromEntries([...left].sort())).toMatchInlineSnapshot(`
      {
        "a mask that is added": 22,
        "a reduction of nothing": 3,
        "another axis than the last": 3,
        "another reduction than add": 4,
        "another reduction than the mean": 5,
        "anything but nearest neighbours by a factor": 27,
        "dilation in a pool": 1,
        "division of integers": 1,
        "factors that are not whole": 1,
        "float16 elements": 3,
        "int16 elements": 5,
        "int8 elements": 5,
        "operands of two types": 2,
        "padding other than by a constant": 1,
        "reductions of booleans": 2,
        "sizes rounded up": 4,
        "soft capping": 8,
        "steps other than 1": 1,
        "the last of equal elements": 6,
        "three spatial axes": 2,
        "uint16 elements": 8,
        "uint32 elements": 5,
        "uint64 elements": 8,
        "uint8 elements": 8,
        "vectors as operands": 3,
        "weights of classes": 7,
      }
    `);
    expect(cases.length).toBe(264);
  });
});

const engine = new Engine({ threads: 1 });

/** Within 1e-4 of the element, or of the largest one for those near zero; infinities exactly. Values beyond float32 are infinite. */
function expectNear(actual: NdArray, expected: NdArray): void {
  expect(actual.shape).toEqual(expected.shape);
  const finite = expected.data.filter(Number.isFinite);
  const peak = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  actual.data.forEach((value, i) => {
    const target = expected.data[i]!;
    if (Object.is(Math.fround(value), target) || Math.fround(value) === target) return;
    const bound = TOLERANCE * Math.max(Math.abs(target), 0.01 * Math.min(peak, 1));
    expect(Math.abs(value - target), `element ${i}: ${value} vs ${target}`).toBeLessThanOrEqual(bound);
  });
}
