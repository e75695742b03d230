// A task of your own in a few lines: how good a model is at it, with intervals, beside what needs no network.
//
// usage: 13-evaluate-your-task [model directory] [adapter] [folder for the questions]    (from examples 04 and 11)

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { evaluateTask, LanguageModel } from "plinth";
import { defineTask } from "plinth/eval";

const [base = "runs/example/model", adapter = "runs/units/adapter", folder = "runs"] = process.argv.slice(2);

// Questions that example 11 did not train on.
const UNITS = { long: "metres", heavy: "kilograms", warm: "degrees" };
const rows = ["garden", "soup", "parcel", "carpet", "bottle", "letter", "coat", "bread"].flatMap((thing) =>
  Object.entries(UNITS).map(([how, unit]) => ({ question: `The ${thing}: how ${how}?`, unit })),
);
writeFileSync(join(folder, "questions.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));

// The same as a JSON file is what `plinth eval --task units.json` takes.
const task = defineTask({
  name: "units",
  files: ["questions.jsonl"],
  heldOut: 0.75, // the others are for the baselines, and to be shown with `shots`
  stratifyBy: "unit",
  method: "choice", // the likeliest of all answers that there are; "generate" has the model write
  input: "{question}",
  prompt: "{question}\n",
  answer: "{unit}",
  metrics: ["accuracy", "macroF1"],
});

const model = LanguageModel.load(base);
const before = await evaluateTask(task, model, { data: folder });
model.addAdapter("units", adapter);
model.useAdapter("units");
const { scores, numExamples, baselines } = await evaluateTask(task, model, { data: folder });
model.dispose();

for (const { name, scores: theirs } of [
  { name: "the base", scores: before.scores },
  { name: "adapted", scores },
  ...baselines,
]) {
  const { value, low, high } = theirs.accuracy!;
  console.error(`${name}: ${value.toFixed(2)} right, 95 % between ${low.toFixed(2)} and ${high.toFixed(2)}`);
}
console.log(numExamples); // => 18
console.log(scores.accuracy!.value > before.scores.accuracy!.value); // => true
