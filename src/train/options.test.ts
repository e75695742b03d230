import { describe, expect, test } from "vitest";
import { ConfigError } from "../core/errors.ts";
import { learningRateAt, type TrainOptions, trainOptions } from "./options.ts";

/** Rates of the first steps of a run. */
function rates(given: Partial<TrainOptions>): number[] {
  const options = trainOptions({ learningRate: 1, minLearningRate: 0.1, ...given });
  return Array.from({ length: options.steps }, (_, step) => learningRateAt(step, options));
}

function expectRates(actual: number[], expected: number[]): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((rate, step) => {
    expect(rate, `step ${step}`).toBeCloseTo(expected[step]!, 12);
  });
}

describe("learning rate", () => {
  test("warm-up rises in a line and reaches the full rate at its last step", () => {
    const actual = rates({ steps: 10, warmupSteps: 4, schedule: "constant" });
    expectRates(actual, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]);
  });

  test("cosine: half-way down in the middle, the minimum at the last step", () => {
    // 0.1 + 0.9 · (1 + cos(π·k/8)) / 2
    const eighths = [1, 0.9657457896, 0.8681980515, 0.7222075445, 0.55, 0.3777924555, 0.2318019485];
    const actual = rates({ steps: 11, warmupSteps: 2, schedule: "cosine" });
    expect(actual.slice(0, 2)).toEqual([0.5, 1]);
    eighths.forEach((rate, k) => {
      expect(actual[2 + k]).toBeCloseTo(rate, 9);
    });
    expect(actual.at(-1)).toBeCloseTo(0.1, 12);
  });

  test("linear: equal steps down to the minimum", () => {
    const actual = rates({ steps: 12, warmupSteps: 2, schedule: "linear" });
    expectRates(actual, [0.5, 1, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]);
  });

  test("without warm-up the first step has the full rate", () => {
    for (const schedule of ["cosine", "linear", "constant"] as const) {
      expect(rates({ steps: 5, warmupSteps: 0, schedule })[0]).toBe(1);
    }
  });

  test("runs of one step, and runs that are all warm-up", () => {
    expectRates(rates({ steps: 1, warmupSteps: 0 }), [1]);
    expectRates(rates({ steps: 1, warmupSteps: 1 }), [1]);
    expectRates(rates({ steps: 3, warmupSteps: 2 }), [0.5, 1, 1]);
    expectRates(rates({ steps: 3, warmupSteps: 3 }), [1 / 3, 2 / 3, 1]);
  });
});

describe("trainOptions", () => {
  test("fallbacks follow from the number of steps and the rate", () => {
    const options = trainOptions({ steps: 200, learningRate: 0.5 });
    expect(options).toMatchObject({ warmupSteps: 20, validateEvery: 20, saveEvery: 20, sampleEvery: 50 });
    expect(options.minLearningRate).toBeCloseTo(0.05, 12);
    expect(trainOptions({ steps: 1 })).toMatchObject({ warmupSteps: 0, validateEvery: 1, saveEvery: 1 });
    expect(trainOptions({ steps: 100_000 }).warmupSteps).toBe(100);
  });

  test.each<[Partial<Record<keyof TrainOptions, unknown>>, string]>([
    [{ steps: 0 }, "train.steps: expected an integer in [1, 2147483648], got 0"],
    [{ steps: "many" }, 'train.steps: expected an integer in [1, 2147483648], got "many"'],
    [{ batchSize: 1.5 }, "train.batchSize: expected an integer in [1, 65536], got 1.5"],
    [{ accumulation: 0 }, "train.accumulation: expected an integer in [1, 65536], got 0"],
    [{ learningRate: -1 }, "train.learningRate: expected a number in [0, 10], got -1"],
    [{ learningRate: Number.NaN }, "train.learningRate: expected a number in [0, 10]"],
    [
      { minLearningRate: 1, learningRate: 0.5 },
      "train.minLearningRate: expected at most the learning rate 0.5",
    ],
    [{ schedule: "cosin" }, "train.schedule: expected one of cosine, linear, constant"],
    [{ steps: 5, warmupSteps: 6 }, "train.warmupSteps: expected at most the 5 steps of the run, got 6"],
    [{ beta2: 1 }, "train.beta2: expected a number in [0, 0.99999], got 1"],
    [{ epsilon: 0 }, "train.epsilon: expected a number in [1e-12, 1], got 0"],
    [{ clipNorm: 0 }, "train.clipNorm: expected a number ≥ 0.000001, got 0"],
    [{ labelSmoothing: 1 }, "train.labelSmoothing: expected a number in [0, 0.999], got 1"],
    [{ maxSkips: 0 }, "train.maxSkips: expected an integer in [1, 2147483648], got 0"],
    [{ patience: -1 }, "train.patience: expected an integer in [0, 2147483648], got -1"],
    [{ best: "accuracy" }, "train.best: expected one of loss, quality"],
    [{ optimizerState: "int4" }, "train.optimizerState: expected one of float32, int8"],
    [{ seed: -1 }, "train.seed: expected an integer in [0, 4294967295], got -1"],
  ])("%o is refused", (given, message) => {
    expect(() => trainOptions(given as Partial<TrainOptions>)).toThrow(ConfigError);
    expect(() => trainOptions(given as Partial<TrainOptions>)).toThrow(message);
  });

  test("a mistyped key names the nearest", () => {
    const given = { learningrate: 1 } as Partial<TrainOptions>;
    expect(() => trainOptions(given)).toThrow(
      'train.learningrate: expected a known configuration key, got "learningrate". Did you mean "learningRate"?',
    );
  });
});
