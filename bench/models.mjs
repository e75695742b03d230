/**
 * The model files that inference is measured on, in `.cache/bench` of the repository: made when first needed, and kept, as they come out
 * the same each time. Deleting the folder is always safe.
 */
import * as childProcess from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { writeRandomGguf } from "./peers/random-gguf.mjs";
import { writeEmptyCheckpoint, writeQuantizedCheckpoint } from "./random-checkpoint.mjs";
import { SHAPES } from "./shapes.mjs";

const execFile = promisify(childProcess.execFile);
const ROOT = join(import.meta.dirname, "..");
export const CACHE = join(ROOT, ".cache/bench");
const TOKENIZERS = join(ROOT, "../shared/data");
/** Python that has what peers/requirements-onnx.txt lists. */
const EXPORT_PYTHON = process.env.PLINTH_BENCH_EXPORT_PYTHON ?? "python3";

/** A file for llama.cpp: random weights of that shape in Q4_0. */
export function ggufFile(name, log) {
  const path = join(CACHE, `${name}-q4_0.gguf`);
  if (!existsSync(path)) {
    log(`writing ${path}`);
    mkdirSync(CACHE, { recursive: true });
    writeRandomGguf(path, SHAPES[name]);
  }
  return path;
}

/** A directory of that shape in bfloat16 whose weights are holes: everything is there that is said about them. */
export function emptyCheckpoint(name, log) {
  const directory = join(CACHE, `${name}-empty`);
  if (!existsSync(directory)) {
    log(`writing ${directory}`);
    writeEmptyCheckpoint(directory, SHAPES[name]);
  }
  return directory;
}

/** A directory of that shape with random weights in 4 bits, so many numbers to a scale. */
export function quantizedCheckpoint(name, blockSize, log) {
  const directory = join(CACHE, `${name}-int4-block-${blockSize}`);
  if (!existsSync(directory)) {
    log(`writing ${directory}`);
    writeQuantizedCheckpoint(directory, SHAPES[name], blockSize);
  }
  return directory;
}

/** Takes files of a shape away again, those of the largest model above all. */
export function removeCheckpoints(name) {
  for (const entry of readdirSync(CACHE)) {
    if (entry.startsWith(`${name}-`)) rmSync(join(CACHE, entry), { recursive: true });
  }
}

/**
 * Directories with the same random weights for us and, exported to ONNX, for transformers.js: `gpt2` and `bert`.
 *
 * @returns {Promise<{directory: string} | {missing: string}>}
 */
export async function exportedModel(name, log) {
  const directory = join(CACHE, name);
  if (existsSync(join(directory, "onnx/model.onnx"))) return { directory };
  log(`exporting ${directory} (about a minute)`);
  const partial = `${directory}.tmp`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(CACHE, { recursive: true });
  try {
    const script = join(import.meta.dirname, "peers/export_onnx.py");
    await execFile(EXPORT_PYTHON, [script, name, directory, TOKENIZERS], { maxBuffer: 2 ** 26 });
    return { directory };
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    const reason = (error.stderr || error.message).trim().split("\n").at(-1);
    return { missing: `a Python that exports to ONNX (bench/README.md): ${reason}` };
  }
}
