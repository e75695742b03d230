import { describe, expect, test } from "vitest";
import { AdaptedDecoder } from "../adapt/adapter.ts";
import { Lora } from "../adapt/lora.ts";
import { rowStream } from "../adapt/row-stream.ts";
import { Random } from "../core/random.ts";
import type { Weights } from "../core/weights.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { countParameters } from "../nn/scope.ts";
import { input, parameter } from "../tensor/tensor.ts";
import { NextToken } from "../train/next-token.ts";
import type { BatchShape, Examples } from "../train/objective.ts";
import { trainOptions } from "../train/options.ts";
import { batchShapeOf } from "../train/slices.ts";
import { trainOnly } from "../train/train-only.ts";
import { checkTrainingMemory } from "./check-training-memory.ts";
import { graphMemory } from "./graph-memory.ts";
import { RuntimeArena } from "./runtime-arena.ts";
import { forecastTraining } from "./training-forecast.ts";

// Forecasts against measurements are in bench `forecast`; here is what can be told by hand.

const KB = 1024;
const MB = 1024 * KB;

describe("the runtime's arena", () => {
  test("regions double, and only what was used of them counts", () => {
    const arena = new RuntimeArena();
    arena.allocate(300);
    expect(arena.touchedBytes).toBe(512); // units of 256
    arena.allocate(3 * MB); // does not fit into the first, of 1 MB, nor into one of 2
    expect(arena.touchedBytes).toBe(512 + 3 * MB);
  });

  test("the smallest place that is large enough is taken again, and neighbours grow together", () => {
    const arena = new RuntimeArena();
    const [a, b] = [arena.allocate(100 * KB), arena.allocate(100 * KB)];
    arena.allocate(100 * KB);
    arena.free(a);
    arena.free(b);
    arena.allocate(200 * KB);
    expect(arena.touchedBytes).toBe(300 * KB);
  });

  test("a place less than twice as large is not divided", () => {
    const arena = new RuntimeArena();
    const first = arena.allocate(150 * KB);
    arena.allocate(KB);
    arena.free(first);
    arena.allocate(100 * KB);
    arena.allocate(50 * KB); // not in the rest of the first
    expect(arena.touchedBytes).toBe(201 * KB);
  });
});

describe("results of a graph", () => {
  const numbers = 64 * KB; // of 4 bytes
  const x = input("x", "float32", [numbers]);
  const wide = () => x.concat([x], 0); // 512 KB

  test("die after their last use, and elementwise ones take their place", () => {
    expect(graphMemory([wide().exp().neg().sum()])).toBe(512 * KB);
  });

  test("live until then", () => {
    const kept = wide();
    expect(graphMemory([kept.exp().neg().mul(kept).sum()])).toBe(1024 * KB);
  });

  test("take nothing where a place is bound", () => {
    expect(graphMemory([wide()])).toBe(0);
    expect(graphMemory([x.mul(2)])).toBe(0);
  });

  test("a quantised weight is a matrix while it is multiplied with", () => {
    const bytes = { dtype: "uint8", shape: [64, 32], data: new Uint8Array(64 * 32) } as const;
    const scales = { dtype: "float32", shape: [64, 1], data: new Float32Array(64) } as const;
    const parts = { shape: [64, 64], axis: 1, blockSize: 64, values: bytes, scales } as const;
    const y = input("a", "float32", [2, 64]).matmul(parameter("w", [64, 64]), { transposeB: true });
    const of = (scheme: "int4" | "nf4") =>
      graphMemory([y], new Map([["w", { scheme, ...parts }]]) as Weights);
    expect(graphMemory([y])).toBe(0);
    expect(of("int4")).toBe(64 * 64 * 4);
    expect(of("nf4")).toBe(64 * 64 * 4 * 2.5);
  });
});

const sizes = { width: 64, numLayers: 6, numHeads: 4, vocabularySize: 100, contextLength: 128 };
const model = new Gpt2(gpt2Config(sizes));
const options = trainOptions({ contextLength: 128, batchSize: 8 });
const objective = new NextToken(model);

describe("a run", () => {
  test("weights, gradients and moments of whole blocks", () => {
    const forecast = forecastTraining({ objective, options });
    const count = model.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
    expect(forecast.trainedBytes % (4 * 131_072)).toBe(0);
    expect(forecast.trainedBytes).toBeGreaterThanOrEqual(4 * count);
    expect(forecast.trainedBytes).toBeLessThan(4 * (count + 2 * 131_072));
    expect(forecast.gradientBytes).toBe(forecast.trainedBytes);
    expect(forecast.momentBytes).toBe(2 * forecast.trainedBytes);
    const accumulating = forecastTraining({ objective, options: { ...options, accumulation: 2 } });
    expect(accumulating.gradientBytes).toBe(2 * forecast.gradientBytes);
    const coded = forecastTraining({ objective, options: { ...options, optimizerState: "int8" } });
    expect(coded.momentBytes / forecast.momentBytes).toBeCloseTo((1 + 4 / 256) / 4, 6);
  });

  test("recomputation needs less than 0.4 of the activations", () => {
    const activations = (recompute: boolean) =>
      forecastTraining({ objective, options: { ...options, recompute } }).activationBytes;
    expect(activations(true) / activations(false)).toBeLessThan(0.4);
  });

  test("an adapter's base counts once, as it is stored", () => {
    const lora = new Lora(model, { rank: 2, alpha: 4, targets: "all-linear" });
    const adapted = trainOnly(new NextToken(new AdaptedDecoder(model, lora)), lora.parameters);
    const frozen = new Map(
      model.parameters.map(({ path, shape }) => [
        path,
        { dtype: "float32", shape, data: new Float32Array(shape.reduce((a, b) => a * b)) } as const,
      ]),
    );
    const { frozenBytes, trainedBytes } = forecastTraining({ objective: adapted, options, frozen });
    expect(frozenBytes).toBe([...frozen.values()].reduce((sum, { data }) => sum + data.byteLength, 0));
    expect(trainedBytes).toBe(4 * 131_072);
  });
});

