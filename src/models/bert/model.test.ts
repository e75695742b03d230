import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { HostTensor } from "../../core/dtype.ts";
import { Random } from "../../core/random.ts";
import { Engine } from "../../engine/engine.ts";
import { readWeights } from "../../engine/stored-tensor.ts";
import { initializeParameters } from "../../nn/scope.ts";
import { gradients } from "../../tensor/gradient.ts";
import { input, type Tensor } from "../../tensor/tensor.ts";
import { loadEncoder } from "../load-model.ts";
import { bertConfig } from "./config.ts";
import { Bert } from "./model.ts";

// Golden values of tools/golden/bert.py: Python transformers, float64 runs of float32 weights.

const FIXTURES = new URL("../../../test/fixtures/bert/", import.meta.url).pathname;
const engine = new Engine();

interface Packed {
  readonly shape: number[];
  /** Little-endian, base64. */
  readonly float32: string;
}

interface GoldenBatch {
  readonly tokens: number[][];
  readonly segments: number[][];
  readonly mask: number[][];
}

interface Golden {
  readonly cases: (GoldenBatch & { readonly name: string; readonly outputs: Record<string, Packed> })[];
  readonly gradients: GoldenBatch & {
    readonly labels: number[][];
    readonly follows: number[];
    readonly loss: number;
    readonly parameters: Record<string, { readonly norm: number; readonly sum: number }>;
  };
}

function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(`${FIXTURES}${name}/golden.json`, "utf8")) as Golden;
}

function largestDifference(actual: HostTensor | undefined, { shape, float32 }: Packed): number {
  const expected = new Float32Array(Uint8Array.from(Buffer.from(float32, "base64")).buffer);
  expect(actual?.shape).toEqual(shape);
  const values = actual?.data as Float32Array;
  return values.reduce((peak, value, i) => Math.max(peak, Math.abs(value - expected[i]!)), 0);
}

/** Everything that a model with these heads computes, by the names in the golden file. */
function outputsOf(model: Bert, batch: ReturnType<typeof inputs>): Record<string, Tensor> {
  const states = model.hiddenStates(batch);
  const hidden = states.at(-1)!;
  const { maskedLogits, pooled, nextSentenceLogits, answerLogits } = model.heads;
  const classifier = model.heads.sequenceClassifier ?? model.heads.tokenClassifier;
  const masked = maskedLogits?.(hidden);
  const next = pooled && nextSentenceLogits?.(pooled(hidden));
  // A model with one kind of scores calls them `logits` there.
  const only = masked && next ? undefined : (masked ?? next ?? classifier?.logits(hidden));
  return {
    ...Object.fromEntries(states.map((state, layer) => [`hidden.${layer}`, state])),
    ...(pooled && { pooled: pooled(hidden) }),
    ...(masked && next && { maskedLogits: masked, nextSentenceLogits: next }),
    ...(only && { logits: only }),
    ...answerLogits?.(hidden),
  };
}

describe.each(readdirSync(FIXTURES))("golden checkpoint %s", (name) => {
  const golden = readGolden(name);
  const loaded = loadEncoder(`${FIXTURES}${name}`);
  const model = loaded.model as Bert;

  test.each(golden.cases.map((c) => [c.name, c] as const))("%s: every output", async (_, golden) => {
    const shape = [golden.tokens.length, golden.tokens[0]!.length];
    const program = engine.compile("all", outputsOf(model, inputs(...shape)));
    const out = await program.run({
      ...feeds(shape, golden),
      ...Object.fromEntries(readWeights(loaded.weights)),
    });
    expect(Object.keys(out).sort()).toEqual(Object.keys(golden.outputs).sort());
    for (const [name, expected] of Object.entries(golden.outputs)) {
      expect(largestDifference(out[name], expected), name).toBeLessThan(1e-4);
    }
    program.dispose();
  });
});

