/**
 * Workload: one base with eight adapters of one structure, switched between. `make DIR` writes them, `run DIR` loads the base, adds
 * the adapters and switches, and says how long a switch took, and by how much the resident set grew for all adapters but the first.
 */
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Lora } from "../../dist/adapt/lora.js";
import { saveAdapter } from "../../dist/adapt/peft/adapter-file.js";
import { Random } from "../../dist/core/random.js";
import { Engine } from "../../dist/engine/engine.js";
import { gpt2Config } from "../../dist/models/gpt2/config.js";
import { Gpt2 } from "../../dist/models/gpt2/model.js";
import { loadModel } from "../../dist/models/load-model.js";
import { saveModel } from "../../dist/models/save-model.js";
import { initializeParameters } from "../../dist/nn/scope.js";
import { LanguageModel } from "../../dist/pipelines/language-model.js";
import { say } from "./serve.mjs";

const SIZES = { width: 768, numLayers: 12, numHeads: 12, vocabularySize: 4096, contextLength: 256 };
const NUM_ADAPTERS = 8;
const RANK = 8;
const SWITCHES = 40;
const PROMPT = Array.from({ length: 32 }, (_, i) => (i * 37) % 4096);

const [command, directory] = process.argv.slice(2);
const base = join(directory, "base");
const nameOf = (i) => `adapter-${i}`;

function make() {
  const model = new Gpt2(gpt2Config(SIZES));
  const weights = initializeParameters(model.parameters, new Random(1));
  saveModel(base, { model, weights, tokenizer: undefined, card: "" });
  const loaded = loadModel(base);
  const adapter = new Lora(loaded.model, { rank: RANK, alpha: 2 * RANK, targets: "all-linear" });
  for (let i = 0; i < NUM_ADAPTERS; i++) {
    const own = initializeParameters(adapter.parameters, new Random(2 + i));
    for (const [path, { data }] of own) {
      const random = new Random(i).fork(path);
      for (let at = 0; at < data.length; at++) data[at] = 0.02 * random.normal();
    }
    saveAdapter(join(directory, nameOf(i)), { base: loaded, adapter, weights: own, baseName: base });
  }
  say({ made: NUM_ADAPTERS });
}

async function run() {
  const model = LanguageModel.load(base, { engine: new Engine({ threads: 2 }), rows: 1 });
  const firstScores = async () => (await model.decoder.prefill(PROMPT)).slice(0, 8);
  model.addAdapter(nameOf(0), join(directory, nameOf(0)));
  model.useAdapter(nameOf(0));
  const expected = await firstScores();
  const before = await residentBytes();
  for (let i = 1; i < NUM_ADAPTERS; i++) model.addAdapter(nameOf(i), join(directory, nameOf(i)));
  for (let i = 1; i < NUM_ADAPTERS; i++) {
    model.useAdapter(nameOf(i));
    await firstScores();
  }
  const grownBytes = (await residentBytes()) - before;
  const [switched, plain] = [[], []];
  for (let i = 0; i < SWITCHES; i++) {
    // The next run ties the weights to the program: what it takes longer than one without a switch is part of the switch.
    const reading = async () => {
      model.useAdapter(nameOf(i % NUM_ADAPTERS));
      await model.decoder.prefill([1]);
    };
    switched.push(await time(reading));
    model.decoder.reset();
    plain.push(await time(reading));
  }
  model.useAdapter(nameOf(0));
  model.decoder.reset();
  const again = await firstScores();
  const isSame = again.every((score, i) => score === expected[i]);
  const { weights } = model.loaded;
  const bytesOf = (isAdapters) =>
    [...weights]
      .filter(([path]) => path.includes("lora_") === isAdapters)
      .reduce((sum, [, { shape }]) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  model.dispose();
  say({
    ...{ switched, plain, isSame, grownBytes },
    ...{ adapters: NUM_ADAPTERS, adapterBytes: bytesOf(true), baseBytes: bytesOf(false) },
  });
}

async function time(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function residentBytes() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await setImmediate();
  }
  return process.memoryUsage().rss;
}

await { make, run }[command]();
