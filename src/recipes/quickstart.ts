import { join } from "node:path";
import { Random } from "../core/random.ts";
import type { Engine } from "../engine/engine.ts";
import { Decoder } from "../generate/decoder.ts";
import { generate } from "../generate/generate.ts";
import type { CausalLM } from "../models/contracts.ts";
import { initializeParameters } from "../nn/scope.ts";
import type { TrainEvent } from "../train/events.ts";
import { GradientProgram } from "../train/gradient-program.ts";
import { NextToken, nextTokenExamples } from "../train/next-token.ts";
import { ParameterArena } from "../train/parameter-arena.ts";
import { buildDecoder } from "./decoder-trainee.ts";
import { findLocalCorpus, type LocalCorpus } from "./local-corpus.ts";
import { type PretrainResult, pretrain } from "./pretrain.ts";
import { type Recipe, readRecipe } from "./recipe.ts";

/** Wall-clock time for the training itself; gathering, tokenising and the rest take well under a minute. */
const TRAINING_SECONDS = 225;
const MIN_STEPS = 60;
const MAX_STEPS = 4000;
const VALIDATIONS = 3;

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

/** A pretraining run on what was found, with a few completions. */
export interface QuickstartResult extends Omit<PretrainResult, "model"> {
  readonly model: CausalLM;
  readonly corpusFound: LocalCorpus["found"];
  readonly completions: readonly Completion[];
}

/**
 * The whole story in minutes, on text found on this machine: gather, train a tokenizer, pretrain, save, complete.
 *
 * The number of steps is chosen by timing a few, so that a slow machine trains for less and not for longer.
 */
export async function quickstart(options: QuickstartOptions): Promise<QuickstartResult> {
  const { engine, directory, machine, onEvent, onNotice, signal } = options;
  const corpus = findLocalCorpus(options.from ?? process.cwd());
  for (const { label, files, bytes } of corpus.found) {
    onNotice(`found ${(bytes / 1e6).toFixed(1)} MB of ${label} in ${files} files of installed packages`);
  }
  const stepMs = await timeSteps(engine, readRecipe(BASE));
  const seconds = options.trainingSeconds ?? TRAINING_SECONDS;
  const steps = Math.max(MIN_STEPS, Math.min(MAX_STEPS, Math.floor((seconds * 1000) / stepMs)));
  onNotice(`a step takes ${stepMs.toFixed(0)} ms here: ${steps} steps`);
  const validateEvery = Math.ceil(steps / VALIDATIONS);
  const recipe = readRecipe({
    ...BASE,
    train: { ...BASE.train, steps, validateEvery, saveEvery: validateEvery },
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
  return { ...result, model, corpusFound: corpus.found, completions };
}

/** Milliseconds of one training step of the recipe's shape, optimizer and validation allowed for. */
async function timeSteps(engine: Engine, recipe: Recipe): Promise<number> {
  const { contextLength, batchSize } = recipe.train;
  const { vocabularySize } = recipe.tokenizer;
  const model = buildDecoder(recipe, vocabularySize);
  const arena = new ParameterArena(model.parameters);
  const random = new Random(1);
  for (const [path, { data }] of initializeParameters(model.parameters, random)) {
    (arena.weights().get(path)!.data as Float32Array).set(data as Float32Array);
  }
  const program = new GradientProgram(engine, new NextToken(model), arena, recipe.train);
  const ids = () =>
    Int32Array.from({ length: batchSize * contextLength }, () => random.integer(vocabularySize));
  const batch = nextTokenExamples({ tokens: ids(), targets: ids() }, recipe.train);
  try {
    await program.run([batch]);
    const started = performance.now();
    for (let i = 0; i < 5; i++) await program.run([batch]);
    return ((performance.now() - started) / 5) * 1.15;
  } finally {
    program.dispose();
  }
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
