import { describe, expect, test } from "vitest";
import { ConfigError } from "../../core/errors.ts";
import type { RopeScaling } from "../../nn/rope-scaling.ts";
import { countParameters } from "../../nn/scope.ts";
import { type MistralConfig, mistralConfig } from "./config.ts";
import { Mistral } from "./model.ts";
import { fromPublishedConfig, toPublishedConfig } from "./weights.ts";

const SIZES = { vocabularySize: 11, contextLength: 8, width: 24, numLayers: 3, numHeads: 4 };

describe("published models", () => {
  // Their `config.json`, what says nothing about shapes left out, and how many numbers they are known to hold.
  const mistral7b = {
    ...{ model_type: "mistral", hidden_act: "silu", hidden_size: 4096, intermediate_size: 14336 },
    ...{ max_position_embeddings: 32768, num_attention_heads: 32, num_hidden_layers: 32 },
    ...{ num_key_value_heads: 8, rms_norm_eps: 1e-5, rope_theta: 10000.0, sliding_window: 4096 },
    ...{ tie_word_embeddings: false, vocab_size: 32000 },
  };
  const tinyLlama = {
    ...{ model_type: "llama", hidden_act: "silu", hidden_size: 2048, intermediate_size: 5632 },
    ...{ max_position_embeddings: 2048, num_attention_heads: 32, num_hidden_layers: 22 },
    ...{ num_key_value_heads: 4, pretraining_tp: 1, rms_norm_eps: 1e-5, rope_scaling: null },
    ...{ tie_word_embeddings: false, vocab_size: 32000 },
  };
  const qwen = {
    ...{ model_type: "qwen2", hidden_act: "silu", hidden_size: 896, intermediate_size: 4864 },
    ...{
      max_position_embeddings: 32768,
      max_window_layers: 24,
      num_attention_heads: 14,
      num_hidden_layers: 24,
    },
    ...{ num_key_value_heads: 2, rms_norm_eps: 1e-6, rope_theta: 1000000.0, sliding_window: 32768 },
    ...{ tie_word_embeddings: true, use_sliding_window: false, vocab_size: 151936 },
  };
  const smolLm = {
    ...{ model_type: "llama", hidden_act: "silu", hidden_size: 576, intermediate_size: 1536 },
    ...{
      max_position_embeddings: 8192,
      num_attention_heads: 9,
      num_hidden_layers: 30,
      num_key_value_heads: 3,
    },
    ...{ rms_norm_eps: 1e-5, rope_theta: 100000, tie_word_embeddings: true, vocab_size: 49152 },
  };
  const llama32 = {
    ...{ model_type: "llama", attention_bias: false, head_dim: 64, hidden_act: "silu", hidden_size: 2048 },
    ...{ intermediate_size: 8192, max_position_embeddings: 131072, mlp_bias: false, num_attention_heads: 32 },
    ...{ num_hidden_layers: 16, num_key_value_heads: 8, rms_norm_eps: 1e-5, rope_theta: 500000.0 },
    rope_scaling: {
      ...{ factor: 32.0, high_freq_factor: 4.0, low_freq_factor: 1.0 },
      ...{ original_max_position_embeddings: 8192, rope_type: "llama3" },
    },
    ...{ tie_word_embeddings: true, vocab_size: 128256 },
  };

  test.each([
    ["Mistral-7B-v0.1", mistral7b, 7_241_732_096, 4096],
    ["TinyLlama-1.1B", tinyLlama, 1_100_048_384, undefined],
    ["Qwen2.5-0.5B", qwen, 494_032_768, undefined],
    ["SmolLM2-135M", smolLm, 134_515_008, undefined],
    ["Llama-3.2-1B", llama32, 1_235_814_400, undefined],
  ])("%s: described at once, with its number of parameters", (_, published, count, window) => {
    const start = performance.now();
    const model = new Mistral(fromPublishedConfig(published));
    expect(countParameters(model.parameters)).toBe(count);
    expect(model.shape.slidingWindow).toBe(window);
    expect(performance.now() - start).toBeLessThan(200);
  });

  test("what a file does not say is what the reference implementation takes", () => {
    const { sliding_window: _, num_key_value_heads: __, max_position_embeddings: ___, ...silent } = mistral7b;
    const config = fromPublishedConfig(silent);
    expect(config).toMatchObject({ slidingWindow: 4096, numKeyValueHeads: 8, contextLength: 131_072 });
    expect(fromPublishedConfig({ ...mistral7b, sliding_window: null }).slidingWindow).toBe(undefined);
    const { num_key_value_heads: ____, ...llama } = tinyLlama;
    expect(fromPublishedConfig(llama)).toMatchObject({
      numKeyValueHeads: 32,
      ropeTheta: 10_000,
      tiedHead: false,
    });
  });

  test("the spelling of transformers 5 says the same", () => {
    const { rope_theta, rope_scaling, ...rest } = llama32;
    const newer = { ...rest, rope_parameters: { ...rope_scaling, rope_theta } };
    expect(fromPublishedConfig(newer)).toEqual(fromPublishedConfig(llama32));
  });

  test("a context is as long as the scaling reaches", () => {
    const reach = (rope_scaling: object) => fromPublishedConfig({ ...tinyLlama, rope_scaling }).contextLength;
    expect(reach({ type: "linear", factor: 4 })).toBe(2048);
    expect(reach({ type: "dynamic", factor: 4 })).toBe(8192);
    expect(reach({ type: "yarn", factor: 4, original_max_position_embeddings: 2048 })).toBe(8192);
    expect(reach({ type: "yarn", factor: 4, original_max_position_embeddings: 512 })).toBe(2048);
  });
});

