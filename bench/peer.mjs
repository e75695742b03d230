/** Child processes that measure on command: the peers (peers/README.md) and our own workloads, which speak alike. */
import * as childProcess from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const execFile = promisify(childProcess.execFile);

/** Steps before each timed block: a process that sat idle while another ran starts cold. */
const WARM_UP_STEPS = 2;
const BLOCK_MS = 1500;
const MAX_STDERR = 4000;

const ROOT = import.meta.dirname;

/** How to start each program that runs a GPT-2 training step. */
const STEP_PROGRAMS = {
  plinth: [process.execPath, join(ROOT, "workloads/step.mjs")],
  pytorch: [process.env.PLINTH_BENCH_PYTHON ?? "python3", join(ROOT, "peers/torch_step.py")],
  peft: [process.env.PLINTH_BENCH_PYTHON ?? "python3", join(ROOT, "peers/peft_step.py")],
  "jax-js": [process.execPath, join(ROOT, "peers/jax-js-step.mjs")],
  tfjs: [process.execPath, join(ROOT, "peers/tfjs-step.mjs")],
};

/**
 * Starts one side of a training-step comparison.
 *
 * @param {keyof typeof STEP_PROGRAMS} name
 * @param {{layers: number, width: number, heads: number, context: number, batch: number}} size
 * @returns {Promise<Peer | {missing: string}>}
 */
export function startStep(name, size) {
  const options = { ...size, vocab: 256, threads: 2 };
  const [command, program] = STEP_PROGRAMS[name];
  return startPeer(command, [program, ...asArguments(options)]);
}

/** Programs that run a model that is there already. */
const MODEL_PROGRAMS = {
  "plinth decoder": [process.execPath, join(ROOT, "workloads/decoder.mjs")],
  "plinth encoder": [process.execPath, join(ROOT, "workloads/encoder.mjs")],
  "plinth rows": [process.execPath, join(ROOT, "workloads/rows.mjs")],
  "llama.cpp": [process.execPath, join(ROOT, "peers/llama-cpp.mjs")],
  "transformers.js": [process.execPath, join(ROOT, "peers/transformers-js.mjs")],
};

/**
 * Starts one side of a comparison of inference, on two threads.
 *
 * @param {keyof typeof MODEL_PROGRAMS} name
 * @param {Record<string, string | number>} options `model`, and what else the program takes
 * @returns {Promise<Peer | {missing: string}>}
 */
export function startModel(name, options) {
  const [command, program] = MODEL_PROGRAMS[name];
  return startPeer(command, [program, ...asArguments({ ...options, threads: 2 })]);
}

/** Starts training of a model with what workloads/training.mjs takes. */
export function startTraining(options) {
  const program = join(ROOT, "workloads/training.mjs");
  return startPeer(process.execPath, ["--expose-gc", program, ...asArguments({ ...options, threads: 2 })]);
}

function asArguments(options) {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
}

/** Runs one of our own workloads, in a process of its own, to its end; gives the JSON it printed. */
export async function runWorkload(file, ...args) {
  const { stdout } = await execFile(process.execPath, [join(ROOT, "workloads", file), ...args]);
  return JSON.parse(stdout);
}

/**
 * Starts a child process and waits until it is ready, or says what it lacks.
 *
 * @returns {Promise<Peer | {missing: string}>}
 */
async function startPeer(command, args) {
  const child = childProcess.spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  try {
    await once(child, "spawn");
  } catch (error) {
    if (error.code === "ENOENT") return { missing: command };
    throw error;
  }
  const peer = new Peer(child);
  const hello = await peer.receive();
  if (hello.missing) return hello;
  peer.name = hello.peer;
  return peer;
}

/** A child process that answers every line with one line of JSON. */
export class Peer {
  /** What it calls itself, version included. */
  name = "";
  #child;
  #lines;
  #stderr = "";

  constructor(child) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stdin.on("error", () => {}); // a child that died is noticed by its missing answer
    child.stderr.on("data", (text) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_STDERR);
    });
  }

  /** The answer to one command. */
  ask(line) {
    this.#child.stdin.write(`${line}\n`);
    return this.receive();
  }

  /** Next line of JSON. Peers' libraries may print lines of their own; those are passed over. */
  async receive() {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) {
        throw new Error(`${this.#child.spawnargs[1]} ended without an answer\n${this.#stderr.trim()}`);
      }
      if (value.startsWith("{")) return JSON.parse(value);
    }
  }

  /** Milliseconds of a training step, or of what else can be repeated, over about a second and a half of them. */
  async stepMs(command = "step") {
    const { ms } = await this.ask(`${command} ${WARM_UP_STEPS}`);
    const count = Math.min(40, Math.max(2, Math.round(BLOCK_MS / ms)));
    return (await this.ask(`${command} ${count}`)).ms;
  }

  /** Most memory it has held so far. */
  async peakBytes() {
    return (await this.ask("peak")).peakRssBytes;
  }

  async quit() {
    const { exitCode, signalCode, stdin } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const ended = once(this.#child, "exit");
    stdin.end("quit\n");
    await ended;
  }
}
