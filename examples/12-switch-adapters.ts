// Several adapters on one loaded base: each request names the one it wants. The base is in memory once, and switching copies only
// the adapter's own numbers.
//
// usage: 12-switch-adapters [model directory] [adapter] [where to]    (from examples 04 and 11)

import { writeFileSync } from "node:fs";
import { adapt, Engine, generate, LanguageModel } from "plinth";

const [base = "runs/example/model", units = "runs/units/adapter", directory = "runs/tools"] =
  process.argv.slice(2);

// A second adapter: the same kind of question, another answer.
const TOOLS = { long: "a ruler", heavy: "scales", warm: "a thermometer" };
const things = "garden fence soup parcel carpet window bottle letter coat bread brick lamp".split(" ");
const rows = things.flatMap((thing) =>
  Object.entries(TOOLS).map(([how, completion]) => ({ prompt: `The ${thing}: how ${how}?`, completion })),
);
writeFileSync(`${directory}.jsonl`, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
const engine = new Engine();
const { resultDirectory: tools } = await adapt({
  ...{ engine, base, directory, task: "instruct", method: "lora" },
  data: { training: { paths: [`${directory}.jsonl`] } },
  settings: {
    lora: { rank: 8 },
    train: { steps: 200, batchSize: 8, contextLength: 64, learningRate: 1e-2, validateEvery: 50 },
  },
});

const model = LanguageModel.load(base, { engine });
model.addAdapter("units", units);
model.addAdapter("tools", tools);

async function answer(adapter: string, question: string): Promise<string> {
  const started = performance.now();
  model.useAdapter(adapter);
  const { decoder, tokenizer } = model;
  console.error(`${adapter}: ready after ${(performance.now() - started).toFixed(1)} ms`);
  const sampling = { temperature: 0 };
  const { text } = await generate({ decoder, tokenizer, prompt: `${question}\n`, maxTokens: 12, sampling });
  return text;
}

const question = "The sea: how warm?";
const unit = await answer("units", question);
const tool = await answer("tools", question);
console.error(`${question} ${unit}; with ${tool}`);
console.log(tool !== unit); // => true
console.log((await answer("units", question)) === unit); // => true
model.dispose();
