/**
 * Workload: our side of the training step that peers/README.md describes, made of the parts the trainer is made of, in the
 * same way. `step N` and `peak` as the peers; also `rate N`, a 1024³ product's rate in GFLOP/s over N runs on the same threads.
 */
import { Random } from "../../dist/core/random.js";
import { Engine } from "../../dist/engine/engine.js";
import { gpt2Config } from "../../dist/models/gpt2/config.js";
import { Gpt2 } from "../../dist/models/gpt2/model.js";
import { initializeParameters } from "../../dist/nn/scope.js";
import { AdamW } from "../../dist/train/adamw.js";
import { trainingFlops } from "../../dist/train/flops.js";
import { GradientProgram } from "../../dist/train/gradient-program.js";
import { NextToken, nextTokenExamples } from "../../dist/train/next-token.js";
import { trainOptions } from "../../dist/train/options.js";
import { ParameterArena } from "../../dist/train/parameter-arena.js";
import { randomBatches, readOptions } from "../peers/protocol.mjs";
import { createProduct } from "./product.mjs";
import { peakRssBytes, serve } from "./serve.mjs";

const WARM_UP_STEPS = 3;

const options = readOptions();
const { layers, width, heads, context, batch, vocab, threads } = options;
const engine = new Engine({ threads });
const sizes = { width, numLayers: layers, numHeads: heads, vocabularySize: vocab, contextLength: context };
const model = new Gpt2(gpt2Config(sizes));
const arena = new ParameterArena(model.parameters);
for (const [path, { data }] of initializeParameters(model.parameters, new Random(1))) {
  arena.weights().get(path).data.set(data);
}
const training = trainOptions({ batchSize: batch, contextLength: context });
const gradients = new GradientProgram(engine, new NextToken(model), arena, training);
const optimizer = new AdamW(engine, arena, training);
const batches = randomBatches(options).map((one) => nextTokenExamples(one, training));
const product = createProduct(engine);
const flopsPerStep = trainingFlops(model, training);
let stepsDone = 0;

/** Gradients and update; no norm and no clipping, which the peers do not do either. */
async function step() {
  const loss = await gradients.run([batches[stepsDone % batches.length]]);
  stepsDone += 1;
  await optimizer.update(stepsDone, training.learningRate, 1);
  return loss;
}

async function timeSteps(count) {
  let loss = Number.NaN;
  const start = performance.now();
  for (let i = 0; i < count; i++) loss = await step();
  return { ms: (performance.now() - start) / count, loss, flopsPerStep };
}

await timeSteps(WARM_UP_STEPS);
await serve({
  step: timeSteps,
  rate: async (count) => ({ gflops: await product(count) }),
  peak: () => ({ peakRssBytes: peakRssBytes() }),
});
