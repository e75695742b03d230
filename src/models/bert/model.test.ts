import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../core/random.ts";
import { Engine } from "../../engine/engine.ts";
import { readWeights } from "../../engine/stored-tensor.ts";
import { initializeParameters } from "../../nn/scope.ts";
import { gradients } from "../../tensor/gradient.ts";
import { input } from "../../tensor/tensor.ts";
import { loadEncoder, loadModel } from "../load-model.ts";
import { saveEncoder } from "../save-model.ts";
import { type BertHeads, bertConfig } from "./config.ts";
import { Bert } from "./model.ts";

const engine = new Engine();

const TINY = bertConfig({ vocabularySize: 23, contextLength: 9, width: 12, numLayers: 2, numHeads: 3 });

/** A padded batch of two texts. */
const BATCH = {
  tokens: [3, 1, 4, 1, 5, 9, 2, 6, 0, 0],
  segments: [0, 0, 1, 1, 1, 0, 0, 0, 0, 0],
  mask: [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
};

const ints = (shape: readonly number[], values: readonly number[]) =>
  ({ dtype: "int32", shape, data: Int32Array.from(values) }) as const;

function feeds(shape: readonly number[]) {
  return Object.fromEntries(Object.entries(BATCH).map(([name, values]) => [name, ints(shape, values)]));
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
  const expected = await fixed.run({ ...feeds([2, 5]), ...Object.fromEntries(weights) });
  const positions = ints([5], [0, 1, 2, 3, 4]);
  const actual = await open.run({ ...feeds([2, 5]), positions });
  const close = (name: string, count: number) =>
    expected[name]!.data.subarray(0, count).forEach((value, i) => {
      expect(Math.abs(Number(value) - Number(actual[name]!.data[i]))).toBeLessThan(1e-6);
    });
  close("logits", expected.logits!.data.length);
  close("next", 4);
  expect(() => build(inputs("B", "T"))).toThrow("Bert.hidden: expected positions");
  const other = BATCH.tokens.map((id, i) => (BATCH.mask[i] ? id : 22));
  const padded = await open.run({ ...feeds([2, 5]), tokens: ints([2, 5], other), positions });
  expect(padded.next!.data).toEqual(actual.next!.data);
  fixed.dispose();
  open.dispose();
});

test("gradients reach every parameter", async () => {
  const model = new Bert(TINY, { pooler: true, maskedLanguage: "tied", nextSentence: true });
  const weights = initializeParameters(model.parameters, new Random(4));
  const hidden = model.hidden(inputs(2, 5));
  const { maskedLogits, pooled, nextSentenceLogits } = model.heads;
  const labels = input("labels", "int32", [10]);
  const masked = maskedLogits!(hidden).reshape([10, 23]).crossEntropy(labels);
  const next = nextSentenceLogits!(pooled!(hidden)).crossEntropy(input("follows", "int32", [2]));
  const wrt = gradients(
    masked.add(next),
    model.parameters.map(({ tensor }) => tensor),
  );
  const program = engine.compile(
    "backward",
    Object.fromEntries(model.parameters.map(({ path }, i) => [`by ${path}`, wrt[i]!])),
  );
  const out = await program.run({
    ...feeds([2, 5]),
    labels: ints([10], [1, -1, 2, -1, -1, 3, -1, -1, -1, -1]),
    follows: ints([2], [0, 1]),
    ...Object.fromEntries(weights),
  });
  for (const { path } of model.parameters) {
    // Softmax ignores what all keys have in common, so their bias has no gradient.
    if (path.endsWith("key.bias")) continue;
    expect(Math.hypot(...(out[`by ${path}`]!.data as Float32Array)), path).toBeGreaterThan(1e-7);
  }
  program.dispose();
});

describe("saved and loaded", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "plinth-bert-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const sequenceClassifier = { labels: ["no", "yes", "maybe"], problem: "multi-label" } as const;
  test.each<[string, BertHeads]>([
    ["BertModel", {}],
    ["BertModel", { pooler: true }],
    ["BertForMaskedLM", { maskedLanguage: "tied" }],
    ["BertForPreTraining", { pooler: true, maskedLanguage: "untied", nextSentence: true }],
    ["BertForNextSentencePrediction", { pooler: true, nextSentence: true }],
    ["BertForSequenceClassification", { pooler: true, sequenceClassifier }],
    ["BertForTokenClassification", { tokenClassifier: { labels: ["O", "B-X"] } }],
    ["BertForQuestionAnswering", { questionAnswering: true }],
  ])("%s %j: weights to the bit, configuration and heads come back", (architecture, heads) => {
    const place = join(directory, "model");
    const model = new Bert(bertConfig({ ...TINY, activation: "relu" }), heads);
    const weights = initializeParameters(model.parameters, new Random(7));
    saveEncoder(place, { model, weights, tokenizer: undefined, card: "" });
    const written = JSON.parse(readFileSync(join(place, "config.json"), "utf8"));
    expect(written.architectures).toEqual([architecture]);
    const loaded = loadEncoder(place);
    expect((loaded.model as Bert).config).toEqual(model.config);
    expect((loaded.model as Bert).headConfig).toMatchObject(heads);
    expect(Object.keys(loaded.model.heads)).toEqual(Object.keys(model.heads));
    expect(readWeights(loaded.weights)).toEqual(weights);
    expect(() => loadModel(place)).toThrow(
      'model_type: expected a model that predicts the next token, got an encoder ("bert"). Load it with loadEncoder',
    );
  });

  test("a decoder is no encoder", () => {
    const place = new URL("../../../test/fixtures/gpt2/bare", import.meta.url).pathname;
    expect(() => loadEncoder(place)).toThrow(
      'model_type: expected an encoder, got a model that predicts the next token ("gpt2"). Load it with loadModel',
    );
  });
});
