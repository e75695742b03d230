import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyRun } from "./tiny-run.ts";

const DIST = join(import.meta.dirname, "../dist");
const WARM_UP_STEPS = 600;
const STEPS = 2000;
const MOST_GROWTH_BYTES = 20e6;

/**
 * Trains the tiny model, validating, saving and sampling every 50 steps, and prints the resident memory after the warm-up and at the
 * end, garbage collected: what is left is held by somebody. A process of its own, without a test runner's memory.
 */
const TRAINER = `
const [dist, directory, data, warmUp, steps] = process.argv.slice(1);
const load = (path) => import(dist + "/" + path);
const { Engine } = await load("engine/engine.js");
const { TokenDataset } = await load("data/token-dataset.js");
const { gpt2Config } = await load("models/gpt2/config.js");
const { Gpt2 } = await load("models/gpt2/model.js");
const { trainOptions } = await load("train/options.js");
const { NextToken, nextTokenStream } = await load("train/next-token.js");
const { Validation } = await load("train/validation.js");
const { train } = await load("train/trainer.js");
const open = (file, tokens) => new TokenDataset(data, [{ file, tokens, sha256: "" }], 2);
const { Decoder } = await load("generate/decoder.js");
const { generate } = await load("generate/generate.js");
const engine = new Engine({ threads: 1 });
const sizes = { vocabularySize: 24, contextLength: 16, width: 16, numLayers: 1, numHeads: 2, layerNormEpsilon: 1e-5 };
const model = new Gpt2(gpt2Config(sizes));
const last = Number(warmUp) + Number(steps);
const rss = () => { gc(); gc(); return process.memoryUsage().rss; };
let [before, after] = [0, 0];
const options = trainOptions({
  steps: last, batchSize: 2, contextLength: 16, accumulation: 2, learningRate: 1e-3,
  validateEvery: 50, saveEvery: 50, sampleEvery: 50,
});
const heldOut = { datasets: [open("validation.bin", 300)], bytes: 290, endOfTextId: 23 };
await train({
  engine, objective: new NextToken(model), directory, resume: false, title: "leak",
  examples: nextTokenStream({ ...options, datasets: [{ dataset: open("train.bin", 4000), weight: 1 }] }),
  measure: (arena) => new Validation(engine, model, arena.weights(), options, heldOut),
  options,
  identity: { configHash: "", tokenizerHash: "", dataHash: "" },
  sample: async (weights) => {
    const decoder = new Decoder(engine, model, weights);
    const { tokens } = await generate({ decoder, tokens: [1, 2], maxTokens: 5, sampling: { temperature: 0 } });
    decoder.dispose();
    return { prompt: "", text: tokens.join() };
  },
  onEvent: ({ type, step }) => {
    if (type === "step" && step === Number(warmUp)) before = rss();
    if (type === "step" && step === last) after = rss();
  },
});
process.stdout.write(JSON.stringify({ before, after }));
`;

let root = "";
beforeAll(() => {
  if (!existsSync(DIST)) throw new Error(`${DIST} is missing. Run "npm run build" first.`);
  root = mkdtempSync(join(tmpdir(), "plinth-leak-"));
  tinyRun(root); // writes its data
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function growthBytes(name: string): Promise<number> {
  const words = [
    pathToFileURL(DIST).href,
    join(root, name),
    join(root, "data"),
    `${WARM_UP_STEPS}`,
    `${STEPS}`,
  ];
  const flags = ["--expose-gc", "--input-type=module", "-e", TRAINER];
  const child = spawn(process.execPath, [...flags, ...words], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  for await (const chunk of child.stdout) printed += chunk;
  const { before, after } = JSON.parse(printed) as { before: number; after: number };
  expect(before).toBeGreaterThan(0);
  return after - before;
}

test(`${STEPS} steps after a warm-up grow the process by less than ${MOST_GROWTH_BYTES / 1e6} MB`, async () => {
  const growth = await growthBytes("first");
  // A real leak repeats itself; what the allocator does once in a while does not.
  const repeated = growth < MOST_GROWTH_BYTES ? growth : await growthBytes("second");
  expect(Math.min(growth, repeated)).toBeLessThan(MOST_GROWTH_BYTES);
});
