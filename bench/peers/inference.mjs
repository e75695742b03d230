/** What every program that runs a model for the bench has in common, ours included; the protocol is in README.md. */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { fail, say, seededRandom } from "./protocol.mjs";

/** Tokens ahead of those that `decode` times. */
const DECODE_PROMPT = 32;

/** Options `--model PATH --file NAME --threads N`, and whole numbers by the names given; what has no value is absent. */
export function readInferenceOptions(numbers = []) {
  const names = ["model", "file", "threads", ...numbers];
  const { values } = parseArgs({
    options: Object.fromEntries(names.map((name) => [name, { type: "string" }])),
  });
  const numeric = Object.entries(values).filter(([name]) => name !== "model" && name !== "file");
  return { ...values, ...Object.fromEntries(numeric.map(([name, value]) => [name, Number(value)])) };
}

/** The same random ids for every program. */
export function promptTokens(count, vocabulary) {
  return Array.from(seededRandom(3).integers(count, vocabulary));
}

/**
 * Commands of a model that continues text.
 *
 * @param {number} vocabulary
 * @param {(prompt: number[], count: number, onToken: (token: number) => void) => Promise<void>} continueGreedily forgets
 *   what came before, reads the prompt and passes on that many likeliest tokens, each as soon as it is known
 */
export function decoderCommands(vocabulary, continueGreedily) {
  const timed = async (prompt, count) => {
    const tokens = [];
    const times = [performance.now()];
    await continueGreedily(prompt, count, (token) => {
      times.push(performance.now());
      tokens.push(token);
    });
    return { tokens, times };
  };
  return {
    /** Milliseconds to read that many tokens and know the next. */
    async prefill(count) {
      const { times } = await timed(promptTokens(count, vocabulary), 1);
      return { ms: times[1] - times[0] };
    },
    /** Milliseconds from one new token to the next, over that many. */
    async decode(count) {
      const { tokens, times } = await timed(promptTokens(DECODE_PROMPT, vocabulary), count + 1);
      return { ms: (times.at(-1) - times[1]) / count, tokens };
    },
  };
}

/** The batch that is embedded: texts of that many tokens, all of them whole. */
export const EMBED_BATCH = [16, 128];

/**
 * Commands of an encoder.
 *
 * @param {number} vocabulary
 * @param {(tokens: number[]) => Promise<Float32Array>} embed the batch's ids → a vector for each text: the mean of its hidden
 *   states at length 1
 */
export function encoderCommands(vocabulary, embed) {
  const tokens = promptTokens(EMBED_BATCH[0] * EMBED_BATCH[1], vocabulary);
  return {
    /** Milliseconds a batch, over that many. */
    async embed(count) {
      const start = performance.now();
      for (let i = 0; i < count; i++) await embed(tokens);
      return { ms: (performance.now() - start) / count };
    },
    outputs: async () => ({ outputs: packFloats(await embed(tokens)) }),
  };
}

/** Numbers as they travel in a line of JSON. */
export function packFloats(floats) {
  return Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength).toString("base64");
}

/** Most memory this process has held, and what it holds now: of its own, and of files. Linux only. */
export function memory() {
  const status = readFileSync("/proc/self/status", "utf8");
  const bytes = (field) => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)[1]) * 1024;
  return { peakRssBytes: bytes("VmHWM"), anonymousBytes: bytes("RssAnon"), fileBytes: bytes("RssFile") };
}

/**
 * Says ready, then answers each line `command [number]` on stdin with a line of JSON, until `quit`.
 *
 * @param {string} peer
 * @param {Record<string, (argument: number) => object | Promise<object>>} commands
 */
export async function serveInference(peer, commands, hello = {}) {
  const all = { ...commands, memory };
  say({ ready: true, peer, ...hello });
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, argument] = line.trim().split(" ");
    if (command === "quit") break;
    if (!Object.hasOwn(all, command)) {
      fail(`expected ${Object.keys(all).join(", ")} or quit, got ${JSON.stringify(line)}`);
    }
    say(await all[command](Number(argument)));
  }
  process.exit(0);
}
