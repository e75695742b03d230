/** What a pretrained decoder knows of grammar before it is adapted to anything: minimal pairs, beside counting and a network that was not trained. */
import { Random } from "../../dist/core/random.js";
import { Engine } from "../../dist/engine/engine.js";
import { findTask } from "../../dist/eval/tasks/task.js";
import { loadModel } from "../../dist/models/load-model.js";
import { initializeParameters } from "../../dist/nn/scope.js";
import { evaluateTask } from "../../dist/pipelines/evaluation/evaluate-task.js";
import { LanguageModel } from "../../dist/pipelines/language-model.js";
import { missingData } from "../adaptation-tasks.mjs";
import { baseText, decoderBase } from "../bases.mjs";
import { SHARED_DATA } from "../corpus.mjs";
import { describeScores } from "../describe-scores.mjs";
import { inform, skip } from "../row.mjs";

export const summary =
  "blimp's pairs of sentences: a decoder pretrained here, the same network untrained, n-grams of the same text (minutes)";

export async function* measure({ trial, log }) {
  const missing = missingData();
  if (missing) {
    yield skip({ name: "probe/blimp", unit: "of pairs", skipped: missing });
    return;
  }
  const task = findTask("blimp");
  const loaded = loadModel(await decoderBase(log));
  const engine = new Engine({ threads: 2 });
  const untrained = { ...loaded, weights: initializeParameters(loaded.model.parameters, new Random(1)) };
  const judge = async (of, more) => {
    const language = new LanguageModel(of, { engine });
    const result = await evaluateTask(task, language, {
      ...{ data: SHARED_DATA, ...(trial && { limit: 200 }) },
      ...more,
    });
    language.dispose();
    return result;
  };
  const base = await judge(loaded, { baselineText: baseText() });
  const other = await judge(untrained, { baselines: false });
  const { accuracy } = base.scores;
  yield inform({
    ...{ name: "probe/blimp", value: accuracy.value, unit: "of pairs" },
    note: `${base.numExamples} pairs: ${describeScores("accuracy", [
      { name: "base", scores: base.scores },
      { name: "untrained", scores: other.scores },
      ...base.baselines,
    ])}`,
  });
  for (const [name, score] of Object.entries(base.breakdown)) {
    yield inform({
      ...{ name: `probe/blimp/${name}`, value: score.value, unit: "of pairs" },
      note: `${score.low.toFixed(3)}–${score.high.toFixed(3)}; untrained ${other.breakdown[name].value.toFixed(3)}`,
    });
  }
}
