/** What a pretrained decoder saves: LoRA on it against the same network trained from scratch on the same examples. */

import { AdaptedDecoder } from "../../dist/adapt/adapter.js";
import { instructionRow } from "../../dist/adapt/instruction-row.js";
import { Lora } from "../../dist/adapt/lora.js";
import { Engine } from "../../dist/engine/engine.js";
import { readWeights } from "../../dist/engine/stored-tensor.js";
import { loadModel } from "../../dist/models/load-model.js";
import { evaluateTask } from "../../dist/pipelines/evaluation/evaluate-task.js";
import { LanguageModel } from "../../dist/pipelines/language-model.js";
import { compareRivals } from "../../dist/recipes/rivals.js";
import { trainOptions } from "../../dist/train/options.js";
import { DECODER_TASKS, missingData, readTask } from "../adaptation-tasks.mjs";
import { decoderBase } from "../bases.mjs";
import { describeScores } from "../describe-scores.mjs";
import { inform, judge, skip } from "../row.mjs";

export const summary =
  "LoRA on a decoder pretrained here against training from scratch: six tasks, 32 to 2,000 examples, answers beside baselines (2 hours)";

/** Rank 4 on all linear layers of the base is a fiftieth of it. */
const LORA = { rank: 4, alpha: 8, targets: "all-linear" };
/** Held-out examples whose loss is followed, and those that are answered at the end. */
const NUM_FOLLOWED = 100;
const NUM_JUDGED = 200;

/**
 * Steps of each rival, which are the most; LoRA's loss is looked at `checks` times, which is how finely the step can be known at which it got there.
 * Rates at 32 are the best of three tried on gsm8k.
 */
const SIZES = [
  { examples: 32, seeds: 3, batch: 4, checks: 60, adapted: 60, full: 60, scratch: 120, fullRate: 1e-3 },
  { examples: 128, seeds: 1, batch: 4, checks: 30, adapted: 150, full: 150, scratch: 300, fullRate: 1e-3 },
  { examples: 512, seeds: 1, batch: 8, checks: 30, adapted: 500, full: 400, scratch: 500, fullRate: 1.5e-3 },
  { examples: 2000, seeds: 1, batch: 8, checks: 30, adapted: 900, full: 600, scratch: 900, fullRate: 1.5e-3 },
];
const RATES = { adapted: 1e-2, scratch: 1.5e-3 };
/** How often the others' is, and the share of checks without gain that ends a run. */
const CHECKS = 10;
const PATIENCE = 0.4;

const MIN_FLOPS_RATIO = 10;
const MIN_PARAMETER_RATIO = 50;
const MIN_TASKS = 3;

export async function* measure({ trial, log }) {
  const verdict = { name: "saving/tasks", unit: "tasks", rule: ["value", "≥", MIN_TASKS] };
  const missing = missingData();
  if (missing) {
    yield skip({ ...verdict, skipped: missing });
    return;
  }
  const wanted = process.env.PLINTH_BENCH_TASKS?.split(",") ?? DECODER_TASKS;
  const sizes = process.env.PLINTH_BENCH_SIZES?.split(",").map(Number);
  const loaded = loadModel(await decoderBase(log));
  const engine = new Engine({ threads: 2 });
  const base = { ...loaded, weights: readWeights(loaded.weights) };
  const saved = new Set();
  const chosen = SIZES.filter(({ examples }) =>
    trial ? examples === 32 : (sizes?.includes(examples) ?? true),
  );
  for (const size of chosen) {
    for (const task of wanted) {
      const found = [];
      for (let seed = 1; seed <= size.seeds; seed++)
        found.push(await compare(engine, base, task, size, seed));
      if (found.every(({ saving }) => isSaving(saving))) saved.add(task);
      for (const row of [describeSaving(task, found), ...describeQuality(task, found[0])]) {
        log(`${row.name}: ${row.value?.toFixed(3) ?? "—"} ${row.unit}; ${row.note}`);
        yield row;
      }
    }
  }
  yield judge({ ...verdict, value: saved.size, note: [...saved].join(", ") });
}

const isSaving = ({ flops = 0, trainedParameters }) =>
  flops >= MIN_FLOPS_RATIO && trainedParameters >= MIN_PARAMETER_RATIO;

