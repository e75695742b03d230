/**
 * Workload: training steps of a model, and what they hold. `--model` is a directory, or `gpt2:layers,width,heads,vocabulary` or
 * `bert:…` (with a classifier of ten labels) for random weights; `--adapter lora` trains rank 8 on all linear layers and nothing else;
 * `--recompute 1`; `--state int8`; `--context 64,128`: batches of several lengths in turn; `--whole 1`: beside
 * the steps, what a run does along the way: it measures the loss, and lets a decoder write. `step N` and `peak` as the peers (peers/README.md); `memory` says the most memory held, how much of that came
 * on top of what lies there between steps, and how much was forecast.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { AdaptedDecoder, AdaptedEncoder } from "../../dist/adapt/adapter.js";
import { Lora } from "../../dist/adapt/lora.js";
import { Random } from "../../dist/core/random.js";
import { Engine } from "../../dist/engine/engine.js";
import { Decoder } from "../../dist/generate/decoder.js";
import { bertConfig } from "../../dist/models/bert/config.js";
import { Bert } from "../../dist/models/bert/model.js";
import { gpt2Config } from "../../dist/models/gpt2/config.js";
import { Gpt2 } from "../../dist/models/gpt2/model.js";
import { loadModel } from "../../dist/models/load-model.js";
import { initializeParameters } from "../../dist/nn/scope.js";
import { forecastTraining } from "../../dist/plan/training-forecast.js";
import { input } from "../../dist/tensor/tensor.js";
import { AdamW } from "../../dist/train/adamw.js";
import { flopsOf } from "../../dist/train/flops.js";
import { GradientProgram } from "../../dist/train/gradient-program.js";
import { NextToken, nextTokenExamples } from "../../dist/train/next-token.js";
import { trainOptions } from "../../dist/train/options.js";
import { ParameterArena } from "../../dist/train/parameter-arena.js";
import { cutExamples } from "../../dist/train/slices.js";
import { trainOnly } from "../../dist/train/train-only.js";
import { bindWeights, compileOver } from "../../dist/train/weighted-program.js";
import { randomBatches, seededRandom } from "../peers/protocol.mjs";
import { peakRssBytes, serve } from "./serve.mjs";

const NUM_LABELS = 10;
const RANK = 8;

const { values: given } = parseArgs({
  options: Object.fromEntries(
    ["model", "adapter", "recompute", "context", "batch", "threads", "state", "whole"].map((name) => [
      name,
      { type: "string" },
    ]),
  ),
});
const { model: name, adapter } = given;
const lengths = (given.context ?? "256").split(",").map(Number);
const training = trainOptions({
  contextLength: Math.max(...lengths),
  batchSize: Number(given.batch ?? 1),
  recompute: given.recompute === "1",
  optimizerState: given.state ?? "float32",
});
const engine = new Engine({ threads: Number(given.threads ?? 2) });

function openModel() {
  const [family, sizes] = name.split(":");
  if (sizes === undefined) return loadModel(name);
  const [numLayers, width, numHeads, vocabularySize] = sizes.split(",").map(Number);
  const shape = { numLayers, width, numHeads, vocabularySize, contextLength: training.contextLength };
  const labels = Array.from({ length: NUM_LABELS }, (_, i) => `${i}`);
  const head = { pooler: true, sequenceClassifier: { labels, problem: "single-label" } };
  const model = family === "gpt2" ? new Gpt2(gpt2Config(shape)) : new Bert(bertConfig(shape), head);
  return { model };
}

/** An encoder's classifier as an objective. */
function classification(model) {
  return {
    model,
    losses: ({ batchSize: B, contextLength: T }) => {
      const ids = (of) => input(of, "int32", [B, T]);
      const hidden = model.hidden({ tokens: ids("tokens"), segments: ids("segments"), mask: ids("mask") });
      const scores = model.heads.sequenceClassifier.logits(hidden);
      return { label: scores.crossEntropy(input("labels", "int32", [B])) };
    },
  };
}

function classificationBatches({ batchSize: B, contextLength: T }) {
  const random = seededRandom(2);
  const ids = (value) => ({ dtype: "int32", shape: [B, T], data: new Int32Array(B * T).fill(value) });
  const labels = { dtype: "int32", shape: [B], data: random.integers(B, NUM_LABELS) };
  const inputs = { tokens: ids(5), segments: ids(0), mask: ids(1), labels };
  return [{ inputs, numTargets: { label: new Int32Array(B).fill(1) }, contextLength: T }];
}

function languageBatches(shape) {
  const { batchSize: batch, contextLength: context } = shape;
  const batches = randomBatches({ batches: 4, batch, context, vocab: base.shape.vocabularySize });
  return batches.map((one) => nextTokenExamples(one, shape));
}

const opened = openModel();
const base = opened.model;
const lora =
  adapter === "lora" ? new Lora(base, { rank: RANK, alpha: 16, targets: "all-linear" }) : undefined;
const isEncoder = base.heads !== undefined;
const Adapted = isEncoder ? AdaptedEncoder : AdaptedDecoder;
const model = lora ? new Adapted(base, lora) : base;
const whole = isEncoder ? classification(model) : new NextToken(model);
const objective = lora ? trainOnly(whole, lora.parameters) : whole;
const arena = new ParameterArena(objective.model.parameters, training.optimizerState);
for (const [path, { data }] of initializeParameters(objective.model.parameters, new Random(1))) {
  arena.weights().get(path).data.set(data);
}
const frozen = lora && (opened.weights ?? initializeParameters(base.parameters, new Random(1)));
const gradients = new GradientProgram(engine, objective, arena, { ...training, ...(frozen && { frozen }) });
const optimizer = new AdamW(engine, arena, training);
const shapes = lengths.map((contextLength) => ({ batchSize: training.batchSize, contextLength }));
const batchesOf = shapes.map(isEncoder ? classificationBatches : languageBatches);
const batches = batchesOf[0].flatMap((_, i) => batchesOf.map((ofShape) => ofShape[i]));
const flopsPerStep = flopsOf(objective, training);

gradients.prepare(batches);
for (const block of arena.blocks) arena.block("gradients", block).data.fill(0);
await optimizer.update(1, 0, 0); // everything that lasts is there now
globalThis.gc?.();
const restingBytes = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;

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

/** Loss programs of all shapes, which stay, and a decoder that comes and goes. */
async function lookAround() {
  const weights = new Map([...(frozen ?? []), ...arena.weights()]);
  for (const [first] of batchesOf) {
    const [{ shape: slice, inputs }] = cutExamples(first, objective.model);
    const program = compileOver(engine, "validation", whole.losses(slice, 0), weights);
    bindWeights(program, weights);
    await program.run(inputs);
  }
  if (isEncoder) return;
  const decoder = new Decoder(engine, model, weights);
  await decoder.prefill(batches[0].inputs.tokens.data.subarray(0, 32));
  decoder.dispose();
}

/** The most memory held is read first: a forecast takes some. */
function memory() {
  const peak = peakRssBytes();
  const writer = given.whole === "1" && !isEncoder ? model : undefined;
  const request = { objective, options: training, shapes, writer, ...(frozen && { frozen }) };
  const forecastBytes = forecastTraining(request).totalBytes;
  return { peakRssBytes: peak, stepBytes: peak - restingBytes, forecastBytes };
}

await timeSteps(3 * lengths.length);
if (given.whole === "1") await lookAround();
await serve({ step: timeSteps, memory, peak: () => ({ peakRssBytes: peakRssBytes() }) });