describe("what is not said", () => {
  test("plain heads, a feed-forward layer of 8/3, no window, no biases", () => {
    expect(mistralConfig({ ...SIZES, width: 128 })).toEqual({
      ...{ ...SIZES, width: 128, publishedType: "mistral", numKeyValueHeads: 4, headSize: 32 },
      ...{ feedForwardSize: 352, rmsNormEpsilon: 1e-5, ropeTheta: 10_000, fullAttentionLayers: [] },
      ...{ queryKeyValueBias: false, outputBias: false, feedForwardBias: false, tiedHead: false },
    });
  });

  test.each([
    [{ queryKeyValueBias: true }, "qwen2"],
    [{ queryKeyValueBias: true, slidingWindow: 2, fullAttentionLayers: [1] }, "qwen2"],
    [{ queryKeyValueBias: true, outputBias: true, feedForwardBias: true }, "llama"],
    [{ feedForwardBias: true }, "llama"],
    [{ slidingWindow: 4 }, "mistral"],
  ] as const)("%j is published as %s", (given, type) => {
    expect(mistralConfig({ ...SIZES, ...given }).publishedType).toBe(type);
  });
});

describe("what is written is read again as it was", () => {
  const reach = { factor: 4, originalContextLength: 16 };
  const turns = { betaFast: 32, betaSlow: 1, truncate: false, attentionFactor: 1.25 };
  const yarn: RopeScaling = { kind: "yarn", ...reach, ...turns };
  const llama3: RopeScaling = { kind: "llama3", ...reach, lowFrequencyFactor: 1, highFrequencyFactor: 4 };
  test.each<Partial<MistralConfig>>([
    { slidingWindow: 3, numKeyValueHeads: 2, headSize: 10 },
    { tiedHead: true, ropeTheta: 1e6, rmsNormEpsilon: 1e-6, feedForwardSize: 7 },
    { publishedType: "llama", queryKeyValueBias: true, outputBias: true },
    { publishedType: "llama", ropeScaling: { kind: "linear", factor: 2.5 } },
    { ropeScaling: { kind: "dynamic", ...reach }, contextLength: 64 },
    { ropeScaling: llama3, numKeyValueHeads: 1 },
    { ropeScaling: yarn, contextLength: 64 },
    { queryKeyValueBias: true, slidingWindow: 2, fullAttentionLayers: [0, 2] },
    { queryKeyValueBias: true, slidingWindow: 2, fullAttentionLayers: [0] },
  ])("%j", (given) => {
    const config = mistralConfig({ ...SIZES, ...given });
    const written = JSON.parse(JSON.stringify(toPublishedConfig(config, 3))) as Record<string, unknown>;
    expect(fromPublishedConfig(written)).toEqual(config);
  });
});

