import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError, DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { logProbability, sampleToken, tokenProbabilities, topLogProbabilities } from "./sampling.ts";
import { checkSamplingTokens, type SamplingOptions, samplingOptions } from "./sampling-options.ts";

// Made by tools/golden/sampling.py: the LogitsProcessors of Python transformers, in float64.
const PATH = new URL("../../test/fixtures/sampling/golden.json", import.meta.url);
const GOLDEN = JSON.parse(readFileSync(PATH, "utf8")) as {
  readonly cases: readonly GoldenCase[];
  readonly logprobs: readonly { logits: number[]; sorted: [number, number][] }[];
};
const LOGITS = GOLDEN.cases[0]!.logits;

interface GoldenCase extends Partial<SamplingOptions> {
  readonly name: string;
  readonly logits: readonly number[];
  readonly previous?: readonly number[];
  readonly promptLength?: number;
  readonly endTokens?: readonly number[];
  readonly allowed?: readonly number[];
  readonly probabilities: readonly number[];
}

function maskOf(tokens: readonly number[], vocabularySize: number): Uint32Array {
  const mask = new Uint32Array(Math.ceil(vocabularySize / 32));
  for (const token of tokens) mask[token >>> 5]! |= 1 << (token & 31);
  return mask;
}

describe("probabilities are those of Python transformers", () => {
  test.each(GOLDEN.cases.map((golden) => [golden.name, golden] as const))("%s", (_, golden) => {
    const {
      name: _name,
      logits,
      previous = [],
      promptLength,
      endTokens,
      allowed,
      probabilities,
      ...given
    } = golden;
    const mask = allowed && maskOf(allowed, logits.length);
    const context = { promptLength, endTokens, allowed: mask };
    const options = samplingOptions(given);
    const found = tokenProbabilities(Float32Array.from(logits), previous, options, context);
    expect(found.length).toBe(probabilities.length);
    for (const [id, expected] of probabilities.entries()) {
      // The scores of 160 tokens have three decimals, which float32 cuts to a relative 6e-8.
      expect(Math.abs(found[id]! - expected), `token ${id}`).toBeLessThan(logits.length > 10 ? 1e-7 : 1e-8);
    }
  });

  test("log-probabilities, and the likeliest tokens in order", () => {
    for (const { logits, sorted } of GOLDEN.logprobs) {
      const scores = Float32Array.from(logits);
      for (const count of [0, 1, 5, logits.length, logits.length + 3]) {
        const found = topLogProbabilities(scores, count);
        expect(found.map(({ token }) => token)).toEqual(sorted.slice(0, count).map(([token]) => token));
        for (const { token, logprob } of found) {
          const [, expected] = sorted.find(([id]) => id === token)!;
          expect(Math.abs(logprob - expected)).toBeLessThan(1e-6);
          expect(logProbability(scores, token)).toBe(logprob);
        }
      }
    }
  });
});

describe("a constraint", () => {
  const logits = Float32Array.from(LOGITS);
  const draw = (given: Partial<SamplingOptions>, allowed: readonly number[], previous: number[] = []) =>
    sampleToken(logits, previous, samplingOptions({ temperature: 0, ...given }), new Random(0), {
      allowed: maskOf(allowed, 10),
      endTokens: [9],
    });

  test("holds with any draw", () => {
    const random = new Random(3);
    const options = samplingOptions({ temperature: 5, repetitionPenalty: 1.4 });
    const context = { allowed: maskOf([1, 7], 10) };
    const drawn = Array.from({ length: 200 }, () => sampleToken(logits, [3, 7], options, random, context));
    expect(new Set(drawn)).toEqual(new Set([1, 7]));
  });

  test("and a ban give the best of what both leave", () => {
    expect(draw({ suppressTokens: [8] }, [8, 0, 4])).toBe(0);
  });

  test("makes bans give way that leave nothing, but those only where it has to", () => {
    expect(draw({ suppressTokens: [4, 7], badWords: [[3]] }, [4, 7])).toBe(4);
    expect(draw({ noRepeatNgramSize: 1 }, [7], [7, 7])).toBe(7);
    expect(draw({ minNewTokens: 5 }, [9])).toBe(9); // complete: only an end may follow
    expect(draw({ minNewTokens: 5 }, [9, 7])).toBe(7);
  });

  test("does not reach tokens beyond its words", () => {
    const wide = new Float32Array(100).fill(5);
    wide[3] = 1;
    const context = { allowed: Uint32Array.of(1 << 3) };
    expect(sampleToken(wide, [], samplingOptions({ temperature: 0 }), new Random(0), context)).toBe(3);
  });
});

