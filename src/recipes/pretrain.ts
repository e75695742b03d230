import { createHash } from "node:crypto";
import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { type Corpus, openCorpus } from "../data/corpus.ts";
import { prepareCorpus } from "../data/prepare.ts";
import type { SourceSpec } from "../data/sources.ts";
import type { SplitOptions } from "../data/split-reader.ts";
import type { Engine } from "../engine/engine.ts";
import { countParameters } from "../nn/scope.ts";
import type { TrainEvent } from "../train/events.ts";
import type { Baseline } from "../train/report.ts";
import { acquireRunLock } from "../train/run-lock.ts";
import type { TrainResult } from "../train/train-run.ts";
import { train } from "../train/trainer.ts";
import { decoderTrainee } from "./decoder-trainee.ts";
import { describeCorpus, describeRun, modelCard } from "./describe.ts";
import { encoderTrainee, maskingVocabulary } from "./encoder-trainee.ts";
import { flattenRecipe, hashRecipe } from "./flat-recipe.ts";
import { Journal } from "./journal.ts";
import type { MemoryLimits } from "./memory-limits.ts";
import { checkPretrainMemory } from "./pretrain-memory.ts";
import type { Recipe } from "./recipe.ts";
import { beginRunDirectory, checkRunDirectory, MODEL_DIRECTORY } from "./run-directory.ts";
import { readRunTokenizer, trainTokenizer } from "./run-tokenizer.ts";
import type { Trainee } from "./trainee.ts";

export interface PretrainOptions extends MemoryLimits {
  readonly engine: Engine;
  readonly recipe: Recipe;
  readonly sources: readonly SourceSpec[];
  /** Everything the run makes goes here. */
  readonly directory: string;
  readonly resume: boolean;
  /** One line about this computer, for the report. */
  readonly machine: string;
  /** How to call Plinth, for the report's list of what to type next; default `npx plinth`. */
  readonly command?: string;
  /** What a decoder's samples continue; default: a fresh document. */
  readonly samplePrompt?: string;
  readonly onEvent: (event: TrainEvent) => void;
  readonly signal?: AbortSignal;
}

/** What a run made, and how good it became. */
export interface PretrainResult extends TrainResult {
  /** The Hugging Face model directory with the best weights; there once the run has finished. */
  readonly modelDirectory: string;
  readonly reportPath: string;
  /** What counting alone achieves on the same text: the strongest first. */
  readonly baselines: readonly [Baseline, ...Baseline[]];
  /** What the model achieves where it should not, such as on text in random order; once the run has finished. */
  readonly controls: readonly Baseline[];
  readonly model: Trainee["model"];
  readonly tokenizer: Tokenizer;
  readonly corpus: Corpus["manifest"];
}

/**
 * Pretrains a model from text: tokenizer, shards, training, model directory, metrics and report, all in one directory.
 *
 * @throws {ConfigError} if the directory holds a run already and `resume` is off, if there is none or one of other
 *   settings and it is on, or if settings contradict each other.
 * @throws {DataError} if the data cannot be used.
 * @throws {EnvironmentError} if another process works in the directory, the run will not fit into memory, or the disk refuses.
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { directory, recipe, resume } = options;
  checkPromptHasUse(options);
  checkRunDirectory(directory, recipe, resume);
  const isNew = !existsSync(directory);
  const lock = acquireRunLock(directory);
  try {
    const { corpus, tokenizer, needed } = await prepareText(options);
    try {
      return await pretrainOn(corpus, tokenizer, options, needed);
    } finally {
      corpus.close();
    }
  } finally {
    lock.release();
    if (isNew && readdirSync(directory).length === 0) rmdirSync(directory);
  }
}

/** @throws {ConfigError} if there is a prompt, and a model that continues none. */
function checkPromptHasUse({ recipe, samplePrompt = "" }: PretrainOptions): void {
  if (samplePrompt === "" || !recipe.masking) return;
  throw new ConfigError({
    where: "prompt",
    expected: "a decoder, which continues text",
    got: `the encoder family "${recipe.model.family}"`,
    fix: "Leave the prompt out: samples show held-out text with hidden tokens filled in.",
  });
}

