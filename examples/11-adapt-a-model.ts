// A base made good at one task by your own examples: LoRA trains small corrections, and the base stays as it is.
//
// usage: 11-adapt-a-model [model directory] [where to]    (example 04 saves a model at runs/example/model)

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { adapt, Engine, generate, LanguageModel, showQuality } from "plinth";

const [base = "runs/example/model", directory = "runs/units"] = process.argv.slice(2);

// JSON lines, as you may have them: questions, and the unit that answers are in.
const UNITS = { long: "metres", heavy: "kilograms", warm: "degrees" };
const things =
  "bridge river train road ship table whale engine oven stone horse tower cable pipe lake boat".split(" ");
const rows = things.flatMap((thing) =>
  Object.entries(UNITS).map(([how, unit]) => ({ question: `The ${thing}: how ${how}?`, unit })),
);
mkdirSync(dirname(directory), { recursive: true });
writeFileSync(`${directory}.jsonl`, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));

const engine = new Engine();
const { best, baselines, judged, costs, resultDirectory } = await adapt({
  ...{ engine, base, directory, task: "instruct", method: "lora" },
  data: {
    training: { paths: [`${directory}.jsonl`], mapping: { prompt: "question", completion: "unit" } },
  },
  settings: {
    lora: { rank: 8 },
    train: { steps: 200, batchSize: 8, contextLength: 64, learningRate: 1e-2, validateEvery: 50 },
  },
});
// Measured on the answers held out, a tenth of all.
for (const before of baselines) console.error(`${before.label}: ${showQuality(before, 3)}`);
console.error(`adapted: ${showQuality(best, 3)}`);
console.log(best.lossNats < 4.5); // => true
console.error(`${costs!.trainedParameters} of ${costs!.baseParameters} parameters trained`);
console.error(`what the finished model wrote for them: ${showQuality(judged!, 2)}`);

// The base is loaded once; with the adapter on it, it answers.
const model = LanguageModel.load(base, { engine });
const ask = async (question: string): Promise<string> => {
  const { decoder, tokenizer } = model;
  const sampling = { temperature: 0 };
  const { text } = await generate({ decoder, tokenizer, prompt: `${question}\n`, maxTokens: 12, sampling });
  return text;
};
console.error(`the base says: ${JSON.stringify(await ask("The moon: how heavy?"))}`);
model.addAdapter("units", resultDirectory);
model.useAdapter("units");
const answer = await ask("The moon: how heavy?");
console.error(`adapted, it says: ${JSON.stringify(answer)}`);
console.log(answer.length > 0 && !answer.includes("\n")); // => true
model.dispose();
