import { describe, expect, test } from "vitest";
import {
  distance,
  families,
  logitsOf,
  mistral,
  randomWeights,
  SIZES,
  TOKENS,
} from "../../test/tiny-decoders.ts";
import { engine } from "../../test/tiny-run.ts";
import { Random } from "../core/random.ts";
import { Scorer } from "../eval/score.ts";
import { Decoder } from "../generate/decoder.ts";
import { bertConfig } from "../models/bert/config.ts";
import { Bert } from "../models/bert/model.ts";
import type { CausalLM } from "../models/contracts.ts";
import { gradients } from "../tensor/gradient.ts";
import { input } from "../tensor/tensor.ts";
import { AdaptedDecoder, AdaptedEncoder, type Adapter, firstAdapterWeights } from "./adapter.ts";
import { Dropout } from "./dropout.ts";
import { Ia3 } from "./ia3.ts";
import { linearModules } from "./linear-modules.ts";
import { Lora } from "./lora.ts";
import { PrefixTuning } from "./prefix-tuning.ts";
import { PromptTuning } from "./prompt-tuning.ts";

const kinds: readonly [string, (base: CausalLM) => Adapter][] = [
  ["LoRA", (base) => new Lora(base, { rank: 3, alpha: 6, targets: "all-linear" })],
  ["DoRA", (base) => new Lora(base, { rank: 3, alpha: 6, targets: "all-linear", decomposed: true })],
  [
    "(IA)³",
    (base) => new Ia3(base, { targets: "all-linear", feedForward: [linearModules(base).at(-1)!.name] }),
  ],
  ["prompt tuning", (base) => new PromptTuning(base, { virtualTokens: 3 })],
  ["prefix tuning", (base) => new PrefixTuning(base, { virtualTokens: 3 })],
];

describe.each(families)("on %s", (_, create) => {
  test.each(kinds)("%s generates with a cache, and scores, as it reads whole texts", async (_, adapt) => {
    const base = create();
    const adapted = new AdaptedDecoder(base, adapt(base));
    const weights = randomWeights(adapted.parameters);
    const whole = await logitsOf(adapted, weights);
    expect(distance(whole, await logitsOf(base, weights))).toBeGreaterThan(0.05);
    const decoder = new Decoder(engine, adapted, weights, { rows: 2 });
    const tokens = Array.from(TOKENS.data);
    await decoder.prefill(tokens.slice(0, 5));
    decoder.copyRow(0, 1, 4);
    await decoder.step([tokens[5]!, tokens[4]!]);
    decoder.truncate(5);
    await decoder.prefill(tokens.slice(5, 7));
    const last = await decoder.prefill(tokens.slice(7));
    expect(distance(last, whole.subarray(11 * 20))).toBeLessThan(3e-4);
    expect(decoder.tokens()).toEqual(tokens);
    decoder.dispose();
    const scorer = new Scorer(engine, adapted, weights);
    const { logprobs } = await scorer.score(tokens);
    scorer.dispose();
    tokens.slice(1).forEach((token, i) => {
      const row = Array.from(whole.subarray(i * 20, (i + 1) * 20));
      const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      expect(logprobs[i + 1]).toBeCloseTo(row[token]! - total, 3);
    });
  });

  test.each(kinds.slice(0, 3))("%s starts as the base", async (_, adapt) => {
    const base = create();
    const adapter = adapt(base);
    const weights = new Map(randomWeights(base.parameters));
    for (const [path, value] of firstAdapterWeights(adapter, weights, new Random(1)))
      weights.set(path, value);
    const [before, after] = [
      await logitsOf(base, weights),
      await logitsOf(new AdaptedDecoder(base, adapter), weights),
    ];
    expect(distance(before, after)).toBeLessThan(1e-4);
  });

  test("prompt tuning that starts as some tokens is those tokens before the text", async () => {
    const base = create();
    const firstTokens = [3, 9, 4];
    const adapter = new PromptTuning(base, { virtualTokens: 3, firstTokens });
    const weights = new Map(randomWeights(base.parameters));
    for (const [path, value] of firstAdapterWeights(adapter, weights, new Random(1)))
      weights.set(path, value);
    const adapted = await logitsOf(new AdaptedDecoder(base, adapter), weights);
    const written = await logitsOf(base, weights, [...firstTokens, ...TOKENS.data]);
    expect(distance(adapted, written.subarray(3 * 20))).toBeLessThan(1e-4);
  });

  test("prefix tuning with the keys and values of some tokens is those tokens before the text", async () => {
    const base = create();
    const adapter = new PrefixTuning(base, { virtualTokens: 3 });
    const weights = new Map(randomWeights(base.parameters));
    const firstTokens = [3, 9, 4];
    const { prefix } = await prefixOf(base, weights, firstTokens);
    weights.set("prompt_embeddings", prefix);
    const adapted = await logitsOf(new AdaptedDecoder(base, adapter), weights);
    const written = await logitsOf(base, weights, [...firstTokens, ...TOKENS.data]);
    expect(distance(adapted, written.subarray(3 * 20))).toBeLessThan(1e-4);
  });

  test("gradients reach every adapter parameter, and the norm of DoRA is a constant to them", async () => {
    const base = create();
    for (const [name, adapt] of kinds) {
      const adapter = adapt(base);
      const model = new AdaptedDecoder(base, adapter);
      const tokens = input("tokens", "int32", [1, 12]);
      const loss = model
        .logits(model.hidden(tokens))
        .reshape([12, 20])
        .crossEntropy(tokens.reshape([12]));
      const wrt = adapter.parameters.map(({ tensor }) => tensor);
      const outputs = Object.fromEntries(gradients(loss, wrt).map((gradient, i) => [`${i}`, gradient]));
      const program = engine.compile(name, outputs, { constants: randomWeights(model.parameters) });
      const result = await program.run({ tokens: TOKENS });
      program.dispose();
      for (const i of adapter.parameters.keys()) {
        const norm = (result[`${i}`]!.data as Float32Array).reduce((sum, g) => sum + g * g, 0);
        expect(norm, `${name}, ${adapter.parameters[i]!.path}`).toBeGreaterThan(0);
      }
    }
  });
});