/** Tokenizer and shards: made when the run begins, found again when it goes on. Between them what a run takes is known, and little done. */
async function prepareText(options: PretrainOptions) {
  const { recipe, sources, directory, resume, signal } = options;
  const split: SplitOptions = { sources, ...recipe.corpus, seed: recipe.train.seed, exclude: [directory] };
  const tokenizer = resume ? readRunTokenizer(directory) : trainTokenizer(recipe, split);
  const needed = checkPretrainMemory(recipe, tokenizer, options);
  // An encoder knows no end of text: its documents are told apart by what separates a pair.
  const endOfTextId = recipe.masking ? maskingVocabulary(tokenizer).sepId : tokenizer.endOfTextId;
  const { vocabularySize } = tokenizer;
  const codec = {
    ...{ vocabularySize, endOfTextId, hash: () => tokenizer.hash() },
    encode: (text: string) => tokenizer.encode(text),
  };
  const outDir = join(directory, "corpus");
  await prepareCorpus({ ...split, tokenizer: codec, outDir, ...(signal && { signal }) });
  if (!resume) beginRunDirectory(directory, recipe, tokenizer);
  return { tokenizer, needed, corpus: openCorpus(outDir, tokenizer.hash()) };
}

async function pretrainOn(
  corpus: Corpus,
  tokenizer: Tokenizer,
  options: PretrainOptions,
  needed: string,
): Promise<PretrainResult> {
  const { engine, recipe, directory, resume, signal, samplePrompt: prompt = "" } = options;
  const { manifest } = corpus;
  const heldOut = corpus.validation.map(({ dataset }) => dataset);
  const create = recipe.masking ? encoderTrainee : decoderTrainee;
  const data = { train: corpus.train, heldOut, heldOutBytes: heldOutBytes(corpus, tokenizer) };
  const trainee = create({ engine, recipe, tokenizer, ...data, prompt });
  const baselines = trainee.baselines();
  const modelDirectory = join(directory, MODEL_DIRECTORY);
  const journal = new Journal({
    ...{ directory, resume, onEvent: options.onEvent, command: options.command },
    nextCommands: trainee.nextCommands(modelDirectory),
    description: {
      title: describeRun(trainee.model),
      machine: options.machine,
      config: { parameters: countParameters(trainee.model.parameters), ...flattenRecipe(recipe) },
      corpus: describeCorpus(manifest),
      baselines,
    },
  });
  journal.record({ type: "notice", step: 0, message: needed });
  try {
    const result = await train({
      ...{ engine, directory, resume, options: recipe.train, ...(signal && { signal }) },
      ...(trainee.initialWeights && { initialWeights: trainee.initialWeights }),
      objective: trainee.objective,
      title: describeRun(trainee.model),
      examples: trainee.examples,
      measure: (arena) => trainee.measure(arena),
      identity: {
        configHash: hashRecipe(recipe),
        tokenizerHash: tokenizer.hash(),
        dataHash: hashShards(manifest),
      },
      onEvent: (event) => journal.record(event),
      sample: (weights) => trainee.sample(weights),
    });
    const finished = result.reason !== "stopped";
    const controls = finished ? await trainee.controls(result.bestWeights) : [];
    if (finished) {
      const card = modelCard(trainee, manifest, recipe, result, [...baselines, ...controls]);
      trainee.save(modelDirectory, result.bestWeights, card);
    }
    const { model } = trainee;
    const { reportPath } = journal;
    return { ...result, modelDirectory, reportPath, baselines, controls, model, tokenizer, corpus: manifest };
  } finally {
    journal.close();
  }
}

/** Bytes of held-out text that are scored: all but the first token of each source, which nothing precedes. */
function heldOutBytes(corpus: Corpus, tokenizer: Tokenizer): number {
  const first = new Int32Array(1);
  const total = corpus.manifest.sources.reduce((bytes, { validation }) => bytes + validation.bytes, 0);
  return corpus.validation.reduce((bytes, { dataset }) => {
    dataset.read(0, 1, first);
    return bytes - tokenizer.tokenBytes(first[0]!).length;
  }, total);
}

/** Identifies the tokens of a corpus, wherever they came from. */
function hashShards({ sources }: Corpus["manifest"]): string {
  const shards = sources.map(({ train, validation }) => [train.shards, validation.shards]);
  return createHash("sha256").update(JSON.stringify(shards)).digest("hex");
}
