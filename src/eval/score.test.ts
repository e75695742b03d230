import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadTokenizer } from "../codecs/tokenizer.ts";
import { hostTensor } from "../core/dtype.ts";
import { DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { Engine } from "../engine/engine.ts";
import { readWeight } from "../engine/stored-tensor.ts";
import { loadModel } from "../models/load-model.ts";
import { input } from "../tensor/tensor.ts";
import { Scorer, scoredBitsPerByte, scoreTokens } from "./score.ts";

const FIXTURES = new URL("../../test/fixtures/", import.meta.url).pathname;
const engine = new Engine();

interface Golden {
  readonly cases: { name: string; tokens: number[][]; logits: { float32: string } }[];
}

/** Log-probabilities from rows of logits `(T, V)`: of each token by the row before it. */
function fromLogits(logits: Float32Array, tokens: readonly number[], V: number): number[] {
  return tokens.slice(1).map((token, t) => {
    const row = Array.from(logits.subarray(t * V, (t + 1) * V));
    return row[token]! - Math.log(row.reduce((sum, score) => sum + Math.exp(score), 0));
  });
}

function expectNear(actual: readonly (number | null)[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(actual[i]! - value), `token ${i}`).toBeLessThan(1e-4);
  });
}

describe.each(["prefixed", "bare"])("golden checkpoint %s", (name) => {
  const golden = JSON.parse(readFileSync(`${FIXTURES}gpt2/${name}/golden.json`, "utf8")) as Golden;
  const { model, weights } = loadModel(`${FIXTURES}gpt2/${name}`);
  const { vocabularySize: V, contextLength: T } = model.shape;
  let scorer: Scorer;
  beforeAll(() => {
    scorer = new Scorer(engine, model, weights);
  });
  afterAll(() => scorer.dispose());

  test("log-probabilities are those of Python transformers", async () => {
    const { tokens, logits } = golden.cases.find((c) => c.name === "full-context")!;
    const bytes = Uint8Array.from(Buffer.from(logits.float32, "base64"));
    const expected = fromLogits(new Float32Array(bytes.buffer), tokens[0]!, V);
    const { logprobs, nats, windowed } = await scorer.score(tokens[0]!);
    expect(logprobs[0]).toBeNull();
    expectNear(logprobs.slice(1), expected);
    expect(nats).toBeCloseTo(-expected.reduce((sum, value) => sum + value, 0), 3);
    expect(nats).toBe(-logprobs.reduce<number>((sum, value) => sum + (value ?? 0), 0));
    expect(windowed).toBe(false);
  });

  test("continuations of one prompt: as the whole text scores them", async () => {
    const random = new Random(6);
    const draw = (length: number) => Array.from({ length }, () => random.integer(V));
    for (const prompt of [draw(1), draw(7)]) {
      const continuations = [draw(1), draw(5), draw(T - prompt.length + 1)];
      const found = await scorer.scoreContinuations(prompt, continuations);
      for (const [i, tokens] of continuations.entries()) {
        const { logprobs } = await scorer.score([...prompt, ...tokens]);
        expectNear(found[i]!, logprobs.slice(prompt.length) as number[]);
      }
    }
    const tooLong = scorer.scoreContinuations(draw(5), [draw(T - 3)]);
    await expect(tooLong).rejects.toThrow(`within the context of ${T} tokens, got 5 and ${T - 3}`);
    await expect(scorer.scoreContinuations([1], [[]])).rejects.toThrow("continuation: expected at least one");
    await expect(scorer.scoreContinuations([], [[1]])).rejects.toThrow("prompt: expected at least one");
    await expect(scorer.scoreContinuations([1], [[V]])).rejects.toThrow("the model's vocabulary");
  });

  test("a text beyond the context: windows of the uncached model, each token once", async () => {
    const hidden = model.hidden(input("tokens", "int32", [1, T]));
    const forward = engine.compile("forward", { logits: model.logits(hidden) }, { constants: weights });
    const random = new Random(3);
    for (const length of [T + 1, T + 2, 2 * T, 3 * T + 5]) {
      const tokens = Array.from({ length }, () => random.integer(V));
      const expected: number[] = [];
      // By definition: the window that ends a text of that many tokens, or the first that reaches the token.
      for (let start = 0; expected.length < length - 1; start += T / 2 + 1) {
        const window = Int32Array.from({ length: T }, (_, t) => tokens[start + t] ?? 0);
        const { logits } = await forward.run({ tokens: hostTensor("int32", [1, T], window) });
        const inside = tokens.slice(start, start + T + 1);
        const all = fromLogits(logits!.data as Float32Array, inside, V);
        expected.push(...all.slice(expected.length - start));
      }
      const { logprobs, windowed } = await scorer.score(tokens);
      expect(logprobs[0]).toBeNull();
      expectNear(logprobs.slice(1), expected);
      expect(windowed).toBe(length > T + 1);
    }
    forward.dispose();
  });

  test("one token has nothing before it", async () => {
    expect(await scoreTokens(engine, model, weights, [1])).toEqual({
      logprobs: [null],
      nats: 0,
      windowed: false,
    });
  });

  test("bad input", async () => {
    await expect(scorer.score([])).rejects.toThrow("score: expected at least one token, got none.");
    await expect(scorer.score([1, V])).rejects.toThrow(DataError);
    await expect(scorer.score([1, V])).rejects.toThrow(`score, token 1: expected an id in [0, ${V})`);
    await expect(scorer.score([1, 2, 3], AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
  });

  test("damaged weights are named as such, not scored", async () => {
    const path = "ln_f.weight";
    const damaged = new Map(weights);
    const { shape, data } = readWeight(weights.get(path)!);
    damaged.set(path, hostTensor("float32", shape, Float32Array.from(data as Float32Array).fill(Number.NaN)));
    await expect(scoreTokens(engine, model, damaged, [1, 2])).rejects.toThrow(
      "score, token 1: expected a finite log-probability, got NaN.",
    );
  });
});

describe("bits per byte", () => {
  const tokenizer = loadTokenizer(`${FIXTURES}tokenizer/byte-bpe`);
  const scoresOf = (...logprobs: (number | null)[]) => ({ logprobs, nats: 0, windowed: false });

  test("counts the bytes of the tokens that were scored", () => {
    const tokens = tokenizer.encode("naïve text");
    const sizes = Array.from(tokens, (id) => tokenizer.tokenBytes(id).length);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(11);
    const scores = scoresOf(null, ...sizes.slice(1).map(() => -2));
    const expected = (2 * (sizes.length - 1)) / Math.LN2 / (11 - sizes[0]!);
    expect(scoredBitsPerByte(tokenizer, tokens, scores)).toBeCloseTo(expected, 12);
  });

  test("leaves special tokens out", () => {
    const [letter] = tokenizer.encode("a");
    const tokens = [letter!, tokenizer.endOfTextId, letter!];
    expect(scoredBitsPerByte(tokenizer, tokens, scoresOf(null, -9, -3))).toBeCloseTo(3 / Math.LN2, 12);
  });

  test("is null without scored text", () => {
    expect(scoredBitsPerByte(tokenizer, tokenizer.encode("a"), scoresOf(null))).toBeNull();
  });
});
