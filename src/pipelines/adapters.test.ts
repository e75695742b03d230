import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { largestDifference, unpack } from "../../test/mistral-golden.ts";
import { FIXTURES, PEFT_FIXTURES, peftGolden } from "../../test/peft-golden.ts";
import { engine } from "../../test/tiny-run.ts";
import { Lora } from "../adapt/lora.ts";
import { loadAdapter, saveAdapter } from "../adapt/peft/adapter-file.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import type { HostWeights } from "../core/weights.ts";
import { loadEncoder } from "../models/load-model.ts";
import { encoderFamilyOf } from "../models/registry.ts";
import { initializeParameters } from "../nn/scope.ts";
import { classifySequence } from "./classify-sequence.ts";
import { EncoderModel } from "./encoder-model.ts";
import { LanguageModel } from "./language-model.ts";
import { pipeline } from "./pipeline.ts";

let place = "";
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), "plinth-adapters-"));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const directoryOf = (name: string) => join(PEFT_FIXTURES, name);

/** The same numbers, each a tenth larger. */
function grown(weights: HostWeights): Map<string, HostTensor> {
  return new Map(
    [...weights].map(([path, { shape, data }]) => {
      const values = Float32Array.from(data as Float32Array, (value) => 1.1 * value);
      return [path, { dtype: "float32", shape, data: values }];
    }),
  );
}

describe("a language model with several adapters", () => {
  const golden = peftGolden("gpt2-lora");
  const rows = golden.inputs.input_ids;
  let model: LanguageModel;
  let base: Float32Array;
  const open = () => LanguageModel.load(join(FIXTURES, "gpt2/prefixed"), { engine, rows: 2 });
  const last = async (row = 0) => (await model.decoder.prefill(rows[row]!)).slice();

  beforeAll(async () => {
    model = open();
    base = await last();
    model.addAdapter("lora", directoryOf("gpt2-lora"));
    const loaded = loadAdapter(directoryOf("gpt2-lora"), model.loaded);
    model.addAdapter("grown", { ...loaded, weights: grown(loaded.weights) });
    for (const name of ["gpt2-dora", "gpt2-ia3", "gpt2-prompt", "gpt2-prefix"]) {
      model.addAdapter(name, directoryOf(name));
    }
  });
  afterAll(() => model.dispose());

  test.each(["gpt2-lora", "gpt2-dora", "gpt2-ia3", "gpt2-prompt", "gpt2-prefix"])(
    "reads with %s what Python computes, token by token",
    async (name) => {
      model.useAdapter(name === "gpt2-lora" ? "lora" : name);
      const { inputs, logits } = peftGolden(name);
      const expected = unpack(logits);
      const [, T, V] = logits.shape as [number, number, number];
      const { decoder } = model;
      decoder.reset();
      for (const [row, tokens] of inputs.input_ids.entries()) {
        const scores = await decoder.prefill(tokens.slice(0, 3), { row });
        const at = (t: number) => expected.subarray((row * T + t) * V, (row * T + t + 1) * V);
        expect(largestDifference(scores.slice(), at(2))).toBeLessThan(1e-5);
        const rest = await decoder.prefill(tokens.slice(3), { row });
        expect(largestDifference(rest.slice(), at(T - 1))).toBeLessThan(1e-5);
      }
    },
  );

  test("is the base again, bit by bit, when the adapter is put away", async () => {
    model.useAdapter();
    model.decoder.reset();
    expect(await last()).toEqual(base);
    model.useAdapter("grown");
    model.decoder.reset();
    expect(largestDifference(await last(), base)).toBeGreaterThan(0.1);
    model.useAdapter();
    model.decoder.reset();
    expect(await last()).toEqual(base);
  });

  test("goes there and back between adapters of one structure without compiling; the cache is empty after each", async () => {
    const fresh = async (name: string) => {
      model.useAdapter(name);
      const scores = await last();
      expect(model.decoder.tokens()).toEqual(rows[0]);
      return scores;
    };
    model.useAdapter("lora");
    model.decoder.reset();
    const first = await fresh("lora");
    const compile = vi.spyOn(engine, "compile");
    for (let round = 0; round < 3; round++) {
      const other = await fresh("grown");
      expect(largestDifference(other, first)).toBeGreaterThan(0.1);
      expect(await fresh("lora")).toEqual(first);
    }
    expect(compile).not.toHaveBeenCalled();
    compile.mockRestore();
  });

  test("scores texts with the adapter in use", async () => {
    const { scorer: plain } = model;
    model.useAdapter("lora");
    const { nats } = await model.scorer.score(rows[0]!);
    model.useAdapter("grown");
    expect((await model.scorer.score(rows[0]!)).nats).not.toBeCloseTo(nats, 3);
    model.useAdapter("lora");
    expect((await model.scorer.score(rows[0]!)).nats).toBe(nats);
    expect(plain).toBeDefined();
  });

  test("shares the base's weights between all", () => {
    model.useAdapter();
    const { weights } = model.loaded;
    for (const name of ["lora", "grown", "gpt2-prefix"]) {
      model.useAdapter(name);
      for (const [path, weight] of weights) expect(model.loaded.weights.get(path)).toBe(weight);
    }
  });

  test("an unknown name lists those there are", () => {
    expect(() => model.useAdapter("lorra")).toThrow(ConfigError);
    expect(() => model.useAdapter("lorra")).toThrow(
      /one that was added, got "lorra"\. Did you mean "lora"\?/,
    );
    expect(() => open().useAdapter("lora")).toThrow(/Add it first/);
    expect(() => model.addAdapter("other", directoryOf("mistral-rslora"))).toThrow(/target_modules/);
  });
});

