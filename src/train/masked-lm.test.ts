import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  checkpointDigests,
  EventRecord,
  engine,
  TINY_MASKING,
  type TinyChanges,
  tinyMaskedLM,
  tinyRun,
  tinyTokens,
  writeDataset,
} from "../../test/tiny-run.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { type MaskedBatch, NO_LABEL } from "../data/masked-rows.ts";
import { MaskedSampler } from "../data/masked-sampler.ts";
import { maskedWindows } from "../data/masked-windows.ts";
import { interpret, toNdArray } from "../engine/interpreter.ts";
import { bertConfig } from "../models/bert/config.ts";
import { Bert } from "../models/bert/model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { gradients } from "../tensor/gradient.ts";
import { input } from "../tensor/tensor.ts";
import { flopsOf, trainingFlopsOf } from "./flops.ts";
import { GradientProgram } from "./gradient-program.ts";
import { MaskedLM, maskedExamples } from "./masked-lm.ts";
import { MaskedValidation } from "./masked-validation.ts";
import { ParameterArena } from "./parameter-arena.ts";
import type { TrainResult } from "./train-run.ts";
import { train } from "./trainer.ts";

// B batch · T tokens · P predictions · V vocabulary

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-masked-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Far from their first values, so that every prediction depends on what is around it. */
function strayWeights({ model }: MaskedLM): Map<string, HostTensor> {
  const weights = initializeParameters(model.parameters, new Random(4));
  const random = new Random(6);
  for (const { data } of weights.values()) {
    (data as Float32Array).forEach((value, i) => {
      data[i] = value + 0.3 * random.normal();
    });
  }
  return weights;
}

/** Scores of every token of every row, and of the pairs: the reference interpreter in doubles. */
function scoreInDoubles({ model: encoder }: MaskedLM, weights: Map<string, HostTensor>, batch: MaskedBatch) {
  const { batchSize: B, contextLength: T } = batch.shape;
  const ids = (name: string) => input(name, "int32", [B, T]);
  const hidden = encoder.hidden({ tokens: ids("tokens"), segments: ids("segments"), mask: ids("mask") });
  const { maskedLogits, pooled, nextSentenceLogits } = encoder.heads;
  const outputs = [maskedLogits!(hidden), ...(pooled ? [nextSentenceLogits!(pooled(hidden))] : [])];
  const feed = (data: Int32Array) => ({ shape: [B, T], data: Float64Array.from(data) });
  const { tokens, segments, mask } = batch;
  const feeds = { tokens: feed(tokens), segments: feed(segments), mask: feed(mask) };
  const values = Object.fromEntries([...weights].map(([path, tensor]) => [path, toNdArray(tensor)]));
  return interpret(outputs, { ...feeds, ...values }).map(({ data }) => data);
}

function lossOf(scores: Float64Array, label: number): { nats: number; guess: number } {
  const peak = Math.max(...scores);
  const nats =
    peak + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - peak), 0)) - scores[label]!;
  return { nats, guess: scores.indexOf(peak) };
}

/** The definition: each hidden token by itself, from scores of everything. */
function measureByDefinition(objective: MaskedLM, weights: Map<string, HostTensor>, batches: MaskedBatch[]) {
  const V = objective.model.shape.vocabularySize;
  const sum = { nats: 0, right: 0, count: 0, pairNats: 0, pairsRight: 0, pairs: 0 };
  for (const batch of batches) {
    const { contextLength: T, numPredictions: P } = batch.shape;
    const [scores, pairScores] = scoreInDoubles(objective, weights, batch);
    batch.labels.forEach((label, i) => {
      if (label === NO_LABEL) return;
      const at = Math.floor(i / P) * T + batch.positions[i]!;
      const { nats, guess } = lossOf(scores!.subarray(at * V, (at + 1) * V), label);
      sum.nats += nats;
      sum.right += Number(guess === label);
      sum.count++;
    });
    batch.isRandom.forEach((label, row) => {
      if (label === NO_LABEL || !pairScores) return;
      const { nats, guess } = lossOf(pairScores.subarray(row * 2, row * 2 + 2), label);
      sum.pairNats += nats;
      sum.pairsRight += Number(guess === label);
      sum.pairs++;
    });
  }
  return sum;
}

function fillArena(objective: MaskedLM, weights: Map<string, HostTensor>): ParameterArena {
  const arena = new ParameterArena(objective.model.parameters);
  for (const [path, { data }] of arena.weights()) data.set(weights.get(path)!.data as never);
  return arena;
}

