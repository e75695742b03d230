/**
 * Workload: a training step that moves a LoRA of rank 8 on all linear layers, the base frozen; else as step.mjs, with the options and
 * the protocol of peers/README.md.
 */
import { AdaptedDecoder } from "../../dist/adapt/adapter.js";
import { Lora } from "../../dist/adapt/lora.js";
import { Random } from "../../dist/core/random.js";
import { Engine } from "../../dist/engine/engine.js";
import { gpt2Config } from "../../dist/models/gpt2/config.js";
import { Gpt2 } from "../../dist/models/gpt2/model.js";
import { initializeParameters } from "../../dist/nn/scope.js";
import { AdamW } from "../../dist/train/adamw.js";
import { GradientProgram } from "../../dist/train/gradient-program.js";
import { NextToken, nextTokenExamples } from "../../dist/train/next-token.js";
import { trainOptions } from "../../dist/train/options.js";
import { ParameterArena } from "../../dist/train/parameter-arena.js";
import { trainOnly } from "../../dist/train/train-only.js";
import { randomBatches, readOptions } from "../peers/protocol.mjs";
import { peakRssBytes, serve } from "./serve.mjs";

const WARM_UP_STEPS = 3;
const RANK = 8;

const options = readOptions();
const { layers, width, heads, context, batch, vocab, threads } = options;
const engine = new Engine({ threads });
const sizes = { width, numLayers: layers, numHeads: heads, vocabularySize: vocab, contextLength: context };
const base = new Gpt2(gpt2Config(sizes));
const lora = new Lora(base, { rank: RANK, alpha: 2 * RANK, targets: "all-linear" });
const frozen = initializeParameters(base.parameters, new Random(1));
const arena = new ParameterArena(lora.parameters);
for (const [path, { data }] of initializeParameters(lora.parameters, new Random(1))) {
  arena.weights().get(path).data.set(data);
}
const training = trainOptions({ batchSize: batch, contextLength: context });
const objective = trainOnly(new NextToken(new AdaptedDecoder(base, lora)), lora.parameters);
const gradients = new GradientProgram(engine, objective, arena, { ...training, frozen });
const optimizer = new AdamW(engine, arena, training);
const batches = randomBatches(options).map((one) => nextTokenExamples(one, training));
const flopsPerStep = objective.trainingFlops({ batchSize: batch, contextLength: context });
let stepsDone = 0;

async function timeSteps(count) {
  let loss = Number.NaN;
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    loss = await gradients.run([batches[stepsDone % batches.length]]);
    stepsDone += 1;
    await optimizer.update(stepsDone, training.learningRate, 1);
  }
  return { ms: (performance.now() - start) / count, loss, flopsPerStep };
}

await timeSteps(WARM_UP_STEPS);
await serve({ step: timeSteps, peak: () => ({ peakRssBytes: peakRssBytes() }) });