describe("an encoder with several adapters", () => {
  test("classifies with each as Python does", async () => {
    const model = EncoderModel.load(join(FIXTURES, "bert/single-label"), { engine });
    const names = ["bert-lora", "bert-dora", "bert-ia3"];
    for (const name of names) model.addAdapter(name, directoryOf(name));
    for (const name of [...names, ...names]) {
      const { inputs, logits } = peftGolden(name);
      const lengths = inputs.attention_mask.map((mask) => mask.filter((of) => of === 1).length);
      const texts = inputs.input_ids.map((ids, row) => ({
        ids: ids.slice(0, lengths[row]),
        segmentIds: inputs.token_type_ids[row]!.slice(0, lengths[row]),
      }));
      model.useAdapter(name);
      const found = await classifySequence(model, texts);
      const scores = unpack(logits);
      for (const [row, labels] of found.entries()) {
        const best = scores.subarray(4 * row, 4 * row + 4);
        const expected = model.loaded.model.heads.sequenceClassifier!.labels[best.indexOf(Math.max(...best))];
        expect(labels[0]!.label).toBe(expected);
        const sum = best.reduce((total, value) => total + Math.exp(value), 0);
        expect(labels[0]!.score).toBeCloseTo(Math.exp(Math.max(...best)) / sum, 5);
      }
    }
    model.dispose();
  });

  test("pipeline takes an adapter, and says when there is nothing to put it on", async () => {
    const options = { engine, adapter: directoryOf("bert-lora") };
    const classify = await pipeline("text-classification", join(FIXTURES, "bert/single-label"), options);
    classify.dispose();
    const generator = pipeline("text-generation", join(FIXTURES, "gpt2/prefixed"), options);
    await expect(generator).rejects.toThrow(/target_modules: expected linear layers of the base/);
  });

  test("an adapter brings the head that it was trained with to a base that has none", async () => {
    const loaded = loadEncoder(join(FIXTURES, "bert/masked-lm"));
    const labels = ["praise", "blame", "neither"];
    const head = { kind: "sequence", labels, problem: "single-label" } as const;
    const withHead = encoderFamilyOf("bert", "test").withHead(loaded.model, head);
    const adapter = new Lora(withHead, { rank: 2, alpha: 4, targets: ["query"] });
    const own = withHead.parameters.filter(({ path }) => /^(classifier|pooler)/.test(path));
    const weights = initializeParameters([...adapter.parameters, ...own], new Random(3));
    const base = { model: withHead, weights: loaded.weights };
    const directory = join(place, "head");
    const modulesToSave = ["classifier", "pooler"];
    saveAdapter(directory, { base, adapter, weights, baseName: "masked", modulesToSave });
    const model = new EncoderModel(loaded, { engine });
    model.addAdapter("opinion", directory);
    model.useAdapter("opinion");
    const [found] = await classifySequence(model, [{ ids: [1, 2, 3] }]);
    expect(found!.map(({ label }) => label).sort()).toEqual([...labels].sort());
    model.useAdapter();
    await expect(classifySequence(model, [{ ids: [1, 2, 3] }])).rejects.toThrow(/a head for/);
    model.dispose();
    saveAdapter(directory, { base, adapter, weights, baseName: "masked", modulesToSave: ["classifier"] });
    expect(() => loadAdapter(directory, loaded)).toThrow(
      /pooler\.dense\.weight in it, or in the base, got neither/,
    );
  });
});