test("the pretraining loss and its gradient by every parameter", async () => {
  const { gradients: golden } = readGolden("pretraining");
  const loaded = loadEncoder(`${FIXTURES}pretraining`);
  const model = loaded.model as Bert;
  const [B, T] = [golden.tokens.length, golden.tokens[0]!.length];
  const hidden = model.hidden(inputs(B, T));
  const { maskedLogits, pooled, nextSentenceLogits } = model.heads;
  const logits = maskedLogits!(hidden).reshape([B * T, model.shape.vocabularySize]);
  const masked = logits.crossEntropy(input("labels", "int32", [B * T]), { ignoredLabel: -100 });
  const next = nextSentenceLogits!(pooled!(hidden)).crossEntropy(input("follows", "int32", [B]));
  const loss = masked.add(next);
  const wrt = gradients(
    loss,
    model.parameters.map(({ tensor }) => tensor),
  );
  const byPath = Object.fromEntries(model.parameters.map(({ path }, i) => [`by ${path}`, wrt[i]!]));
  const program = engine.compile("backward", { loss, ...byPath });
  const out = await program.run({
    ...feeds([B, T], golden),
    labels: ints([B * T], golden.labels.flat()),
    follows: ints([B], golden.follows),
    ...Object.fromEntries(readWeights(loaded.weights)),
  });
  expect(Math.abs(Number(out.loss!.data[0]) - golden.loss)).toBeLessThan(1e-5);
  expect(model.parameters.length).toBe(Object.keys(golden.parameters).length);
  for (const { path } of model.parameters) {
    const expected = golden.parameters[path] ?? golden.parameters[`bert.${path}`]!;
    const values = out[`by ${path}`]!.data as Float32Array;
    const sum = values.reduce((total, value) => total + value, 0);
    expect(Math.abs(Math.hypot(...values) - expected.norm), path).toBeLessThan(1e-5 * (1 + expected.norm));
    expect(Math.abs(sum - expected.sum), path).toBeLessThan(2e-5 * (1 + expected.norm));
  }
  program.dispose();
});

const TINY = bertConfig({ vocabularySize: 23, contextLength: 9, width: 12, numLayers: 2, numHeads: 3 });

/** A padded batch of two texts. */
const BATCH = {
  tokens: [
    [3, 1, 4, 1, 5],
    [9, 2, 6, 0, 0],
  ],
  segments: [
    [0, 0, 1, 1, 1],
    [0, 0, 0, 0, 0],
  ],
  mask: [
    [1, 1, 1, 1, 1],
    [1, 1, 1, 0, 0],
  ],
};

const ints = (shape: readonly number[], values: readonly number[]) =>
  ({ dtype: "int32", shape, data: Int32Array.from(values) }) as const;

function feeds(shape: readonly number[], { tokens, segments, mask }: GoldenBatch) {
  return Object.fromEntries(
    Object.entries({ tokens, segments, mask }).map(([name, values]) => [name, ints(shape, values.flat())]),
  );
}

function inputs(...shape: (number | string)[]) {
  const [tokens, segments, mask] = ["tokens", "segments", "mask"].map((name) => input(name, "int32", shape));
  return { tokens: tokens!, segments: segments!, mask: mask! };
}

test("named sizes compute what known ones do, and what stands at padding changes nothing", async () => {
  const model = new Bert(TINY, { pooler: true, maskedLanguage: "tied", nextSentence: true });
  const weights = initializeParameters(model.parameters, new Random(4));
  const build = (batch: ReturnType<typeof inputs>, positions?: ReturnType<typeof input>) => {
    const hidden = model.hidden({ ...batch, ...(positions && { positions }) });
    const { maskedLogits, pooled, nextSentenceLogits } = model.heads;
    return { logits: maskedLogits!(hidden), next: nextSentenceLogits!(pooled!(hidden)) };
  };
  const fixed = engine.compile("fixed", build(inputs(2, 5)));
  const open = engine.compile("open", build(inputs("B", "T"), input("positions", "int32", ["T"])), {
    constants: weights,
  });
  const expected = await fixed.run({ ...feeds([2, 5], BATCH), ...Object.fromEntries(weights) });
  const positions = ints([5], [0, 1, 2, 3, 4]);
  const actual = await open.run({ ...feeds([2, 5], BATCH), positions });
  const close = (name: string, count: number) =>
    expected[name]!.data.subarray(0, count).forEach((value, i) => {
      expect(Math.abs(Number(value) - Number(actual[name]!.data[i]))).toBeLessThan(1e-6);
    });
  close("logits", expected.logits!.data.length);
  close("next", 4);
  expect(() => build(inputs("B", "T"))).toThrow("Bert.hidden: expected positions");
  const other = BATCH.tokens.flat().map((id, i) => (BATCH.mask.flat()[i] ? id : 22));
  const padded = await open.run({ ...feeds([2, 5], BATCH), tokens: ints([2, 5], other), positions });
  expect(padded.next!.data).toEqual(actual.next!.data);
  fixed.dispose();
  open.dispose();
});
