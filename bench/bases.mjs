/**
 * Base models to adapt, pretrained once on text that is on this machine, and kept in `.cache/bench/bases` of the repository. None of the
 * tasks' data is in that text. `PLINTH_BENCH_BASE` and `PLINTH_BENCH_ENCODER` name directories of a decoder and an encoder to take instead.
 */
import * as childProcess from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { globSync } from "tinyglobby";
import { findLocalCorpus } from "../dist/recipes/local-corpus.js";
import { SHARED_DATA } from "./corpus.mjs";
import { CACHE } from "./models.mjs";

const execFile = promisify(childProcess.execFile);
const CLI = join(import.meta.dirname, "../dist/cli/main.js");
const BASES = join(CACHE, "bases");

/** What is trained, and for how long: 145 TFLOP, some 17 minutes on two quiet cores. */
const DECODER = [
  ...["pretrain", "mistral", "--set", "tokenizer.vocabularySize=4096"],
  ...["model.width=256", "model.numLayers=4", "model.numHeads=4", "model.slidingWindow=256"],
  ...["train.steps=1300", "train.batchSize=16", "train.contextLength=256", "train.learningRate=3e-3"],
  ...["train.minLearningRate=1e-4", "train.beta2=0.98", "train.validateEvery=325", "train.saveEvery=100"],
];

/** Masked words of prose: 82 TFLOP, some 11 minutes on two quiet cores. */
const ENCODER = [
  ...["pretrain", "bert-tiny", "--set", "tokenizer.vocabularySize=4096"],
  ...["train.steps=5000", "train.batchSize=16", "train.contextLength=128", "train.learningRate=8e-4"],
  ...["train.validateEvery=500", "train.saveEvery=500"],
];

/** The directory of the decoder, which is trained if it is not there. */
export async function decoderBase(log) {
  const given = process.env.PLINTH_BENCH_BASE;
  return given ?? (await pretrain("decoder", DECODER, ([prose, code]) => [`${prose}@2`, `${code}@1`], log));
}

/** The same of the encoder. */
export async function encoderBase(log) {
  const given = process.env.PLINTH_BENCH_ENCODER;
  return given ?? (await pretrain("encoder", ENCODER, ([prose]) => [prose], log));
}

/** The prose that they were trained on. */
export function baseText() {
  const lines = readFileSync(process.env.PLINTH_BENCH_PROSE ?? join(BASES, "prose.jsonl"), "utf8")
    .trim()
    .split("\n");
  return lines.map((line) => JSON.parse(line).text).join("\n");
}

async function pretrain(name, recipe, dataOf, log) {
  const run = join(BASES, name);
  const model = join(run, "model");
  if (existsSync(model)) return model;
  mkdirSync(BASES, { recursive: true });
  log(`pretraining ${run}`);
  await execFile(process.execPath, [CLI, ...recipe, "--out", run, "--data", ...dataOf(writeCorpus())]);
  return model;
}

/** Prose: documentation of packages and of the system, and books; code: sources of packages. */
function writeCorpus() {
  const { sources } = findLocalCorpus(process.cwd());
  const [documentation, code] = sources.map(({ paths }) => paths.map((path) => readFileSync(path, "utf8")));
  const books = ["austen-pride-and-prejudice.txt", "soseki-botchan-en.txt"]
    .map((name) => join(SHARED_DATA, "books", name))
    .filter((path) => existsSync(path))
    .flatMap((path) => piecesOf(readFileSync(path, "utf8")));
  const system = [
    ...textsOf(["/usr/share/doc", "/usr/lib", "/usr/local"], "**/*.{rst,txt}", 3e6),
    ...textsOf(["/usr/share/perl", "/usr/share/perl5"], "**/*.{pod,pm}", 2e6),
  ];
  return [writeRows("prose", [...documentation, ...books, ...system]), writeRows("code", code)];
}

/** The first nine tenths of a book, in pieces. */
function piecesOf(text) {
  const size = 8000;
  const train = text.slice(0, Math.floor(text.length * 0.9));
  return Array.from({ length: Math.ceil(train.length / size) }, (_, i) =>
    train.slice(i * size, (i + 1) * size),
  );
}

/** English texts below the folders, some of each part of them, up to so many characters. */
function textsOf(folders, pattern, enough) {
  const paths = folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => globSync(pattern, { cwd: folder, absolute: true, followSymbolicLinks: false }))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.size < 150_000)
    .sort();
  const stride = Math.max(1, Math.floor(paths.length / 400));
  const texts = [];
  let length = 0;
  for (let start = 0; start < stride; start++) {
    for (let i = start; i < paths.length && length < enough; i += stride) {
      const text = readFileSync(paths[i], "utf8").slice(0, 60_000);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what is not ASCII is what is looked for
      if (text.length < 800 || !/^[\x00-\x7f\s–—‘’“”]*$/.test(text.slice(0, 3000))) continue;
      texts.push(text);
      length += text.length;
    }
  }
  return texts;
}

function writeRows(name, texts) {
  const path = join(BASES, `${name}.jsonl`);
  writeFileSync(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  return path;
}