describe("batches of several shapes", () => {
  const one = { batchSize: 8, contextLength: 128 };
  const other = { batchSize: 8, contextLength: 64 };
  const forecast = (shapes: readonly BatchShape[]) => forecastTraining({ objective, options, shapes });

  test("each shape takes programs of its own, and once", () => {
    const [a, b] = [forecast([one]), forecast([other])];
    const both = forecast([one, other, one]);
    expect(both.activationBytes).toBeCloseTo(a.activationBytes + b.activationBytes);
    expect(both.measureBytes).toBeCloseTo(a.measureBytes + b.measureBytes);
    expect(both.processBytes).toBeGreaterThan(a.processBytes);
    expect(both.trainedBytes).toBe(a.trainedBytes);
    expect(forecast([one])).toEqual(forecastTraining({ objective, options }));
  });

  test("are those that the stream says it has", () => {
    const random = new Random(1);
    const rows = Array.from({ length: 83 }, () => {
      const tokens = new Int32Array(8 + random.integer(100));
      return { tokens, learnt: new Uint8Array(tokens.length).fill(1) };
    });
    const stream = rowStream(rows, { batchSize: 8, contextLength: 128, seed: 1 });
    const drawn = Array.from({ length: stream.batchesPerEpoch }, () =>
      batchShapeOf(stream.next() as Examples),
    );
    const known = new Set(drawn.map(({ batchSize, contextLength }) => `${batchSize} × ${contextLength}`));
    const said = stream.shapes!.map(({ batchSize, contextLength }) => `${batchSize} × ${contextLength}`);
    expect(said.length).toBeGreaterThan(3);
    expect(said.toSorted()).toEqual([...known].sort());
  });

  test("in one bucket they take less, and that is offered", () => {
    const shapes = [128, 120, 112, 104].map((contextLength) => ({ batchSize: 8, contextLength }));
    const { totalBytes } = forecast(shapes);
    const check = () => checkTrainingMemory({ objective, options, shapes }, { available: totalBytes - 1 });
    expect(check).toThrow(/--set batch\.maxBuckets=1: about/);
  });
});

test("a decoder that writes packs its matrices a second time", () => {
  const { writerBytes } = forecastTraining({ objective, options, writer: model });
  const matrices = model.parameters.filter(
    ({ path, sumAxis }) => sumAxis && !model.lookupPaths.includes(path),
  );
  expect(writerBytes).toBeGreaterThan(4 * countParameters(matrices));
  expect(writerBytes).toBeLessThan(4 * countParameters(model.parameters) + 4e6);
});

describe("a run that does not fit", () => {
  const { totalBytes } = forecastTraining({ objective, options });

  test("is refused in one line that says what for and what would fit", () => {
    expect(() => checkTrainingMemory({ objective, options }, { available: totalBytes })).not.toThrow();
    let message = "";
    try {
      checkTrainingMemory({ objective, options }, { available: totalBytes - 1e6 });
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(
      /^training: expected a run that fits into the 0\.\d\d GB of memory there is, got one/,
    );
    expect(message).toMatch(
      /needs about 0\.\d\d GB \(weights 0\.\d\d GB, gradients .*, optimizer .*, activations /,
    );
    for (const offer of [
      "Would fit: --set train.recompute=true",
      "--set train.optimizerState=int8",
      "--set train.batchSize=1",
    ]) {
      expect(message).toContain(`${offer}: about 0.`);
    }
    expect(message).toContain("--set train.contextLength=64: about");
    expect(message).not.toContain("\n");
  });

  test("what is offered fits by the forecast itself, and what does not is not offered", () => {
    const smaller = forecastTraining({ objective, options: { ...options, batchSize: 1 } }).totalBytes;
    const offers = (available: number) => {
      try {
        checkTrainingMemory(
          { objective, options },
          { available, alternatives: [{ what: "x", request: huge }] },
        );
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    };
    const huge = () => ({ objective, options: { ...options, batchSize: 64, accumulation: 2 } });
    expect(offers(smaller)).toContain("--set train.batchSize=1: about");
    expect(offers(smaller - 1)).not.toMatch(/--set train.batchSize=1: |x: /);
    const small = () => ({ objective, options: { ...options, batchSize: 1 } });
    expect(() =>
      checkTrainingMemory(
        { objective, options },
        { available: smaller, alternatives: [{ what: "--method other", request: small }] },
      ),
    ).toThrow("--method other: about");
  });

  test("begins all the same where nothing is refused", () => {
    expect(checkTrainingMemory({ objective, options }, { available: 1, refuses: false }).totalBytes).toBe(
      totalBytes,
    );
  });

  test("what is held beside it counts, and is named", () => {
    const heldBytes = 2e9;
    const larger = { objective, options, heldBytes };
    expect(forecastTraining(larger).totalBytes).toBe(totalBytes + heldBytes);
    expect(() => checkTrainingMemory(larger, { available: totalBytes })).toThrow(
      /samples [\d.]+ GB, beside the run 2\.0 GB\)\. Free/,
    );
  });

  test("where nothing helps, no false hope", () => {
    expect(() => checkTrainingMemory({ objective, options }, { available: 1e6 })).toThrow(
      /measuring and samples [\d.]+ GB\)\. Free memory, or run it all the same with --no-check-memory\.$/,
    );
  });
});