describe("the loss", () => {
  test.each([false, true])(
    "is that of every hidden token by itself, in doubles (pairs: %s)",
    async (pairs) => {
      const objective = tinyMaskedLM({ pairs, contextLength: 24 });
      const weights = strayWeights(objective);
      const dataset = writeDataset(root, "train.bin", tinyTokens(500, 3));
      const sizes = { batchSize: 6, contextLength: 24 };
      const stream = { datasets: [{ dataset, weight: 1 }], seed: 1, ...sizes };
      const batches = [1, 2].map(() => new MaskedSampler({ ...objective.options, ...stream }).next());
      const arena = fillArena(objective, weights);
      const program = new GradientProgram(engine, objective, arena, { labelSmoothing: 0 });
      const lossNats = await program.run(batches.map((batch) => maskedExamples(batch, pairs)));
      program.dispose();
      const sum = measureByDefinition(objective, weights, batches);
      expect(sum.count).toBeGreaterThan(20);
      const expected = sum.nats / sum.count + (pairs ? sum.pairNats / sum.pairs : 0);
      expect(Math.abs(lossNats - expected)).toBeLessThan(1e-5);
      dataset.close();
    },
  );

  test("slices with unequal numbers of targets have the gradients of the whole", async () => {
    const sizes = { width: 1024, numLayers: 1, numHeads: 16, feedForwardSize: 64 };
    const config = bertConfig({ ...sizes, vocabularySize: TINY_MASKING.size, contextLength: 512 });
    const encoder = new Bert(config, { maskedLanguage: "tied", pooler: true, nextSentence: true });
    const objective = new MaskedLM(encoder, { vocabulary: TINY_MASKING, fraction: 0.1, pairs: true });
    const shape = { batchSize: 2, contextLength: 512 };
    const dataset = writeDataset(root, "train.bin", tinyTokens(2000, 3));
    const stream = { datasets: [{ dataset, weight: 1 }], seed: 2, ...shape };
    const batch = maskedExamples(new MaskedSampler({ ...objective.options, ...stream }).next(), true);
    expect(new Set(Array.from(batch.numTargets.masked!)).size).toBe(2);
    const arena = fillArena(objective, initializeParameters(objective.model.parameters, new Random(1)));
    const program = new GradientProgram(engine, objective, arena, { labelSmoothing: 0 });
    const lossNats = await program.run([batch]);
    program.dispose();

    const { masked, nextSentence } = objective.losses(shape, 0);
    const loss = masked!.add(nextSentence!);
    const wrt = gradients(
      loss,
      objective.model.parameters.map(({ tensor }) => tensor),
    );
    const named = objective.model.parameters.map(({ path }, i) => [`by ${path}`, wrt[i]!] as const);
    const whole = engine.compile("whole batch", { loss, ...Object.fromEntries(named) });
    const expected = await whole.run({ ...batch.inputs, ...Object.fromEntries(arena.weights()) });
    whole.dispose();
    dataset.close();
    expect(lossNats).toBeCloseTo(expected.loss!.data[0] as number, 5);
    for (const parameter of objective.model.parameters) {
      const actual = arena.view("gradients", parameter).data as Float32Array;
      const values = expected[`by ${parameter.path}`]!.data as Float32Array;
      const peak = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i]!)), 0);
      expect(worst, parameter.path).toBeLessThan(5e-5 * peak + 1e-7);
    }
  });

  test("costs what its products cost: layers on all tokens, the head on the hidden ones, the pooler once", () => {
    const [B, T, C, V] = [3, 24, 16, TINY_MASKING.size];
    const objective = tinyMaskedLM({ pairs: true, contextLength: T });
    const P = Math.round(0.2 * (T - 3));
    const layer = 4 * C * C + 2 * C * 4 * C;
    const forward = B * (T * 2 * (layer + 2 * T * C) + P * 2 * (C * C + V * C) + 2 * (C * C + 2 * C));
    // Gradients of the small tables are products, too.
    const counted = flopsOf(objective, { batchSize: B, contextLength: T });
    expect(counted / (3 * forward)).toBeGreaterThanOrEqual(1);
    expect(counted / (3 * forward)).toBeLessThan(1.02);
    expect(trainingFlopsOf([input("x", "float32", [])], [])).toBe(0);
  });
});

