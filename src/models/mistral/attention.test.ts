import { afterAll, describe, expect, test } from "vitest";
import { largestDifference } from "../../../test/mistral-golden.ts";
import type { HostTensor } from "../../core/dtype.ts";
import { Random } from "../../core/random.ts";
import { Engine } from "../../engine/engine.ts";
import { Decoder } from "../../generate/decoder.ts";
import { initializeParameters } from "../../nn/scope.ts";
import { input } from "../../tensor/tensor.ts";
import { type MistralConfig, mistralConfig } from "./config.ts";
import { Mistral } from "./model.ts";

// What the paper says of its attention, as properties of models with random weights. L layers · W window · V vocabulary.

const V = 23;
const SIZES = {
  vocabularySize: V,
  contextLength: 700,
  width: 32,
  numLayers: 3,
  numHeads: 4,
  numKeyValueHeads: 2,
};

const engine = new Engine();

type Weights = Map<string, HostTensor>;

function newModel(given: Partial<MistralConfig>): { model: Mistral; weights: Weights } {
  const model = new Mistral(mistralConfig({ ...SIZES, ...given }));
  const weights = initializeParameters(model.parameters, new Random(5));
  // First weights are so small that every token scores alike; these are not.
  for (const { shape, data } of weights.values()) {
    const values = data as Float32Array;
    if (shape.length === 2) values.set(values.map((value) => 12 * value));
  }
  return { model, weights };
}

function drawTokens(count: number): number[] {
  const random = new Random(count);
  return Array.from({ length: count }, () => random.integer(V));
}

/** Scores of all places, the whole sequence in one masked run: `(T, V)`. */
async function recompute(model: Mistral, weights: Weights, tokens: readonly number[]): Promise<Float32Array> {
  const shape = [1, tokens.length];
  const logits = model.logits(model.hidden(input("tokens", "int32", shape)));
  const program = engine.compile("whole", { logits });
  const feeds = { tokens: { dtype: "int32", shape, data: Int32Array.from(tokens) } } as const;
  const result = await program.run({ ...feeds, ...Object.fromEntries(weights) });
  program.dispose();
  return result.logits!.data as Float32Array;
}

const rowOf = (scores: Float32Array, place: number) => scores.subarray(place * V, (place + 1) * V);

describe("chunked prefill and a rolling cache equal a masked full recompute", () => {
  const window = 7;
  const { model, weights } = newModel({ slidingWindow: window });
  const tokens = drawTokens(5 * window + 2);
  const decoder = new Decoder(engine, model, weights);
  afterAll(() => decoder.dispose());

  test.each([
    ["token by token", 1],
    ["in pieces shorter than the window", 3],
    ["in pieces of one window", window],
    ["in pieces longer than the window", 2 * window + 3],
    ["at once", tokens.length],
  ])("%s, beyond three windows", async (_, size) => {
    const expected = await recompute(model, weights, tokens);
    decoder.reset();
    for (let end = size; end < tokens.length + size; end += size) {
      const last = Math.min(end, tokens.length);
      const scores = await decoder.prefill(tokens.slice(end - size, last));
      expect(largestDifference(scores, rowOf(expected, last - 1)), `${last}`).toBeLessThan(1e-4);
    }
    expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(1);
  });

  test("through two pieces of a long prompt and on, token by token", async () => {
    const long = newModel({ slidingWindow: 64 });
    const tokens = drawTokens(640);
    const expected = await recompute(long.model, long.weights, tokens);
    const decoder = new Decoder(engine, long.model, long.weights);
    const scores = await decoder.prefill(tokens.slice(0, 600));
    expect(largestDifference(scores, rowOf(expected, 599))).toBeLessThan(1e-4);
    for (let place = 600; place < 640; place++) {
      const scores = await decoder.step([tokens[place]!]);
      expect(largestDifference(scores, rowOf(expected, place)), `${place}`).toBeLessThan(1e-4);
    }
    decoder.dispose();
  });

  test.each([
    ["a window in some layers only", { slidingWindow: 5, fullAttentionLayers: [1], queryKeyValueBias: true }],
    ["no window", {}],
    ["a window of the token alone", { slidingWindow: 1 }],
  ])("%s", async (_, given) => {
    const { model, weights } = newModel(given);
    const expected = await recompute(model, weights, tokens);
    const decoder = new Decoder(engine, model, weights);
    await decoder.prefill(tokens.slice(0, 11));
    const scores = await decoder.prefill(tokens.slice(11));
    expect(largestDifference(scores, rowOf(expected, tokens.length - 1))).toBeLessThan(1e-4);
    decoder.dispose();
  });

  test("a context too long for a table of angles turns by the same ones", async () => {
    const long = newModel({ contextLength: 2 ** 21, headSize: 8 });
    const expected = await recompute(long.model, long.weights, tokens);
    const decoder = new Decoder(engine, long.model, long.weights, { capacity: 64 });
    const scores = await decoder.prefill(tokens);
    expect(largestDifference(scores, rowOf(expected, tokens.length - 1))).toBeLessThan(1e-4);
    decoder.dispose();
  });
});