test("large vocabularies: top-k and top-p agree with plain sorting", () => {
  const random = new Random(5);
  const logits = Float32Array.from({ length: 20_000 }, () => 4 * random.normal());
  const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!);
  const total = logits.reduce((sum, score) => sum + Math.exp(score), 0);
  for (const topK of [1, 2, 37, 19_999, 20_000, 30_000]) {
    const found = tokenProbabilities(logits, [], samplingOptions({ topK }));
    const kept = [...found.keys()].filter((id) => found[id]! > 0);
    expect(kept.length).toBe(Math.min(topK, 20_000));
    expect(new Set(kept)).toEqual(new Set(order.slice(0, topK)));
  }
  for (const topP of [1e-9, 0.3, 0.9, 0.999]) {
    let share = 0;
    const expected: number[] = [];
    for (const id of order) {
      if (share >= topP) break;
      expected.push(id);
      share += Math.exp(logits[id]!) / total;
    }
    const found = tokenProbabilities(logits, [], samplingOptions({ topP }));
    expect([...found.keys()].filter((id) => found[id]! > 0)).toEqual(expected.sort((a, b) => a - b));
  }
});

test("of equal tokens top-p keeps as many as it takes, the first ones", () => {
  const logits = new Float32Array(1000).fill(0.3);
  for (const [topP, count] of [
    [1e-300, 1],
    [1e-17, 1],
    [0.0015, 2],
    [0.9995, 1000],
  ] as const) {
    const found = tokenProbabilities(logits, [], samplingOptions({ topP }));
    const kept = [...found.keys()].filter((id) => found[id]! > 0);
    expect(kept).toEqual(Array.from({ length: count }, (_, id) => id));
  }
});

test("extreme scores and temperatures stay numbers", () => {
  const logits = Float32Array.of(1e30, -1e30, 1e30, Number.NEGATIVE_INFINITY);
  for (const temperature of [5e-324, 1e-10, 1, 1e300]) {
    const found = tokenProbabilities(logits, [], samplingOptions({ temperature, topP: 0.9, minP: 0.1 }));
    expect(found[0]).toBe(temperature === 1e300 ? 1 / 3 : 0.5);
    expect(found.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 12);
  }
  const penalized = samplingOptions({ repetitionPenalty: 1e300, temperature: 0 });
  expect(sampleToken(Float32Array.of(-1, 5), [0, 1], penalized, new Random(0))).toBe(1);
});

describe("sampleToken", () => {
  test("frequencies over 20,000 draws fit the probabilities (chi-square, p > 0.001)", () => {
    const options = samplingOptions({ temperature: 1.3, topK: 8, topP: 0.95 });
    const logits = Float32Array.from(LOGITS);
    const expected = tokenProbabilities(logits, [], options);
    const random = new Random(42);
    const counts = new Float64Array(LOGITS.length);
    const draws = 20_000;
    for (let i = 0; i < draws; i++) counts[sampleToken(logits, [], options, random)]! += 1;
    let chiSquare = 0;
    let categories = 0;
    for (const [id, probability] of expected.entries()) {
      if (probability === 0) expect(counts[id]).toBe(0);
      else {
        chiSquare += (counts[id]! - draws * probability) ** 2 / (draws * probability);
        categories += 1;
      }
    }
    expect(categories).toBe(7);
    expect(chiSquare).toBeLessThan(22.46); // 6 degrees of freedom, p = 0.001
  });

  test("greedy takes the best, the lowest id of several, and no random number", () => {
    const random = new Random(1);
    const before = random.state();
    const greedy = samplingOptions({ temperature: 0, topP: 0.5 });
    expect(sampleToken(Float32Array.from(LOGITS), [], greedy, random)).toBe(3);
    expect(sampleToken(Float32Array.of(1, 7, 7), [], greedy, random)).toBe(1);
    expect(random.state()).toEqual(before);
  });

  test("greedy heeds the repetition penalty", () => {
    const options = samplingOptions({ temperature: 0, repetitionPenalty: 1.5 });
    expect(sampleToken(Float32Array.from(LOGITS), [3], options, new Random(0))).toBe(8);
  });

  test("the scores are left as they were", () => {
    const logits = Float32Array.from(LOGITS);
    const options = samplingOptions({ repetitionPenalty: 2, topK: 2, temperature: 0.5 });
    sampleToken(logits, [0, 3], options, new Random(0));
    expect(Array.from(logits)).toEqual(LOGITS);
  });

  test.each([
    [[1, Number.NaN, 2], "scores of the next token: expected finite numbers, got NaN for token 1."],
    [[Number.NEGATIVE_INFINITY], "got none."],
    [[0, Number.POSITIVE_INFINITY], "got infinity for token 1."],
  ])("scores %j", (scores, message) => {
    for (const temperature of [0, 1]) {
      const draw = () =>
        sampleToken(Float32Array.from(scores), [], samplingOptions({ temperature }), new Random(0));
      expect(draw).toThrow(DataError);
      expect(draw).toThrow(message);
    }
  });
});

