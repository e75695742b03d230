/** What a pretrained base saves: LoRA on it against the same network trained from scratch on the same examples. */

import { instructionRow } from "../../dist/adapt/instruction-row.js";
import { Lora } from "../../dist/adapt/lora.js";
import { Engine } from "../../dist/engine/engine.js";
import { readWeights } from "../../dist/engine/stored-tensor.js";
import { loadModel } from "../../dist/models/load-model.js";
import { compareRivals } from "../../dist/recipes/rivals.js";
import { trainOptions } from "../../dist/train/options.js";
import { readTask, shuffled, TASK_NAMES } from "../adaptation-tasks.mjs";
import { decoderBase } from "../bases.mjs";
import { inform, judge, skip } from "../row.mjs";

export const summary =
  "LoRA on a base pretrained here against training from scratch, six tasks, 32 to 2,000 examples (an hour or two)";

/** Rank 4 on all linear layers of the base is a fiftieth of it. */
const LORA = { rank: 4, alpha: 8, targets: "all-linear" };
const CONTEXT = 248;
const HELD_OUT = 120;
const SEED = 1;

/** Steps are the most; either side stops when it no longer improves. Each rate is the best of three tried on gsm8k with 32 examples. */
const SIZES = [
  { examples: 32, batch: 4, adapted: { steps: 40, rate: 1e-2 }, scratch: { steps: 120, rate: 1.5e-3 } },
  { examples: 128, batch: 4, adapted: { steps: 80, rate: 1e-2 }, scratch: { steps: 300, rate: 1.5e-3 } },
  { examples: 512, batch: 8, adapted: { steps: 150, rate: 5e-3 }, scratch: { steps: 500, rate: 1.5e-3 } },
  { examples: 2000, batch: 8, adapted: { steps: 300, rate: 5e-3 }, scratch: { steps: 900, rate: 1.5e-3 } },
];

const MIN_FLOPS_RATIO = 10;
const MIN_PARAMETER_RATIO = 50;
const MIN_TASKS = 3;

export async function* measure({ trial, log }) {
  const { missing } = readTask(TASK_NAMES[0]);
  const verdict = { name: "saving/tasks", unit: "tasks", rule: ["value", "≥", MIN_TASKS] };
  if (missing) {
    yield skip({ ...verdict, skipped: `${missing} is not here` });
    return;
  }
  const wanted = (process.env.PLINTH_BENCH_TASKS ?? TASK_NAMES.join()).split(",");
  const loaded = loadModel(await decoderBase(log));
  const engine = new Engine({ threads: 2 });
  const base = { ...loaded, weights: readWeights(loaded.weights) };
  const saved = new Set();
  for (const size of trial ? SIZES.slice(0, 1) : SIZES) {
    for (const task of wanted) {
      const result = await compare(engine, base, task, size);
      const { flops = 0, trainedParameters } = result.saving;
      if (flops >= MIN_FLOPS_RATIO && trainedParameters >= MIN_PARAMETER_RATIO) saved.add(task);
      const row = describe(task, size, result);
      log(`${row.name}: ${row.value?.toFixed(1) ?? "—"} ${row.unit}; ${row.note}`);
      yield row;
    }
  }
  yield judge({ ...verdict, value: saved.size, note: [...saved].join(", ") });
}

async function compare(engine, { model, weights, tokenizer }, task, { examples, batch, adapted, scratch }) {
  const sides = readTask(task);
  const encode = (side, count) =>
    shuffled(side, SEED)
      .slice(0, 3 * count) // enough even where every other example is too long
      .map((example) => instructionRow(tokenizer, example))
      .filter(({ tokens }) => tokens.length <= CONTEXT)
      .slice(0, count);
  const train = ({ steps, rate }, checks) =>
    trainOptions({
      ...{ steps, batchSize: batch, contextLength: CONTEXT, learningRate: rate, warmupSteps: 5 },
      ...{ weightDecay: 0.01, patience: 4, validateEvery: Math.ceil(steps / checks), seed: SEED },
      ...{ saveEvery: 2 ** 30, sampleEvery: 2 ** 30 },
    });
  const rows = encode(sides.train, examples);
  const heldOut = encode(sides.heldOut, HELD_OUT);
  const result = await compareRivals({
    ...{ engine, base: model, weights, adapter: new Lora(model, LORA), rows, heldOut },
    ...{ metric: "token accuracy", adapted: train(adapted, 20), scratch: train(scratch, 15) },
  });
  return { ...result, numRows: rows.length, numHeldOut: heldOut.length };
}

function describe(task, { examples }, { adapted, scratch, saving, numRows }) {
  const nats = ({ lossNats, step }) => `${lossNats.toFixed(3)} at step ${step}`;
  const reached = saving.reached
    ? `reached at step ${saving.reached.step}, ${saving.seconds.toFixed(1)}× less time`
    : "not reached";
  const right = ({ best }) => `${(100 * best.value).toFixed(1)} %`;
  return inform({
    name: `saving/${task}/${Math.min(examples, numRows)}`,
    value: saving.flops ?? null,
    unit: "× fewer FLOPs",
    note:
      `nats/token: base ${adapted.curve[0].lossNats.toFixed(3)}, LoRA ${nats(adapted.best)}, scratch ${nats(scratch.best)} (${reached}); ` +
      `tokens right ${right(adapted)} against ${right(scratch)}; ` +
      `${saving.trainedParameters.toFixed(0)}× fewer parameters; ${(adapted.best.flops / 1e12).toFixed(2)} and ${(scratch.best.flops / 1e12).toFixed(2)} TFLOP`,
  });
}