describe("the measure", () => {
  async function measure(objective: MaskedLM, texts: number[][], rows = 4, shuffled = false) {
    const datasets = texts.map((tokens, i) => writeDataset(root, `${i}.bin`, tokens));
    const shape = { batchSize: rows, contextLength: objective.model.shape.contextLength };
    const weights = strayWeights(objective);
    const measured = { shape, options: objective.options, datasets };
    const validation = new MaskedValidation(engine, objective.model, weights, measured);
    try {
      const result = await validation.run(shuffled);
      const options = { ...objective.options, ...shape, shuffled };
      const batches = datasets.flatMap((dataset) => [...maskedWindows(dataset, options)]);
      return { result, expected: measureByDefinition(objective, weights, batches) };
    } finally {
      validation.dispose();
      for (const dataset of datasets) dataset.close();
    }
  }

  test.each([
    { pairs: false, shuffled: false },
    { pairs: false, shuffled: true },
    { pairs: true, shuffled: false },
  ])("is that of every hidden token by itself, in doubles (%o)", async ({ pairs, shuffled }) => {
    const texts = [tinyTokens(333, 1), tinyTokens(40, 2)];
    const { result, expected } = await measure(tinyMaskedLM({ pairs }), texts, 4, shuffled);
    expect(result.numTokens).toBe(expected.count);
    expect(Math.abs(result.lossNats - expected.nats / expected.count)).toBeLessThan(1e-5);
    expect(result.maskedAccuracy).toBe(expected.right / expected.count);
    const { maskedAccuracy: p, numTokens } = result;
    expect(result.standardError).toBeCloseTo(Math.sqrt((p * (1 - p)) / numTokens), 12);
    expect(result.nextSentenceAccuracy).toBe(pairs ? expected.pairsRight / expected.pairs : undefined);
  });

  test("batches make no difference", async () => {
    const texts = [tinyTokens(200, 1)];
    const [one, seven] = [await measure(tinyMaskedLM(), texts, 1), await measure(tinyMaskedLM(), texts, 7)];
    expect(one.result.numTokens).toBe(seven.result.numTokens);
    expect(one.result.maskedAccuracy).toBe(seven.result.maskedAccuracy);
    expect(one.result.lossNats).toBeCloseTo(seven.result.lossNats, 5);
  });

  test("nothing to hide is an error, not a number", async () => {
    const run = measure(tinyMaskedLM(), [[TINY_MASKING.sepId, TINY_MASKING.sepId]]);
    await expect(run).rejects.toThrow(DataError);
    await expect(run).rejects.toThrow("validation split: expected text to hide tokens of, got none");
  });
});

describe("a run", () => {
  async function trainMasked(name: string, pairs: boolean, changes: TinyChanges = {}) {
    const [directory, record] = [join(root, name), new EventRecord()];
    const run = tinyRun(directory, {
      objective: tinyMaskedLM({ pairs }),
      onEvent: record.record,
      ...changes,
    });
    const onEvent: typeof run.onEvent = (event) => {
      record.record(event);
      changes.onEvent?.(event);
    };
    return { result: await train({ ...run, onEvent }), record, directory };
  }

  const digest = ({ bestWeights }: TrainResult) => {
    const hash = createHash("sha256");
    for (const [path, { data }] of bestWeights) {
      hash.update(path).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    return hash.digest("hex");
  };

  test.each([false, true])(
    "cut off in the middle, resumed: the same bits as one that was not (pairs: %s)",
    async (pairs) => {
      const options = { steps: 30, accumulation: 2, saveEvery: 7 };
      const straight = await trainMasked("straight", pairs, { options });
      expect(straight.result.reason).toBe("finished");
      for (const [step, resume] of [
        [11, false],
        [17, true],
        [23, true],
      ] as const) {
        const cut = trainMasked("cut", pairs, {
          options,
          resume,
          onEvent: (event) => {
            if (event.type === "step" && event.step === step) throw new Error("crash");
          },
        });
        await expect(cut).rejects.toThrow("crash");
      }
      const resumed = await trainMasked("cut", pairs, { options, resume: true });
      expect(resumed.record.losses()).toEqual(
        straight.record.losses().slice(-resumed.record.losses().length),
      );
      expect(checkpointDigests(resumed.directory)).toEqual(checkpointDigests(straight.directory));
      expect(digest(resumed.result)).toBe(digest(straight.result));
      expect(resumed.result.best).toEqual(straight.result.best);
    },
  );

  test("learns, and says so in its own unit", async () => {
    const { result, record } = await trainMasked("run", false, { options: { steps: 40, batchSize: 8 } });
    const [first, last] = [record.of("validation")[0]!, record.of("validation").at(-1)!];
    expect(last.lossNats).toBeLessThan(first.lossNats);
    expect(last).toMatchObject({ type: "validation", step: 40, best: true });
    expect(Object.keys(result.best).sort()).toEqual(["lossNats", "maskedAccuracy", "standardError", "step"]);
    expect(record.of("start")[0]!.flopsPerStep).toBe(
      flopsOf(tinyMaskedLM(), { batchSize: 8, contextLength: 16 }),
    );
  });
});

test("an encoder without the heads that are trained is refused", () => {
  const config = bertConfig({
    ...{ width: 16, numLayers: 1, numHeads: 2 },
    ...{ vocabularySize: TINY_MASKING.size, contextLength: 16 },
  });
  const options = { vocabulary: TINY_MASKING, fraction: 0.15 };
  const build = (pairs: boolean, heads: ConstructorParameters<typeof Bert>[1]) => () =>
    new MaskedLM(new Bert(config, heads), { ...options, pairs });
  expect(build(false, {})).toThrow(ConfigError);
  expect(build(false, {})).toThrow("MaskedLM: expected an encoder with a masked-language head, got none.");
  expect(build(true, { maskedLanguage: "tied" })).toThrow("expected an encoder with a next-sentence head");
  expect(build(true, { maskedLanguage: "tied", pooler: true, nextSentence: true })).not.toThrow();
});
