import { expect, test } from "vitest";
import { engine } from "../../test/tiny-run.ts";
import { Lora } from "../adapt/lora.ts";
import type { TrainingRow } from "../adapt/training-row.ts";
import { Random } from "../core/random.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { trainOptions } from "../train/options.ts";
import { compareRivals } from "./rivals.ts";

/** Letters, a separator, and the last letter's opposite. */
function taskRows(count: number, seed: number): TrainingRow[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const letters = Array.from({ length: 1 + random.integer(5) }, () => random.integer(20));
    const tokens = Int32Array.from([...letters, 20, 19 - letters.at(-1)!, 21]);
    return { tokens, learnt: Uint8Array.from(tokens, (_, i) => Number(i > letters.length)) };
  });
}

test("a base that knows the task gets there for less than the same network from scratch, and the bill says so", async () => {
  const base = new Gpt2(
    gpt2Config({ width: 32, numLayers: 2, numHeads: 2, vocabularySize: 24, contextLength: 32 }),
  );
  const adapter = new Lora(base, { rank: 2, alpha: 4, targets: "all-linear" });
  const weights = initializeParameters(base.parameters, new Random(1));
  const train = trainOptions({
    ...{ steps: 80, batchSize: 8, contextLength: 32, learningRate: 1e-2, warmupSteps: 5, validateEvery: 10 },
    ...{ saveEvery: 1000, sampleEvery: 1000 },
  });
  const shared = { engine, base, adapter, rows: taskRows(200, 2), heldOut: taskRows(60, 3), scratch: train };
  const first = await compareRivals({ ...shared, weights, adapted: { ...train, steps: 10 } });
  expect(first.scratch.best.lossNats).toBeLessThan(first.adapted.best.lossNats);
  expect(first.saving.reached).toBeUndefined();

  const knowing = first.scratch.bestWeights;
  const second = await compareRivals({
    ...{ ...shared, weights: knowing, metric: "exact match" as const },
    ...{
      adapted: { ...train, steps: 20, validateEvery: 5 },
      full: { ...train, steps: 10, validateEvery: 5 },
    },
  });
  const { adapted, full, scratch, saving } = second;
  expect(full!.curve[0]).toEqual(adapted.curve[0]);
  expect(full!.curve.map(({ step }) => step)).toEqual([0, 5, 10]);
  expect(full!.trainedParameters).toBe(scratch.trainedParameters);
  expect(first.full).toBeUndefined();
  expect(adapted.curve[0]).toMatchObject({ step: 0, flops: 0, seconds: 0 });
  expect(adapted.curve[0]!.lossNats).toBeCloseTo(first.scratch.best.lossNats, 4);
  expect(adapted.curve.map(({ step }) => step)).toEqual([0, 5, 10, 15, 20]);
  expect(saving.reached!.lossNats).toBeLessThanOrEqual(scratch.best.lossNats);
  expect(saving.flops!).toBeGreaterThan(5);
  expect(saving.trainedParameters).toBeCloseTo(scratch.trainedParameters / adapted.trainedParameters, 9);
  expect(adapted.trainedParameters).toBe(2 * 2 * (32 + 96 + 32 + 32 + 32 + 128 + 128 + 32));
  expect(adapted.bytes).toBe(4 * adapted.trainedParameters);
  expect(adapted.best.value).toBeGreaterThanOrEqual(0); // exact match is a share, not a loss
  expect(adapted.best.value).toBeLessThanOrEqual(1);
});
