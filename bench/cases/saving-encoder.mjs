/** What a pretrained encoder is worth: adapted to two tasks, against the same network from scratch on the same examples. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "../../dist/core/random.js";
import { Engine } from "../../dist/engine/engine.js";
import { loadEncoder } from "../../dist/models/load-model.js";
import { saveEncoder } from "../../dist/models/save-model.js";
import { initializeParameters } from "../../dist/nn/scope.js";
import { EncoderModel } from "../../dist/pipelines/encoder-model.js";
import { evaluateTask } from "../../dist/pipelines/evaluation/evaluate-task.js";
import { adapt } from "../../dist/recipes/adapt/adapt.js";
import { missingData, readTask } from "../adaptation-tasks.mjs";
import { encoderBase } from "../bases.mjs";
import { describeScores } from "../describe-scores.mjs";
import { inform, skip } from "../row.mjs";

export const summary =
  "an encoder pretrained here, adapted to intents and to questions, against training from scratch, beside baselines (half an hour)";

const NUM_JUDGED = 300;

/** What `plinth adapt` calls the task, how a row of the data is an example of it, and how long texts may be. */
const TASKS = {
  banking77: {
    task: "classify",
    rowOf: ({ row: { values } }) => ({ text: values.text, label: values.category }),
    contextLength: 96,
    sizes: [128, 512, 2000, 8000],
  },
  xquad: {
    task: "answer",
    rowOf: ({ row: { values } }) => values,
    contextLength: 128,
    sizes: [128, 800],
  },
};

/** Method, whether it begins with the base, and the rate. */
const RIVALS = {
  LoRA: { method: "lora", isPretrained: true, learningRate: 3e-3 },
  head: { method: "head", isPretrained: true, learningRate: 3e-3 },
  full: { method: "full", isPretrained: true, learningRate: 5e-4 },
  scratch: { method: "full", isPretrained: false, learningRate: 5e-4 },
};
const EPOCHS = { least: 150, most: 1500, each: 12 };
const BATCH = 16;

export async function* measure({ trial, log }) {
  const missing = missingData();
  if (missing) {
    yield skip({ name: "saving-encoder", unit: "", skipped: missing });
    return;
  }
  const root = mkdtempSync(join(tmpdir(), "plinth-bench-encoder-"));
  try {
    const bases = { pretrained: await encoderBase(log), random: join(root, "random") };
    saveRandom(bases);
    const wanted = process.env.PLINTH_BENCH_TASKS?.split(",") ?? Object.keys(TASKS);
    for (const name of wanted) {
      for (const size of TASKS[name].sizes.slice(0, trial ? 1 : undefined)) {
        for (const row of await compare(root, bases, name, size)) {
          log(`${row.name}: ${row.value?.toFixed(3) ?? "—"} ${row.unit}; ${row.note}`);
          yield row;
        }
      }
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** The base's network with the weights that it began with. */
function saveRandom({ pretrained, random }) {
  const { model, tokenizer } = loadEncoder(pretrained);
  const weights = initializeParameters(model.parameters, new Random(1));
  saveEncoder(random, { model, weights, tokenizer, card: "# Not trained\n" });
}

async function compare(root, bases, name, size) {
  const { task: adaptTask, rowOf, contextLength } = TASKS[name];
  const { task, training, evaluation } = await readTask(name, { numJudged: NUM_JUDGED, seed: 1 });
  const examples = { training: training.slice(0, size), evaluation };
  const data = join(root, `${name}-${size}`);
  // A label that was never seen cannot be learnt, and has no loss; it is judged all the same.
  const seen = new Set(examples.training.map(({ expected }) => expected[0]));
  const isSeen = ({ expected }) => task.method !== "choice" || seen.has(expected[0]);
  const sides = { training: examples.training, validation: evaluation.filter(isSeen) };
  const paths = Object.fromEntries(
    Object.entries(sides).map(([side, rows]) => {
      const path = `${data}-${side}.jsonl`;
      writeFileSync(path, rows.map((row) => `${JSON.stringify(rowOf(row))}\n`).join(""));
      return [side, path];
    }),
  );
  const steps = Math.min(EPOCHS.most, Math.max(EPOCHS.least, Math.ceil((EPOCHS.each * size) / BATCH)));
  const systems = [];
  for (const [rival, { method, isPretrained, learningRate }] of Object.entries(RIVALS)) {
    const engine = new Engine({ threads: 2 });
    const base = isPretrained ? bases.pretrained : bases.random;
    const directory = `${data}-${rival}`;
    const curve = [];
    const spent = { flops: 0, seconds: 0 };
    const { resultDirectory, trainedParameters } = await adapt({
      ...{ engine, base, directory, method, task: adaptTask },
      data: { training: { paths: [paths.training] }, validation: { paths: [paths.validation] } },
      settings: {
        data: { longRows: "truncate" },
        train: {
          ...{ steps, batchSize: BATCH, contextLength, learningRate, patience: 4 },
          ...{ validateEvery: Math.ceil(steps / 12), saveEvery: steps, sampleEvery: steps },
        },
      },
      onEvent: (event) => {
        if (event.type === "step") {
          spent.flops += event.gflopPerSecond * event.stepMs * 1e6;
          spent.seconds += event.stepMs / 1000;
        }
        if (event.type === "validation") curve.push({ lossNats: event.lossNats, step: event.step, ...spent });
      },
    });
    const model = EncoderModel.load(method === "full" || method === "head" ? resultDirectory : base, {
      engine,
    });
    if (method === "lora") {
      model.addAdapter("task", resultDirectory);
      model.useAdapter("task");
    }
    const result = await evaluateTask(task, model, { examples, truncate: true });
    model.dispose();
    systems.push({
      name: rival,
      scores: result.scores,
      baselines: result.baselines,
      curve,
      trainedParameters,
    });
  }
  return describe(`${name}/${examples.training.length}`, systems);
}

/** A row for what was saved, and one for each metric. */
function describe(name, systems) {
  const bestOf = ({ curve }) =>
    curve.reduce((best, point) => (point.lossNats < best.lossNats ? point : best));
  const [adapted] = systems;
  const scratch = systems.at(-1);
  const best = bestOf(scratch);
  const reached = adapted.curve.find(({ lossNats }) => lossNats <= best.lossNats);
  const of = (system) => {
    const { lossNats, step, flops } = bestOf(system);
    return `${system.name} ${lossNats.toFixed(3)} (step ${step}, ${(flops / 1e12).toFixed(2)} TFLOP, ${system.trainedParameters} trained)`;
  };
  return [
    inform({
      name: `saving-encoder/${name}`,
      value: reached ? best.flops / reached.flops : null,
      unit: "× fewer FLOPs",
      note: `loss: ${systems.map(of).join(", ")}; ${reached ? `${(best.seconds / reached.seconds).toFixed(1)}× in time` : "LoRA does not reach it"}`,
    }),
    ...Object.entries(adapted.scores).map(([metric, score]) =>
      inform({
        ...{ name: `saving-encoder/${name}/${metric}`, value: score.value, unit: "" },
        note: describeScores(metric, [...systems, ...adapted.baselines]),
      }),
    ),
  ];
}
