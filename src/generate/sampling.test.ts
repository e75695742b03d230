import { describe, expect, test } from "vitest";
import { ConfigError, DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import {
  logProbability,
  type SamplingOptions,
  sampleToken,
  samplingOptions,
  tokenProbabilities,
} from "./sampling.ts";

// Printed by tools/golden/sampling.py: the LogitsProcessors of Python transformers 5.23, in float64.
const LOGITS = [2.0, -1.0, 0.5, 3.0, -0.25, 1.5, 0.0, -3.0, 2.5, 0.75];
const GOLDEN: readonly GoldenCase[] = [
  {
    name: "temperature",
    temperature: 0.7,
    probabilities: [
      0.123423726, 0.00169877784, 0.0144799686, 0.515014361, 0.00495966225, 0.0604210554, 0.00708854784,
      9.75652607e-5, 0.252120985, 0.0206953507,
    ],
  },
  {
    name: "hot",
    temperature: 2.5,
    probabilities: [
      0.143272046, 0.043152711, 0.0786293659, 0.213736777, 0.058250067, 0.11730123, 0.06437628, 0.0193897629,
      0.174992872, 0.0868988885,
    ],
  },
  { name: "topK", topK: 3, probabilities: [0.186323723, 0, 0, 0.506480391, 0, 0, 0, 0, 0.307195886, 0] },
  {
    name: "topK with ties",
    logits: [1, 2, 2, 0, 2, -1],
    topK: 2,
    probabilities: [0, 0.333333333, 0.333333333, 0, 0.333333333, 0],
  },
  {
    name: "topP",
    topP: 0.8,
    probabilities: [0.167405097, 0, 0, 0.455054234, 0, 0.101536324, 0, 0, 0.276004345, 0],
  },
  { name: "topP tiny", topP: 0.01, probabilities: [0, 0, 0, 1, 0, 0, 0, 0, 0, 0] },
  {
    name: "topP after temperature",
    temperature: 1.8,
    topP: 0.6,
    probabilities: [0.246117388, 0, 0, 0.428960211, 0, 0, 0, 0, 0.324922401, 0],
  },
  {
    name: "minP",
    minP: 0.2,
    probabilities: [0.167405097, 0, 0, 0.455054234, 0, 0.101536324, 0, 0, 0.276004345, 0],
  },
  {
    name: "penalty",
    previous: [3, 3, 7, 0],
    repetitionPenalty: 1.3,
    probabilities: [
      0.124845556, 0.00986127908, 0.0441951867, 0.269429886, 0.020876328, 0.120134973, 0.0268057357,
      0.000542599329, 0.326560714, 0.056747743,
    ],
  },
  {
    name: "reward",
    previous: [1, 4],
    repetitionPenalty: 0.6,
    probabilities: [
      0.146713622, 0.0108969457, 0.0327362339, 0.398808972, 0.0170898127, 0.0889863099, 0.0198555296,
      0.000988548608, 0.241889869, 0.0420341564,
    ],
  },
  {
    name: "all",
    previous: [3, 8, 1],
    repetitionPenalty: 1.2,
    temperature: 0.9,
    topK: 7,
    topP: 0.92,
    minP: 0.12,
    probabilities: [0.214452865, 0, 0, 0.373771828, 0, 0.123043065, 0, 0, 0.235257948, 0.0534742955],
  },
];

interface GoldenCase extends Partial<SamplingOptions> {
  readonly name: string;
  readonly logits?: readonly number[];
  readonly previous?: readonly number[];
  readonly probabilities: readonly number[];
}

describe("probabilities are those of Python transformers", () => {
  test.each(GOLDEN.map((golden) => [golden.name, golden] as const))("%s", (_, golden) => {
    const { name: _name, logits = LOGITS, previous = [], probabilities, ...given } = golden;
    const found = tokenProbabilities(Float32Array.from(logits), previous, samplingOptions(given));
    expect(found.length).toBe(probabilities.length);
    for (const [id, expected] of probabilities.entries()) {
      expect(Math.abs(found[id]! - expected), `token ${id}`).toBeLessThan(1e-8);
    }
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
      repetitionPenalty: 1,
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
    [{ topp: 1 } as object, 'Did you mean "topP"?'],
  ])("%j", (given, message) => {
    expect(() => samplingOptions(given)).toThrow(ConfigError);
    expect(() => samplingOptions(given)).toThrow(message);
  });
});
