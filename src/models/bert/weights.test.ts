import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../../core/random.ts";
import { readWeights } from "../../engine/stored-tensor.ts";
import { SafetensorsFile } from "../../hub/safetensors.ts";
import { streamSafetensors } from "../../hub/safetensors-writer.ts";
import { initializeParameters } from "../../nn/scope.ts";
import { loadEncoder, loadModel } from "../load-model.ts";
import { saveEncoder } from "../save-model.ts";
import { type BertHeads, bertConfig } from "./config.ts";
import { Bert } from "./model.ts";

const FIXTURES = new URL("../../../test/fixtures/", import.meta.url).pathname;
const TINY = bertConfig({ vocabularySize: 23, contextLength: 9, width: 12, numLayers: 2, numHeads: 3 });

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

describe("a checkpoint that is not what it says", () => {
  let place = "";
  beforeAll(() => {
    place = join(mkdtempSync(join(tmpdir(), "plinth-bert-")), "model");
  });
  afterAll(() => rmSync(join(place, ".."), { recursive: true, force: true }));

  /** A golden checkpoint with some of its configuration changed; `undefined` takes a key away. */
  function changed(name: string, change: Readonly<Record<string, unknown>>): () => unknown {
    rmSync(place, { recursive: true, force: true });
    cpSync(`${FIXTURES}bert/${name}`, place, { recursive: true });
    const path = join(place, "config.json");
    const config = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...config, ...change }));
    return () => loadEncoder(place);
  }

  const bert = (name: string, change: Readonly<Record<string, unknown>>) =>
    [name, change] as [string, Readonly<Record<string, unknown>>];

  test.each([
    [
      ...bert("masked-lm", { position_embedding_type: "relative_key" }),
      'position_embedding_type: expected "absolute", got "relative_key"',
    ],
    [...bert("masked-lm", { is_decoder: true }), "is_decoder: expected false, got true"],
    [
      ...bert("masked-lm", { hidden_act: "mish" }),
      "hidden_act: expected one of gelu, gelu_new, gelu_pytorch_tanh",
    ],
    [
      ...bert("masked-lm", { num_attention_heads: 5 }),
      "bert.numHeads: expected a divisor of width 12, got 5",
    ],
    [
      ...bert("masked-lm", { hidden_size: "12" }),
      'bert.width: expected an integer in [1, 1048576], got "12"',
    ],
    [
      ...bert("masked-lm", { vocab_size: 32 }),
      "embeddings.word_embeddings.weight: expected shape [32,12] as config.json says, got [31,12]",
    ],
    [
      ...bert("masked-lm", { num_hidden_layers: 3 }),
      "expected exactly the tensors of the architecture, got 16 missing (encoder.layer.2.",
    ],
    [...bert("masked-lm", { num_hidden_layers: 1 }), "got 16 left over (encoder.layer.1."],
    [
      ...bert("bare", { architectures: ["BertForSequenceClassification"] }),
      "2 missing (classifier.weight, classifier.bias)",
    ],
    [
      ...bert("bare", { architectures: ["BertForMultipleChoice"] }),
      "architectures: expected one of BertModel, BertForPreTraining",
    ],
    [
      ...bert("single-label", { id2label: { 0: "a", 2: "b" } }),
      "id2label: expected a label for each of 0, 1, 2",
    ],
    [
      ...bert("single-label", { id2label: { 0: "a", 1: "b" } }),
      "classifier.weight: expected shape [2,12] as config.json says, got [4,12]",
    ],
    [
      ...bert("single-label", { problem_type: "ranking" }),
      "problem_type: expected one of regression, single_label_classification, multi_label_classification",
    ],
    [
      ...bert("bare", { model_type: "bertt" }),
      'model_type: expected a known architecture, got "bertt". Known: gpt2, mistral, llama, qwen2, bert',
    ],
    [...bert("bare", { model_type: undefined }), "model_type: expected a known architecture, got null."],
  ])("%s with %j", (name, change, message) => {
    expect(changed(name, change)).toThrow(message);
  });

  test("one tensor under two names is refused, as nothing says which of them counts", () => {
    changed("bare", {});
    const path = join(place, "model.safetensors");
    const file = SafetensorsFile.open(path);
    const tensors = [...file.tensors.keys()].map((name) => [name, file.read(name)] as const);
    file.close();
    const twice = tensors.find(([name]) => name === "pooler.dense.bias")!;
    const target = join(place, "twice.safetensors");
    streamSafetensors(target, [...tensors, ["bert.pooler.dense.bias", twice[1]]], {}, place);
    renameSync(target, path);
    expect(() => loadEncoder(place)).toThrow(
      'expected one tensor for pooler.dense.bias, got "bert.pooler.dense.bias" and "pooler.dense.bias"',
    );
  });

  test("without architecture and problem type, the tensors and the number of labels tell", () => {
    const unsaid = { architectures: undefined, problem_type: undefined };
    const headsOf = (name: string) => {
      changed(name, unsaid);
      return (loadEncoder(place).model as Bert).headConfig;
    };
    expect(headsOf("single-label").sequenceClassifier?.problem).toBe("single-label");
    expect(headsOf("regression").sequenceClassifier).toEqual({ labels: ["LABEL_0"], problem: "multi-label" });
    expect(headsOf("token-classification").tokenClassifier?.labels[3]).toBe("B-LOC");
    expect(headsOf("pretraining")).toMatchObject({
      maskedLanguage: "tied",
      nextSentence: true,
      pooler: true,
    });
  });
});
