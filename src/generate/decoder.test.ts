import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, DataError, EnvironmentError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { Engine } from "../engine/engine.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { loadModel } from "../models/load-model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { input } from "../tensor/tensor.ts";
import { Decoder } from "./decoder.ts";

// Golden values of tools/golden/gpt2.py: Python transformers without a cache, in float64.

const FIXTURES = new URL("../../test/fixtures/gpt2/", import.meta.url).pathname;
const TOLERANCE = 1e-4;

interface Golden {
  readonly greedy: { readonly prompt: number[]; readonly continuation: number[] };
  readonly cases: { name: string; tokens: number[][]; logits: { shape: number[]; float32: string } }[];
}

const engine = new Engine();

function argmax(scores: Float32Array): number {
  return scores.reduce((best, score, i) => (score > scores[best]! ? i : best), 0);
}

function expectNear(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  const difference = actual.reduce((peak, score, i) => Math.max(peak, Math.abs(score - expected[i]!)), 0);
  expect(difference).toBeLessThan(TOLERANCE);
}

// "bare" has heads of 10 numbers, which the runtime's kernel takes only filled up.
describe.each(["prefixed", "bare"])("golden checkpoint %s", (name) => {
  const golden = JSON.parse(readFileSync(`${FIXTURES}${name}/golden.json`, "utf8")) as Golden;
  const { model, weights } = loadModel(`${FIXTURES}${name}`);
  const V = model.shape.vocabularySize;
  const whole = golden.cases.find((c) => c.name === "full-context")!;
  const tokens = whole.tokens[0]!;
  const bytes = Uint8Array.from(Buffer.from(whole.logits.float32, "base64"));
  const expected = new Float32Array(bytes.buffer); // (T, V)
  const row = (t: number) => expected.subarray(t * V, (t + 1) * V);
  let decoder: Decoder;

  beforeAll(() => {
    decoder = new Decoder(engine, model, weights);
  });
  afterAll(() => decoder.dispose());

  test("greedy continuation is that of transformers without a cache", async () => {
    decoder.reset();
    const { prompt, continuation } = golden.greedy;
    let scores = await decoder.prefill(prompt);
    const found: number[] = [];
    for (let i = 0; i < continuation.length; i++) {
      if (i > 0) scores = await decoder.step([found.at(-1)!]);
      found.push(argmax(scores));
    }
    expect(found).toEqual(continuation);
    expect(decoder.tokens()).toEqual([...prompt, ...continuation.slice(0, -1)]);
  });

  test("scores at every place, token by token through the whole context", async () => {
    decoder.reset();
    for (const [t, token] of tokens.entries()) expectNear(await decoder.step([token]), row(t));
    expect(decoder.tokens().length).toBe(model.shape.contextLength);
  });

  test.each([[[tokens.length]], [[1, 4, tokens.length - 5]], [[7, 1, 1, 2, tokens.length - 11]]])(
    "scores after pieces of %j tokens",
    async (sizes) => {
      decoder.reset();
      let end = 0;
      for (const size of sizes) {
        const scores = await decoder.prefill(tokens.slice(end, end + size));
        end += size;
        expectNear(scores, row(end - 1));
      }
    },
  );

  test("truncating and continuing is like never having read further", async () => {
    decoder.reset();
    await decoder.prefill(tokens.map((token) => (token + 1) % V));
    decoder.reset();
    await decoder.prefill(tokens.slice(0, 9));
    await decoder.prefill([1, 2, 3, 4]);
    decoder.truncate(6);
    expect(decoder.tokens()).toEqual(tokens.slice(0, 6));
    expectNear(await decoder.prefill(tokens.slice(6, 12)), row(11));
    decoder.truncate(3);
    expectNear(await decoder.step([tokens[3]!]), row(3));
  });
});

describe("a larger model", () => {
  // Beyond one chunk of a prompt and beyond one block of the uncached attention.
  const config = { vocabularySize: 61, contextLength: 700, width: 32, numLayers: 2, numHeads: 2 };
  const model = new Gpt2(gpt2Config(config));
  const weights = initializeParameters(model.parameters, new Random(4));
  // Initial weights are so small that every scores alike; these are not.
  for (const { data, shape } of weights.values()) {
    const values = data as Float32Array;
    if (shape.length === 2) values.set(values.map((value) => value * 12));
  }
  const random = new Random(1);
  const tokens = Array.from({ length: 700 }, () => random.integer(61));

  test("a prompt of several chunks scores like the uncached model", async () => {
    const hidden = model.hidden(input("tokens", "int32", [1, 700]));
    const forward = engine.compile("forward", { logits: model.logits(hidden) });
    const shape = [1, 700];
    const { logits } = await forward.run({
      ...Object.fromEntries(weights),
      tokens: { dtype: "int32", shape, data: Int32Array.from(tokens) },
    });
    const expected = (logits!.data as Float32Array).subarray(699 * 61);
    expect(Math.max(...expected) - Math.min(...expected)).toBeGreaterThan(1);
    const decoder = new Decoder(engine, model, weights);
    expectNear(await decoder.prefill(tokens), expected);
    decoder.dispose();
    forward.dispose();
  });

  test("an abort between chunks keeps what was read", async () => {
    const decoder = new Decoder(engine, model, weights);
    const abort = new AbortController();
    const reading = decoder.prefill(tokens, { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
    expect(decoder.tokens()).toEqual(tokens.slice(0, 512));
    decoder.dispose();
  });
});

describe("bad input", () => {
  const { model, weights } = loadModel(`${FIXTURES}prefixed`);
  let decoder: Decoder;
  beforeAll(() => {
    decoder = new Decoder(engine, model, weights, { capacity: 8 });
  });
  afterAll(() => decoder.dispose());

  test.each([0, -1, 1.5, 33])("capacity %d", (capacity) => {
    expect(() => new Decoder(engine, model, weights, { capacity })).toThrow(
      `decoder.capacity: expected an integer in [1, 32], the model's context length, got ${capacity}.`,
    );
  });

  test.each([97, -1, 0.5, Number.NaN])("token %d", async (token) => {
    await decoder.prefill([1]);
    const message = `decoder, token 1: expected an id in [0, 97), the model's vocabulary, got ${token}.`;
    await expect(decoder.prefill([3, token])).rejects.toThrow(message);
    await expect(decoder.step([token])).rejects.toThrow(DataError);
    expect(decoder.tokens()).toEqual([1]);
    decoder.reset();
  });

  test("nothing to read", async () => {
    await expect(decoder.prefill([])).rejects.toThrow("decoder: expected at least one token, got none.");
  });

  test("more than the cache holds", async () => {
    await decoder.prefill([1, 2, 3, 4, 5, 6]);
    await expect(decoder.prefill([7, 8, 9])).rejects.toThrow(
      "decoder: expected at most 8 tokens in the cache, got 6 and 3 more.",
    );
    expect(decoder.tokens().length).toBe(6);
    await decoder.prefill([7, 8]);
    await expect(decoder.step([1])).rejects.toThrow(ConfigError);
    decoder.reset();
  });

  test("truncating to more than there is", async () => {
    await decoder.prefill([1, 2]);
    expect(() => decoder.truncate(3)).toThrow("expected an integer in [0, 2]");
    expect(() => decoder.truncate(-1)).toThrow(ConfigError);
    decoder.reset();
  });

  test("two calls at once", async () => {
    const first = decoder.prefill([1, 2, 3]);
    await expect(decoder.prefill([4, 5])).rejects.toThrow(EnvironmentError);
    await first;
    expect(decoder.tokens()).toEqual([1, 2, 3]);
    decoder.reset();
  });
});
