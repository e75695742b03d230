import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  engine,
  TINY_END_OF_TEXT,
  TINY_VOCABULARY,
  tinyRun,
  tinyTokens,
  writeDataset,
} from "../../test/tiny-run.ts";
import { Random } from "../core/random.ts";
import type { Weights } from "../core/weights.ts";
import { SafetensorsFile } from "../hub/safetensors.ts";
import { loadModel } from "../models/load-model.ts";
import { mistralConfig } from "../models/mistral/config.ts";
import { Mistral } from "../models/mistral/model.ts";
import { saveModel } from "../models/save-model.ts";
import { NextToken, nextTokenStream } from "../train/next-token.ts";
import type { Objective } from "../train/objective.ts";
import { trainOnly } from "../train/train-only.ts";
import { train } from "../train/trainer.ts";
import { Validation } from "../train/validation.ts";
import { AdaptedDecoder, firstAdapterWeights } from "./adapter.ts";
import { Lora } from "./lora.ts";

// Pretraining that goes on: a base that knows one kind of text is loaded from its directory, and LoRA on it learns another.

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-continued-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Text in which other tokens follow one another than in {@link tinyTokens}. */
const newTokens = (count: number, seed: number) =>
  tinyTokens(count, seed).map((token) =>
    token === TINY_END_OF_TEXT ? token : (token * 9 + 4) % TINY_END_OF_TEXT,
  );

const options = { batchSize: 4, contextLength: 16, learningRate: 5e-3, validateEvery: 100, saveEvery: 1000 };

/** One run on text, with its held-out part, from these weights. */
async function learn(
  name: string,
  model: Mistral | AdaptedDecoder,
  objective: Objective,
  tokens: typeof tinyTokens,
  start: Weights | undefined,
  frozen: Weights,
) {
  const directory = join(root, name);
  const dataset = writeDataset(join(directory, "data"), "train.bin", tokens(6000, 11));
  const heldOut = {
    datasets: [writeDataset(join(directory, "data"), "held-out.bin", tokens(600, 12))],
    bytes: 600,
    endOfTextId: TINY_END_OF_TEXT,
  };
  const validation = (weights: Weights) => new Validation(engine, model, weights, options, heldOut);
  const before = start && validation(new Map([...frozen, ...start]));
  const first = await before?.run();
  before?.dispose();
  const result = await train(
    tinyRun(directory, {
      objective,
      frozen,
      ...(start && { initialWeights: start }),
      examples: nextTokenStream({ ...options, seed: 1, datasets: [{ dataset, weight: 1 }] }),
      measure: (arena) => validation(new Map([...frozen, ...arena.weights()])),
      options: { ...options, steps: 200 },
    }),
  );
  return { before: first?.lossNats, after: result.best.lossNats, weights: result.bestWeights };
}

test("LoRA on a loaded base lowers the loss of text that is new to it, and leaves the base as it is", {
  timeout: 60_000,
}, async () => {
  const sizes = { width: 16, numLayers: 1, numHeads: 2, numKeyValueHeads: 1, contextLength: 16 };
  const fresh = new Mistral(mistralConfig({ ...sizes, vocabularySize: TINY_VOCABULARY }));
  const { weights } = await learn("base", fresh, new NextToken(fresh), tinyTokens, undefined, new Map());
  const directory = join(root, "model");
  saveModel(directory, { model: fresh, weights, tokenizer: undefined, card: "" });

  const base = loadModel(directory);
  const lora = new Lora(base.model, { rank: 4, alpha: 8, targets: "all-linear" });
  const adapted = new AdaptedDecoder(base.model, lora);
  const start = firstAdapterWeights(lora, base.weights, new Random(2));
  const objective = trainOnly(new NextToken(adapted), lora.parameters);
  const { before, after } = await learn("continued", adapted, objective, newTokens, start, base.weights);
  expect(before).toBeGreaterThan(2);
  expect(after).toBeLessThan(before! - 0.5);
  const file = SafetensorsFile.open(join(directory, "model.safetensors"));
  for (const [path, { data }] of weights) expect(file.read(path).data, path).toEqual(data);
  file.close();
});
