import { join } from "node:path";
import { instructionRow } from "../adapt/instruction-row.ts";
import { Random } from "../core/random.ts";
import type { Engine } from "../engine/engine.ts";
import { Decoder } from "../generate/decoder.ts";
import { generate } from "../generate/generate.ts";
import type { CausalLM } from "../models/contracts.ts";
import { initializeParameters } from "../nn/scope.ts";
import type { TrainEvent } from "../train/events.ts";
import { NextToken, nextTokenExamples } from "../train/next-token.ts";
import { adaptToTask, type TaskAdaptation } from "./adapt-to-task.ts";
import { buildDecoder } from "./decoder-trainee.ts";
import { packageFolders } from "./installed-packages.ts";
import { findLocalCorpus, type LocalCorpus } from "./local-corpus.ts";
import { findLocalTask, isKeptForTask, keepFitting, type LocalTask } from "./local-task.ts";
import { type PretrainResult, pretrain } from "./pretrain.ts";
import { type Recipe, readRecipe } from "./recipe.ts";
import { timeStep } from "./time-step.ts";

/** Wall-clock time for the training itself, both halves; gathering, tokenising and the rest take under a minute. */
export const TRAINING_SECONDS = 225;

/** Part of that for the base; the rest is for what is made of it. */
const PRETRAINING_SHARE = 0.8;

/** What optimizer, validation and checkpoints add to a step. */
const STEP_OVERHEAD = 1.15;
const MIN_STEPS = 60;
const MAX_STEPS = 4000;
const VALIDATIONS = 3;

/** The rate rises for so many steps at most, and for a third of a short run: at the full rate, a model stays long at token frequencies. */
const WARMUP_STEPS = 100;

/** Small enough to learn something in minutes, large enough to need learning. */
const BASE = {
  tokenizer: { kind: "bpe", vocabularySize: 2048 },
  corpus: { splitBy: "document", validationFraction: 0.05 },
  model: { family: "mistral", width: 192, numLayers: 4, numHeads: 6, slidingWindow: 64 },
  train: {
    batchSize: 8,
    contextLength: 128,
    learningRate: 3e-3,
    minLearningRate: 1e-4,
    beta2: 0.99,
    weightDecay: 0.1,
  },
} as const;

const PROMPTS = [
  { kind: "English", prompt: "This package provides a" },
  { kind: "code", prompt: "export function " },
] as const;

export interface QuickstartOptions {
  readonly engine: Engine;
  readonly directory: string;
  readonly machine: string;
  /** How to call Plinth, for the report's list of what to type next; default `npx plinth`. */
  readonly command?: string;
  /** Where to look for text; default: the current directory and upwards. */
  readonly from?: string;
  readonly onNotice: (line: string) => void;
  readonly onEvent: (event: TrainEvent) => void;
  readonly signal?: AbortSignal;
  readonly trainingSeconds?: number;
}

/** A prompt and how the model went on. */
export interface Completion {
  readonly kind: string;
  readonly prompt: string;
  readonly text: string;
}

/** A pretraining run on what was found, with a few completions, and what the base was good for. */
export interface QuickstartResult extends Omit<PretrainResult, "model"> {
  readonly model: CausalLM;
  readonly corpusFound: LocalCorpus["found"];
  readonly completions: readonly Completion[];
  /** Absent if the run was stopped before. */
  readonly adaptation?: TaskAdaptation;
}

/**
 * The whole story in minutes, on text found on this machine: gather, train a tokenizer, pretrain, save, complete; then adapt the base to
 * a task found here, too, beside the same network without it. What the task is judged by is from packages that the base has not read.
 *
 * The number of steps is chosen by timing a few, so that a slow machine trains for less and not for longer.
 */