test("logProbability is the logarithm of the softmax", () => {
  const logits = Float32Array.from(LOGITS);
  const plain = tokenProbabilities(logits, [], samplingOptions());
  for (const id of LOGITS.keys()) expect(logProbability(logits, id)).toBeCloseTo(Math.log(plain[id]!), 12);
  expect(logProbability(Float32Array.of(1e4, 0), 1)).toBe(-1e4);
});

describe("options", () => {
  test("defaults leave the scores alone", () => {
    expect(samplingOptions()).toEqual({
      temperature: 1,
      topK: 0,
      topP: 1,
      minP: 0,
      typicalP: 1,
      epsilonCutoff: 0,
      etaCutoff: 0,
      repetitionPenalty: 1,
      frequencyPenalty: 0,
      presencePenalty: 0,
      noRepeatNgramSize: 0,
      logitBias: {},
      badWords: [],
      suppressTokens: [],
      minNewTokens: 0,
      seed: 0,
    });
  });

  test.each([
    [{ temperature: -1 }, "sampling.temperature: expected a number ≥ 0, got -1."],
    [{ temperature: Number.NaN }, "sampling.temperature"],
    [{ topK: -1 }, "sampling.topK: expected an integer ≥ 0, got -1."],
    [{ topK: 1.5 }, "sampling.topK"],
    [{ topP: 0 }, "sampling.topP: expected a number above 0 and at most 1, got 0."],
    [{ topP: 1.5 }, "sampling.topP"],
    [{ minP: -0.1 }, "sampling.minP: expected a number in [0, 1], got -0.1."],
    [{ minP: 1.1 }, "sampling.minP"],
    [{ repetitionPenalty: 0 }, "sampling.repetitionPenalty: expected a number above 0, got 0."],
    [{ seed: 0.5 }, "sampling.seed"],
    [{ frequencyPenalty: 2.5 }, "sampling.frequencyPenalty: expected a number in [-2, 2], got 2.5."],
    [{ noRepeatNgramSize: 2 ** 31 }, "sampling.noRepeatNgramSize: expected an integer in [0, 1024]"],
    [{ etaCutoff: 1 }, "sampling.etaCutoff: expected a number from 0 up to, but not, 1, got 1."],
    [{ logitBias: { x: 1 } }, "sampling.logitBias: expected numbers by token id"],
    [{ logitBias: { 5: Number.NaN } }, "sampling.logitBias"],
    [{ badWords: [[]] }, "sampling.badWords: expected a list of lists of token ids, none empty, got [[]]."],
    [{ suppressTokens: [-1] }, "sampling.suppressTokens: expected a list of token ids, got [-1]."],
    [{ topK: null } as object, "sampling.topK: expected a value, or no such key, got null."],
    [{ topp: 1 } as object, 'Did you mean "topP"?'],
  ])("%j", (given, message) => {
    expect(() => samplingOptions(given)).toThrow(ConfigError);
    expect(() => samplingOptions(given)).toThrow(message);
  });

  test("no number makes any of them crash: it is taken or refused", () => {
    const logits = Float32Array.from(LOGITS);
    for (const key of Object.keys(samplingOptions())) {
      for (const value of [
        -1,
        0,
        0.5,
        2 ** 31,
        2 ** 53,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        "1",
        null,
        {},
      ]) {
        let options: SamplingOptions;
        try {
          options = samplingOptions({ [key]: value });
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          continue;
        }
        expect(typeof value === "number" || key === "logitBias", `${key} ${value}`).toBe(true);
        expect(sampleToken(logits, [1, 2, 1], options, new Random(0))).toBeLessThan(10);
      }
      expect(() => samplingOptions({ [key]: "1" })).toThrow(ConfigError);
    }
  });

  test("token ids are held against a vocabulary", () => {
    const check = (given: Partial<SamplingOptions>) => () => checkSamplingTokens(samplingOptions(given), 10);
    expect(check({ logitBias: { 9: 1 }, badWords: [[9, 0]], suppressTokens: [9] })).not.toThrow();
    expect(check({ badWords: [[1, 10]] })).toThrow("sampling.badWords: expected token ids in [0, 10)");
    expect(check({ logitBias: { 10: 1 } })).toThrow("sampling.logitBias");
    expect(check({ suppressTokens: [77] })).toThrow(ConfigError);
  });
});
