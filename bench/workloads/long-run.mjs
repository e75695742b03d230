/**
 * Workload: a whole pretraining run of a small model, with validation, samples, checkpoints and metrics. When it is over,
 * says how much memory the process held after warming up and at the end. Arguments: directory, steps to warm up, steps.
 */
import { join } from "node:path";
import { Engine } from "../../dist/engine/engine.js";
import { pretrain } from "../../dist/recipes/pretrain.js";
import { readRecipe } from "../../dist/recipes/recipe.js";
import { median } from "../measure.mjs";
import { say } from "./serve.mjs";

/** Steps over which memory is averaged: between two collections of garbage it saws up and down. */
const WINDOW = 100;

const [directory, ...counts] = process.argv.slice(2);
const [warmUp, steps] = counts.map(Number);
const bytesByStep = [];

await pretrain({
  engine: new Engine({ threads: 2 }),
  recipe: readRecipe({
    tokenizer: { kind: "bpe", vocabularySize: 512 },
    model: { family: "gpt2", width: 64, numLayers: 2, numHeads: 2 },
    train: {
      steps: warmUp + steps,
      batchSize: 4,
      contextLength: 64,
      validateEvery: warmUp / 2,
      saveEvery: warmUp / 2,
      sampleEvery: warmUp / 2,
    },
  }),
  sources: [{ paths: [join(import.meta.dirname, "../../src/train")], weight: 1, textField: "text" }],
  directory,
  resume: false,
  machine: "",
  onEvent: ({ type }) => {
    if (type === "step") bytesByStep.push(process.memoryUsage.rss());
  },
});

say({
  beforeBytes: median(bytesByStep.slice(warmUp, warmUp + WINDOW)),
  afterBytes: median(bytesByStep.slice(-WINDOW)),
});
process.exit(0);
