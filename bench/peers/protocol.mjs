/**
 * The protocol every peer speaks (README.md): options on the command line, commands on stdin, one line of JSON
 * for each measurement on stdout.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const WARM_UP_STEPS = 3;
const OPTIONS = ["layers", "width", "heads", "context", "batch", "vocab", "threads"];

/** Options of the peer, all whole numbers; `batches` is how many distinct random batches to cycle through. */
export function readOptions() {
  const spec = Object.fromEntries([...OPTIONS, "batches"].map((name) => [name, { type: "string" }]));
  const { values } = parseArgs({ options: spec });
  const options = { batches: 8 };
  for (const name of Object.keys(spec)) {
    if (values[name] === undefined && name in options) continue;
    options[name] = Number(values[name]);
    if (!Number.isInteger(options[name]) || options[name] < 1) {
      fail(`--${name}: expected a whole number above 0, got ${values[name]}`);
    }
  }
  return options;
}

/** Imports a package, or says `{"missing": name}` and ends, so that the parent can skip this peer by name. */
export async function importOrReportMissing(name) {
  try {
    return await import(name);
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    reportMissing(name);
  }
}

/** The exact version `bench/package.json` asks for. */
export function pinnedVersion(name) {
  return JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).dependencies[name];
}

/** Says that the peer cannot run, and which part of it is missing. */
export function reportMissing(what) {
  say({ missing: what });
  process.exit(0);
}

/**
 * Warms up, says ready and then obeys stdin. `step()` runs one training step and resolves when its work is
 * done; `readLoss()` resolves to the loss of the latest step.
 */
export async function servePeer({ peer, step, readLoss, threads }) {
  await step();
  const firstLoss = await readLoss();
  for (let i = 1; i < WARM_UP_STEPS; i++) await step();
  say({ ready: true, peer, firstLoss, threads });
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, argument] = line.trim().split(" ");
    if (command === "step") say(await timeSteps(step, readLoss, Number(argument)));
    else if (command === "peak") say({ peakRssBytes: process.resourceUsage().maxRSS * 1024 });
    else if (command === "quit") break;
    else fail(`expected step N, peak or quit, got ${JSON.stringify(line)}`);
  }
  process.exit(0);
}

async function timeSteps(step, readLoss, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) await step();
  return { ms: (performance.now() - start) / count, loss: await readLoss() };
}

/** Standard normal and uniform whole numbers from a fixed seed (mulberry32 and Box–Muller). */
export function seededRandom(seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return {
    normals: (length, scale) => Float32Array.from({ length }, () => scale * normal()),
    integers: (length, below) => Int32Array.from({ length }, () => Math.floor(below * uniform())),
  };
}

/** Makes as many random bytes as asked for, the same for the same seed (xorshift, 32 bits at a time). */
export function seededBytes(seed) {
  let state = seed | 1;
  return (length) => {
    const words = new Uint32Array(Math.ceil(length / 4));
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    return new Uint8Array(words.buffer, 0, length);
  };
}

/**
 * Initial GPT-2 weights, `name → {shape, data}`: normal with deviation 0.02, residual projections divided by
 * √(2·layers), biases zero, norm weights one. Linear weights are `[in, out]`.
 */
export function initialWeights({ layers, width, context, vocab }) {
  const random = seededRandom(1);
  const weights = {};
  const normal = (name, shape, scale = 0.02) => {
    weights[name] = { shape, data: random.normals(shape[0] * shape[1], scale) };
  };
  const constant = (name, length, value) => {
    weights[name] = { shape: [length], data: new Float32Array(length).fill(value) };
  };
  const linear = (name, inputs, outputs, scale) => {
    normal(`${name}Weight`, [inputs, outputs], scale);
    constant(`${name}Bias`, outputs, 0);
  };
  const norm = (name) => {
    constant(`${name}Weight`, width, 1);
    constant(`${name}Bias`, width, 0);
  };
  normal("tokens", [vocab, width]);
  normal("positions", [context, width]);
  const residualScale = 0.02 / Math.sqrt(2 * layers);
  for (let layer = 0; layer < layers; layer++) {
    norm(`${layer}.norm1`);
    linear(`${layer}.qkv`, width, 3 * width);
    linear(`${layer}.attentionOut`, width, width, residualScale);
    norm(`${layer}.norm2`);
    linear(`${layer}.up`, width, 4 * width);
    linear(`${layer}.down`, 4 * width, width, residualScale);
  }
  norm("norm");
  return weights;
}

/** Random batches `{tokens, targets}`, each an Int32Array of batch × context. */
export function randomBatches({ batches, batch, context, vocab }) {
  const random = seededRandom(2);
  return Array.from({ length: batches }, () => ({
    tokens: random.integers(batch * context, vocab),
    targets: random.integers(batch * context, vocab),
  }));
}

/** One line of JSON on stdout. */
export function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Ends the process with a line on stderr. */
export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