export async function quickstart(options: QuickstartOptions): Promise<QuickstartResult> {
  const { engine, directory, machine, onEvent, onNotice, signal } = options;
  const from = options.from ?? process.cwd();
  const task = findLocalTask(packageFolders(from));
  const corpus = findLocalCorpus(from, isKeptForTask);
  for (const { label, files, bytes } of corpus.found) {
    onNotice(`found ${(bytes / 1e6).toFixed(1)} MB of ${label} in ${files} files of installed packages`);
  }
  const stepMs = await timeSteps(engine, readRecipe(BASE));
  const seconds = options.trainingSeconds ?? TRAINING_SECONDS;
  const inTime = Math.floor((PRETRAINING_SHARE * seconds * 1000) / stepMs);
  const steps = Math.max(MIN_STEPS, Math.min(MAX_STEPS, inTime));
  onNotice(`a step takes ${stepMs.toFixed(0)} ms here: ${steps} steps`);
  const validateEvery = Math.ceil(steps / VALIDATIONS);
  const recipe = readRecipe({
    ...BASE,
    train: {
      ...BASE.train,
      ...{ steps, validateEvery, saveEvery: validateEvery },
      warmupSteps: Math.min(WARMUP_STEPS, Math.floor(steps / 3)),
    },
  });
  const result = await pretrain({
    engine,
    recipe,
    sources: corpus.sources,
    directory,
    resume: false,
    machine,
    ...(options.command && { command: options.command }),
    samplePrompt: PROMPTS[0].prompt,
    onEvent,
    ...(signal && { signal }),
  });
  const model = result.model as CausalLM; // the recipe above says so
  const completions = await complete(engine, { ...result, model });
  const made = { ...result, model, corpusFound: corpus.found, completions };
  if (result.reason === "stopped") return made;
  const adaptation = await adapt(options, made, task, (1 - PRETRAINING_SHARE) * seconds);
  return { ...made, ...(adaptation && { adaptation }) };
}

function adapt(
  { engine, directory, onEvent, onNotice, signal }: QuickstartOptions,
  { model, bestWeights, tokenizer, modelDirectory }: QuickstartResult,
  task: LocalTask,
  seconds: number,
): Promise<TaskAdaptation | undefined> {
  const fitting = keepFitting(
    task,
    (row) => instructionRow(tokenizer, row).tokens.length <= model.shape.contextLength,
  );
  const { kinds, training, heldOut } = fitting;
  onNotice(`adapting it: from a few lines of a file to the end of its name (${kinds.join(", ")})`);
  onNotice(`${training.length} pieces to learn from, ${heldOut.length} of other packages held out`);
  return adaptToTask({
    ...{ engine, directory, onEvent, tokenizer, seconds },
    task: fitting,
    base: model,
    weights: bestWeights,
    baseDirectory: modelDirectory,
    ...(signal && { signal }),
  });
}

/** Milliseconds of one training step of the recipe's shape, optimizer and validation allowed for. */
async function timeSteps(engine: Engine, recipe: Recipe): Promise<number> {
  const { contextLength, batchSize } = recipe.train;
  const { vocabularySize } = recipe.tokenizer;
  const model = buildDecoder(recipe, vocabularySize);
  const random = new Random(1);
  const initial = initializeParameters(model.parameters, random);
  const ids = () =>
    Int32Array.from({ length: batchSize * contextLength }, () => random.integer(vocabularySize));
  const batch = nextTokenExamples({ tokens: ids(), targets: ids() }, recipe.train);
  return STEP_OVERHEAD * (await timeStep(engine, { objective: new NextToken(model), initial, batch }));
}

async function complete(
  engine: Engine,
  { model, bestWeights, tokenizer }: Pick<QuickstartResult, "model" | "bestWeights" | "tokenizer">,
): Promise<Completion[]> {
  const completions: Completion[] = [];
  const decoder = new Decoder(engine, model, bestWeights);
  try {
    for (const { kind, prompt } of PROMPTS) {
      const sampling = { temperature: 0.7, topP: 0.95, seed: 1 };
      const { text } = await generate({ decoder, tokenizer, prompt, maxTokens: 70, sampling });
      completions.push({ kind, prompt, text });
    }
  } finally {
    decoder.dispose();
  }
  return completions;
}

/** Where the quickstart puts its run unless told otherwise. */
export const QUICKSTART_DIRECTORY: string = join("runs", "quickstart");