test("the cache of a windowed model is as large after ten windows as after three", async () => {
  const { model, weights } = newModel({ slidingWindow: 16 });
  const decoder = new Decoder(engine, model, weights);
  const tokens = drawTokens(160);
  const sizes: number[] = [];
  for (const [place, token] of tokens.entries()) {
    await decoder.step([token]);
    if (place % 16 === 15) sizes.push(decoder.cacheBytes);
  }
  decoder.dispose();
  expect(new Set(sizes.slice(2)).size).toBe(1);
});

describe("a token is felt L·(W − 1) places later, and not one further", () => {
  const [L, window, changed] = [3, 5, 9];
  const last = changed + L * (window - 1);
  const { model, weights } = newModel({ numLayers: L, slidingWindow: window });
  const tokens = drawTokens(40);
  const other = tokens.with(changed, (tokens[changed]! + 1) % V);

  test("in a masked full recompute", async () => {
    const [before, after] = [await recompute(model, weights, tokens), await recompute(model, weights, other)];
    for (let place = 0; place < tokens.length; place++) {
      const isFelt = place >= changed && place <= last;
      expect(largestDifference(rowOf(before, place), rowOf(after, place)) > 0, `${place}`).toBe(isFelt);
    }
  });

  test("through the cache", async () => {
    const decoders = [tokens, other].map(() => new Decoder(engine, model, weights));
    for (let place = 0; place < tokens.length; place++) {
      const [before, after] = [
        await decoders[0]!.step([tokens[place]!]),
        await decoders[1]!.step([other[place]!]),
      ];
      const isFelt = place >= changed && place <= last;
      expect(largestDifference(before, after) > 0, `${place}`).toBe(isFelt);
    }
    for (const decoder of decoders) decoder.dispose();
  });
});

test.each([1, 2])("%i groups of heads are as many heads whose keys and values repeat", async (groups) => {
  const { numHeads, width } = SIZES;
  const grouped = newModel({ numKeyValueHeads: groups });
  const single = new Mistral(mistralConfig({ ...SIZES, numKeyValueHeads: numHeads }));
  const rows = width / numHeads;
  const weights = new Map(
    single.parameters.map(({ path, shape }): [string, HostTensor] => {
      const given = grouped.weights.get(path)!;
      if (!/\.[kv]_proj\./.test(path)) return [path, given];
      const data = new Float32Array(shape[0]! * shape[1]!);
      for (let head = 0; head < numHeads; head++) {
        const start = Math.floor((head * groups) / numHeads) * rows * width;
        data.set((given.data as Float32Array).subarray(start, start + rows * width), head * rows * width);
      }
      return [path, { dtype: "float32", shape, data }];
    }),
  );
  const tokens = drawTokens(20);
  const expected = await recompute(single, weights, tokens);
  expect(largestDifference(await recompute(grouped.model, grouped.weights, tokens), expected)).toBeLessThan(
    1e-5,
  );
});