/** All rivals on one draw of examples. The first draw's are judged by their answers, too, and only there all of the base is trained. */
async function compare(engine, base, name, { examples, batch, checks, fullRate, ...steps }, seed) {
  const { model, weights, tokenizer } = base;
  const { contextLength } = model.shape;
  const { task, training, evaluation } = await readTask(name, { numJudged: NUM_JUDGED, seed });
  const encode = ({ prompt, answer }) => instructionRow(tokenizer, { prompt, completion: answer });
  const fits = (example) => encode(example).tokens.length <= contextLength;
  const learnt = [];
  for (const example of training) if (learnt.length < examples && fits(example)) learnt.push(example);
  const train = (rival) => {
    const learningRate = { ...RATES, full: fullRate }[rival];
    const times = rival === "adapted" ? checks : CHECKS;
    return trainOptions({
      steps: steps[rival],
      batchSize: batch,
      contextLength,
      learningRate,
      warmupSteps: 5,
      weightDecay: 0.01,
      patience: Math.ceil(PATIENCE * times),
      validateEvery: Math.ceil(steps[rival] / times),
      seed,
      ...{ saveEvery: 2 ** 30, sampleEvery: 2 ** 30 },
    });
  };
  const adapter = new Lora(model, LORA);
  const rivalry = await compareRivals({
    ...{ engine, base: model, weights, adapter, metric: "token accuracy" },
    rows: learnt.map(encode),
    heldOut: evaluation.filter(fits).slice(0, NUM_FOLLOWED).map(encode),
    ...{ adapted: train("adapted"), scratch: train("scratch"), ...(seed === 1 && { full: train("full") }) },
  });
  if (seed > 1) return { ...rivalry, numLearnt: learnt.length };
  const judged = [
    ["base", model, weights],
    ["LoRA", new AdaptedDecoder(model, adapter), over(weights, rivalry.adapted.bestWeights)],
    ["full", model, rivalry.full.bestWeights],
    ["scratch", model, rivalry.scratch.bestWeights],
  ];
  const answers = [];
  for (const [title, of, values] of judged) {
    const language = new LanguageModel({ ...base, model: of, weights: values }, { engine });
    const result = await evaluateTask(task, language, { examples: { training: learnt, evaluation } });
    language.dispose();
    answers.push({ title, result });
  }
  return { ...rivalry, numLearnt: learnt.length, answers };
}

const over = (weights, more) => new Map([...weights, ...more]);

/** The saving: the middle one of several draws, and all of them. */
function describeSaving(task, found) {
  const ratios = found.map(({ saving }) => saving.flops ?? 0).sort((a, b) => a - b);
  const middle = ratios[Math.floor(ratios.length / 2)];
  const [{ adapted, full, scratch, saving, numLearnt }] = found;
  const nats = ({ best }) =>
    `${best.lossNats.toFixed(3)} (step ${best.step}, ${(best.flops / 1e12).toFixed(2)} TFLOP)`;
  const reached = ({ saving: { reached, flops, seconds } }) =>
    reached ? `${flops.toFixed(1)}× at step ${reached.step}, ${seconds.toFixed(1)}× in time` : "not reached";
  return inform({
    name: `saving/${task}/${numLearnt}`,
    value: middle > 0 ? middle : null,
    unit: "× fewer FLOPs",
    note:
      `nats/token: base ${adapted.curve[0].lossNats.toFixed(3)}, LoRA ${nats(adapted)}, all of it ${nats(full)}, scratch ${nats(scratch)}; ` +
      `${found.map(reached).join("; ")}; ${saving.trainedParameters.toFixed(0)}× fewer parameters`,
  });
}

/** A row for each metric of the task: LoRA's, and beside it everybody else's. */
function describeQuality(task, { answers, numLearnt }) {
  const [, { result: adapted }] = answers;
  const others = [
    ...answers.map(({ title, result }) => ({ name: title, scores: result.scores })),
    ...adapted.baselines,
  ];
  return Object.entries(adapted.scores).map(([metric, score]) =>
    inform({
      ...{ name: `saving/${task}/${numLearnt}/${metric}`, value: score.value, unit: "" },
      note: describeScores(metric, others),
    }),
  );
}