describe("what is refused, in one line", () => {
  test.each<[object, string]>([
    [
      { vocabularySize: undefined },
      "mistral.vocabularySize: expected an integer in [1, 2147483647], got nothing.",
    ],
    [{ numKeyValueHead: 2 }, 'Did you mean "numKeyValueHeads"?'],
    [{ numKeyValueHeads: 3 }, "mistral.numKeyValueHeads: expected a divisor of the 4 query heads, got 3."],
    [{ width: 26 }, "mistral.headSize: expected an integer in [2, 65536], got nothing."],
    [{ headSize: 5 }, "mistral.headSize: expected an even number, as rotary positions turn pairs, got 5."],
    [{ slidingWindow: 0 }, "mistral.slidingWindow: expected an integer in [1, 2147483647], got 0."],
    [
      { fullAttentionLayers: [3] },
      "mistral.fullAttentionLayers: expected a list of layers in [0, 3), got [3].",
    ],
    [{ fullAttentionLayers: [1, 1] }, "mistral.fullAttentionLayers: expected a list of layers"],
    [
      { publishedType: "mistral", queryKeyValueBias: true },
      'mistral.publishedType: expected a type that can say these biases and windows, got "mistral". Use qwen2.',
    ],
    [
      { publishedType: "qwen2", queryKeyValueBias: true, outputBias: true, slidingWindow: 2 },
      "No published type can: change biases or windows.",
    ],
    [{ publishedType: "llama", slidingWindow: 2 }, 'got "llama". Use mistral.'],
    [
      { ropeScaling: { kind: "longrope" } },
      'mistral.ropeScaling rope_type: expected a known kind of scaling, got "longrope"',
    ],
    [
      { ropeScaling: { kind: "linear" } },
      "mistral.ropeScaling.factor: expected a number in [1, 1000000], got nothing.",
    ],
    [{ ropeScaling: 4 }, "mistral.ropeScaling: expected an object with a kind, got 4."],
    [
      { ropeScaling: { kind: "dynamic", factor: 2, originalContextLength: 8 } },
      "mistral.ropeScaling: expected a context of factor × originalContextLength, 16, got 8.",
    ],
  ])("%j", (given, message) => {
    const read = () => mistralConfig({ ...SIZES, ...given } as Partial<MistralConfig>);
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(message);
  });

  const published = {
    ...{ model_type: "llama", vocab_size: 11, hidden_size: 24, num_hidden_layers: 3 },
    ...{ num_attention_heads: 4, intermediate_size: 7, max_position_embeddings: 8 },
  };
  test.each<[object, string]>([
    [{ hidden_size: undefined }, "config.json hidden_size: expected an integer"],
    [{ hidden_size: "24" }, 'config.json hidden_size: expected an integer in [1, 1048576], got "24".'],
    [
      { num_hidden_layers: 1e9 },
      "config.json num_hidden_layers: expected an integer in [1, 1024], got 1000000000.",
    ],
    [
      { model_type: "qwen2", use_sliding_window: true, num_hidden_layers: 1e9 },
      "config.json num_hidden_layers",
    ],
    [{ hidden_act: "gelu" }, 'config.json hidden_act: expected "silu", got "gelu".'],
    [
      { rope_scaling: { rope_type: "longrope", factor: 4 } },
      'config.json rope_scaling rope_type: expected a known kind of scaling, got "longrope". Known: default, linear, dynamic, llama3, yarn.',
    ],
    [{ rope_scaling: { type: "linaer", factor: 4 } }, 'got "linaer". Did you mean "linear"?'],
    [{ rope_scaling: { type: "linear" } }, "config.json rope_scaling.factor: expected a number"],
    [
      { rope_scaling: { type: "yarn", factor: "4" } },
      'config.json rope_scaling.factor: expected a number in [1, 1000000], got "4".',
    ],
    [
      { rope_scaling: [1] },
      "config.json rope_scaling: expected an object with one rope_type for all layers, got [1].",
    ],
    [
      { rope_parameters: { full_attention: {}, sliding_attention: {} } },
      'got different settings by layer ("full_attention").',
    ],
    [
      { rope_theta: 0 },
      "config.json rope_parameters.rope_theta: expected a number in [1, 1000000000000], got 0.",
    ],
    [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor: expected 1: heads that turn whole, got 0.5."],
    [
      { rope_scaling: { type: "llama3", factor: 8, low_freq_factor: 4, high_freq_factor: 1 } },
      "config.json rope_scaling.highFrequencyFactor: expected more than the low factor 4, got 1.",
    ],
    [
      { model_type: "qwen2", use_sliding_window: true, layer_types: ["full_attention", "chunked_attention"] },
      'config.json layer_types: expected for each of 3 layers "full_attention" or "sliding_attention"',
    ],
    [
      { max_position_embeddings: -1 },
      "config.json max_position_embeddings: expected an integer in [1, 2147483647], got -1.",
    ],
    [{ tie_word_embeddings: 1 }, "config.json tie_word_embeddings: expected true or false, got 1."],
    [{ attention_bias: "no" }, 'config.json attention_bias: expected true or false, got "no".'],
  ])("config.json with %j", (change, message) => {
    const read = () => fromPublishedConfig({ ...published, ...change });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(message);
  });
});
