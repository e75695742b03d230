import { loadAdapted } from "../adapt/load-adapted.ts";
import { ConfigError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import type { Engine } from "../engine/engine.ts";
import { resolveModel } from "../hub/resolve-model.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import { describeModel } from "../models/describe-model.ts";
import { type Loaded, loadClassifier, loadEncoder, loadModel } from "../models/load-model.ts";
import { checkMemory } from "../plan/check-memory.ts";
import { type Answer, answerQuestion } from "./answer-question.ts";
import { ClassifierModel } from "./classifier-model.ts";
import { classifyByLikelihood } from "./classify-by-likelihood.ts";
import { classifySequence, type LabelScore } from "./classify-sequence.ts";
import { classifyTokens } from "./classify-tokens.ts";
import { type EmbedOptions, embed } from "./embed.ts";
import { EncoderModel } from "./encoder-model.ts";
import { type FilledMask, fillMask } from "./fill-mask.ts";
import { LanguageModel } from "./language-model.ts";
import { type SummarizeOptions, summarize } from "./summarize.ts";
import {
  type GeneratedText,
  generateTexts,
  type TextGenerationOptions,
  type TextPrompt,
} from "./text-generation.ts";

export interface PipelineOptions {
  /** Default: a new one with all cores. */
  readonly engine?: Engine | undefined;
  /** Branch, tag or commit of a model on Hugging Face. */
  readonly revision?: string | undefined;
  /** Ask nobody, use what is in the cache. */
  readonly local_files_only?: boolean | undefined;
  /** Where models from Hugging Face are kept; default: where Python keeps them. */
  readonly cache_dir?: string | undefined;
  /** Told of a download as a whole. */
  readonly progress_callback?: ((progress: PipelineProgress) => void) | undefined;
  /** An adapter of the model, by its directory in PEFT's layout. */
  readonly adapter?: string | undefined;
  /** False loads a model that will not fit into memory all the same. */
  readonly checkMemory?: boolean | undefined;
}

/** How far the download of a model has come. */
export interface PipelineProgress {
  readonly status: "progress_total";
  /** Percent. */
  readonly progress: number;
  /** Bytes. */
  readonly loaded: number;
  readonly total: number;
}

/** A candidate for a masked token. */
export interface FilledToken {
  readonly score: number;
  readonly token: number;
  readonly token_str: string;
  readonly sequence: string | undefined;
}

/** A stretch of a text with a label. */
export interface FoundEntity {
  readonly entity_group: string;
  readonly score: number;
  readonly word: string;
  readonly start: number;
  readonly end: number;
}

/** Vectors one after the other, `dims` (texts, width). */
export interface Embeddings {
  readonly dims: readonly [number, number];
  readonly data: Float32Array;
  tolist(): number[][];
}

/** Labels of a text, likeliest first. */
export interface ZeroShotResult {
  readonly sequence: string;
  readonly labels: readonly string[];
  readonly scores: readonly number[];
}

interface TopK {
  readonly top_k?: number;
}

/** What a pipeline of each task is called with, and gives. */
interface Calls {
  "text-generation": (
    input: TextPrompt | readonly TextPrompt[],
    options?: TextGenerationOptions,
  ) => Promise<GeneratedText[] | GeneratedText[][]>;
  summarization: (
    input: string | readonly string[],
    options?: SummarizeOptions,
  ) => Promise<{ readonly summary_text: string }[]>;
  "zero-shot-classification": (
    input: string | readonly string[],
    labels: readonly string[],
    options?: { readonly template?: string },
  ) => Promise<ZeroShotResult | ZeroShotResult[]>;
  "fill-mask": (
    input: string | readonly string[],
    options?: TopK,
  ) => Promise<FilledToken[] | FilledToken[][]>;
  "feature-extraction": (input: string | readonly string[], options?: EmbedOptions) => Promise<Embeddings>;
  "text-classification": (
    input: string | readonly string[],
    options?: TopK,
  ) => Promise<readonly LabelScore[] | readonly (readonly LabelScore[])[]>;
  "token-classification": (
    input: string | readonly string[],
    options?: { readonly ignore_labels?: readonly string[] },
  ) => Promise<FoundEntity[] | FoundEntity[][]>;
  "sentiment-analysis": Calls["text-classification"];
  ner: Calls["token-classification"];
  "question-answering": (
    question: string,
    context: string,
    options?: TopK,
  ) => Promise<{ readonly answer: string; readonly score: number } | readonly Answer[]>;
}

/** The tasks of {@link pipeline}. */
export type PipelineTask = keyof Calls;

/** A model that is called like a function; `dispose` gives its native memory back. */
export type Pipeline<T extends PipelineTask> = Calls[T] & { dispose(): void };

function summarizeTexts(model: LanguageModel): Calls["summarization"] {
  return async (input, options) => {
    const results: { summary_text: string }[] = [];
    for (const text of listOf(input))
      results.push({ summary_text: (await summarize(model, text, options)).summary });
    return results;
  };
}

function classifyWithoutTraining(model: LanguageModel): Calls["zero-shot-classification"] {
  return async (input, labels, options) => {
    const texts = listOf(input);
    const found = await classifyByLikelihood(model, texts, { labels, ...options });
    const results = found.map((row, i) => ({
      sequence: texts[i]!,
      labels: row.map(({ label }) => label),
      scores: row.map(({ probability }) => probability),
    }));
    return typeof input === "string" ? results[0]! : results;
  };
}

function fillMasks(model: EncoderModel): Calls["fill-mask"] {
  return async (input, { top_k: topK = 5 } = {}) => {
    const found = await fillMask(model, listOf(input), { topK });
    const results = found.map((masks, i) => toFilledTokens(masks, `fill-mask, text ${i + 1}`));
    return typeof input === "string" ? results[0]! : results;
  };
}

function toFilledTokens(masks: readonly FilledMask[], where: string): FilledToken[] {
  if (masks.length !== 1) {
    const fix = "Use fillMask, which takes any number.";
    throw new ConfigError({ where, expected: "one mask", got: `${masks.length}`, fix });
  }
  return masks[0]!.candidates.map(({ probability, tokenId, token, text }) => ({
    score: probability,
    token: tokenId,
    token_str: token,
    sequence: text,
  }));
}

function extractFeatures(model: EncoderModel): Calls["feature-extraction"] {
  return async (input, options) => {
    const vectors = await embed(model, listOf(input), options);
    const width = vectors[0]?.length ?? 0;
    const data = new Float32Array(vectors.length * width);
    vectors.forEach((vector, i) => {
      data.set(vector, i * width);
    });
    return { dims: [vectors.length, width], data, tolist: () => vectors.map((vector) => Array.from(vector)) };
  };
}

function classifyTexts(model: EncoderModel | ClassifierModel): Calls["text-classification"] {
  return async (input, { top_k: topK = 1 } = {}) => {
    const found = await classifySequence(model, listOf(input), { topK });
    if (topK === 1) return found.map(([best]) => best!);
    return typeof input === "string" ? found[0]! : found;
  };
}

function findEntities(model: EncoderModel): Calls["token-classification"] {
  return async (input, { ignore_labels: ignoredLabels } = {}) => {
    const found = await classifyTokens(model, listOf(input), { ignoredLabels });
    const results = found.map((entities) =>
      entities.map(({ label, score, text, start, end }) => ({
        entity_group: label,
        score,
        word: text,
        start,
        end,
      })),
    );
    return typeof input === "string" ? results[0]! : results;
  };
}

function answerQuestions(model: EncoderModel): Calls["question-answering"] {
  return async (question, context, { top_k: topK = 1 } = {}) => {
    const [answers] = await answerQuestion(model, [{ question, context }], { topK });
    return topK === 1 ? { answer: answers![0]!.text, score: answers![0]!.score } : answers!;
  };
}

/** Tasks of models that predict the next token. */
const CAUSAL: { readonly [T in PipelineTask]?: (model: LanguageModel) => Calls[T] } = {
  "text-generation": (model) => (input, options) => generateTexts(model, input, options),
  summarization: summarizeTexts,
  "zero-shot-classification": classifyWithoutTraining,
};

/** Tasks of encoders. */
const ENCODER: { readonly [T in PipelineTask]?: (model: EncoderModel) => Calls[T] } = {
  "fill-mask": fillMasks,
  "feature-extraction": extractFeatures,
  "text-classification": classifyTexts,
  "sentiment-analysis": classifyTexts,
  "token-classification": findEntities,
  ner: findEntities,
  "question-answering": answerQuestions,
};

/** Tasks of decoders that sort texts. */
const CLASSIFIER: { readonly [T in PipelineTask]?: (model: ClassifierModel) => Calls[T] } = {
  "text-classification": classifyTexts,
  "sentiment-analysis": classifyTexts,
};

/**
 * A model for a task, in the shape that users of transformers.js know. The library's own functions (`generate`, `fillMask`, `embed` …)
 * offer more.
 *
 * @param task such as `text-generation`, `fill-mask`, `feature-extraction`
 * @param model a model directory, or the id of a model on Hugging Face
 * @throws {ConfigError} if there is no such task, or the model is not for it.
 * @throws {EnvironmentError} if there is no such model, or memory does not suffice.
 * @throws as `resolveModel`, `loadModel` and `loadAdapter`
 * @example
 * const generator = await pipeline("text-generation", "runs/first/model");
 * const [{ generated_text }] = await generator("Once upon a time", { max_new_tokens: 20 });
 * generator.dispose();
 */
export async function pipeline<T extends PipelineTask>(
  task: T,
  model: string,
  options: PipelineOptions = {},
): Promise<Pipeline<T>> {
  const causal = CAUSAL[task];
  const encoder = ENCODER[task];
  if (!causal && !encoder) {
    const known = [...Object.keys(CAUSAL), ...Object.keys(ENCODER)];
    const fix = suggest(String(task), known);
    throw new ConfigError({ where: "pipeline", expected: "a task", got: JSON.stringify(task), fix });
  }
  const { engine, adapter, checkMemory: checks = true } = options;
  const directory = await findModel(model, options);
  if (checks) checkMemory(directory);
  const classifier = CLASSIFIER[task];
  const isClassifier = classifier && ClassifierModel.isIn(directory);
  if (classifier && (isClassifier || describeModel(directory).kind === "causal")) {
    const loaded = load<CausalLM>(isClassifier ? loadClassifier(directory) : loadModel(directory), adapter);
    if (ClassifierModel.fits(loaded)) return withDispose(new ClassifierModel(loaded, { engine }), classifier);
  }
  if (causal) return withDispose(new LanguageModel(load(loadModel(directory), adapter), { engine }), causal);
  return withDispose(new EncoderModel(load(loadEncoder(directory), adapter), { engine }), encoder!);
}

function load<M extends CausalLM | Encoder>(base: Loaded<M>, adapter: string | undefined): Loaded<M> {
  return adapter === undefined ? base : loadAdapted(base, adapter);
}

function withDispose<M extends { dispose(): void }, C extends object>(model: M, make: (model: M) => C) {
  return Object.assign(make(model), { dispose: () => model.dispose() });
}

async function findModel(model: string, options: PipelineOptions): Promise<string> {
  const { revision, local_files_only: offline, cache_dir: cache, progress_callback: tell } = options;
  const { directory } = await resolveModel(model, {
    ...(revision !== undefined && { revision }),
    ...(offline !== undefined && { offline }),
    ...(cache !== undefined && { cache }),
    onProgress: ({ receivedBytes: loaded, totalBytes: total }) =>
      tell?.({ status: "progress_total", progress: total > 0 ? (100 * loaded) / total : 100, loaded, total }),
  });
  return directory;
}

function listOf(input: string | readonly string[]): readonly string[] {
  return typeof input === "string" ? [input] : input;
}