/** The keys and values that the base keeps of some tokens, laid out as a prefix. */
async function prefixOf(
  base: CausalLM,
  weights: ReturnType<typeof randomWeights>,
  tokens: readonly number[],
) {
  const { numLayers, numKeyValueHeads: G, headSize: D } = base.shape;
  const seen = new AdaptedDecoder(base, {
    parameters: [],
    rule: () => (node) => {
      if (node.op?.name === "attention") found.push([node.inputs[1]!, node.inputs[2]!]);
      return undefined;
    },
  });
  const found: [ReturnType<typeof input>, ReturnType<typeof input>][] = [];
  seen.hidden(input("tokens", "int32", [1, tokens.length]));
  const outputs = Object.fromEntries(found.flat().map((tensor, i) => [`${i}`, tensor]));
  const program = engine.compile("keys", outputs, { constants: weights });
  const result = await program.run({
    tokens: { dtype: "int32", shape: [1, tokens.length], data: Int32Array.from(tokens) },
  });
  program.dispose();
  const width = numLayers * 2 * G * D;
  const data = new Float32Array(tokens.length * width);
  found.flat().forEach((_, part) => {
    for (let g = 0; g < G; g++) {
      for (let t = 0; t < tokens.length; t++) {
        const from = (g * tokens.length + t) * D;
        const values = (result[`${part}`]!.data as Float32Array).subarray(from, from + D);
        data.set(values, t * width + (part * G + g) * D);
      }
    }
  });
  return { prefix: { dtype: "float32", shape: [tokens.length, width], data } as const };
}

describe("Dropout", () => {
  test("zeros its share, keeps the mean, differs between layers, and is the same for the same step", () => {
    const lora = new Lora(mistral(), { rank: 2, alpha: 2, targets: "all-linear" });
    const dropout = new Dropout(0.25, lora, 1);
    const shape = { batchSize: 2, contextLength: 16 };
    const { data } = dropout.masks(3, shape);
    const values = Array.from(data as Float32Array);
    const share = values.filter((value) => value === 0).length / values.length;
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.3);
    expect(values.find((value) => value !== 0)).toBeCloseTo(4 / 3, 6);
    expect(dropout.masks(3, shape).data).toEqual(data);
    expect(dropout.masks(4, shape).data).not.toEqual(data);
    expect(() => new Dropout(1, lora, 1)).toThrow(/a rate in \[0, 1\)/);
  });

  test.each([false, true])("drops of the correction only (DoRA: %s)", async (decomposed) => {
    const base = mistral();
    const options = { rank: 2, alpha: 2, targets: "all-linear" as const, decomposed };
    const lora = new Lora(base, options);
    const dropout = new Dropout(0.5, lora, 1);
    const shape = { batchSize: 1, contextLength: 12 };
    const trained = new AdaptedDecoder(base, lora.dropping(dropout.inGraph(shape)));
    const weights = randomWeights(trained.parameters);
    const logits = trained.logits(trained.hidden(input("tokens", "int32", [1, 12])));
    const program = engine.compile("dropout", { logits }, { constants: weights });
    const masks = dropout.masks(1, shape);
    const run = async (data: Float32Array) => {
      const result = await program.run({ tokens: TOKENS, dropout: { ...masks, data } });
      return result.logits!.data as Float32Array;
    };
    const ones = new Float32Array(masks.data.length).fill(1);
    const plain = await logitsOf(new AdaptedDecoder(base, lora), weights);
    expect(distance(await run(ones), plain)).toBeLessThan(2e-4);
    expect(distance(await run(masks.data as Float32Array), plain)).toBeGreaterThan(0.01);
    if (!decomposed) {
      expect(distance(await run(new Float32Array(ones.length)), await logitsOf(base, weights))).toBeLessThan(
        1e-4,
      );
    }
    program.dispose();
  });
});

describe("bad input", () => {
  test("virtual tokens that leave no context, or before an encoder's text, or twice, are refused", () => {
    const base = mistral();
    expect(() => new PromptTuning(base, { virtualTokens: 24 })).toThrow(/an integer in \[1, 23\]/);
    expect(() => new PrefixTuning(base, { virtualTokens: 0 })).toThrow(/an integer in \[1, 23\]/);
    const prompt = new PromptTuning(base, { virtualTokens: 2 });
    const bert = new Bert(bertConfig(SIZES));
    expect(() => new AdaptedEncoder(bert, prompt)).toThrow(/virtual tokens before the text/);
    expect(() => new AdaptedDecoder(new AdaptedDecoder(base, prompt), prompt)).toThrow(/a second one/);
  });

  test("a step of a row that has not begun is refused", async () => {
    const base = mistral();
    const adapted = new AdaptedDecoder(base, new PromptTuning(base, { virtualTokens: 2 }));
    const decoder = new Decoder(engine, adapted, randomWeights(adapted.parameters));
    await expect(decoder.step([1])).rejects.toThrow(/a row that has begun/);
    expect(decoder.capacity).toBe(22);
    decoder.dispose();
  });
});
