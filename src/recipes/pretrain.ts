import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { trainCharTokenizer } from "../codecs/char-tokenizer.ts";
import { parseTokenizer, type Tokenizer } from "../codecs/tokenizer.ts";
import { trainByteBpe } from "../codecs/train-byte-bpe.ts";
import type { HostTensor } from "../core/dtype.ts";
import { type Corpus, openCorpus } from "../data/corpus.ts";
import { prepareCorpus } from "../data/prepare.ts";
import { sampleTraining } from "../data/sample.ts";
import type { SourceSpec } from "../data/sources.ts";
import { type SplitOptions, SplitReader } from "../data/split-reader.ts";
import type { Engine } from "../engine/engine.ts";
import { Decoder } from "../generate/decoder.ts";
import { generate } from "../generate/generate.ts";
import { writeFileAtomic } from "../hub/atomic-write.ts";
import { readJsonFile } from "../hub/read-json-file.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { saveModel } from "../models/save-model.ts";
import { countParameters } from "../nn/scope.ts";
import type { TrainEvent } from "../train/events.ts";
import { MetricsLog, readMetrics } from "../train/metrics-log.ts";
import { renderReport } from "../train/report.ts";
import { acquireRunLock } from "../train/run-lock.ts";
import { type TrainResult, train } from "../train/trainer.ts";
import { type NgramBaseline, scoreNgram } from "./baseline.ts";
import { describeCorpus, describeRun, modelCard } from "./describe.ts";
import type { Recipe } from "./recipe.ts";
import {
  beginRunDirectory,
  checkRunDirectory,
  flattenRecipe,
  hashRecipe,
  METRICS_FILE,
  MODEL_DIRECTORY,
} from "./run-directory.ts";

/** Text that a BPE tokenizer is trained on, at most. */
const TOKENIZER_SAMPLE_BYTES = 10_000_000;
const SAMPLE_TOKENS = 100;

export interface PretrainOptions {
  readonly engine: Engine;
  readonly recipe: Recipe;
  readonly sources: readonly SourceSpec[];
  /** Everything the run makes goes here. */
  readonly directory: string;
  readonly resume: boolean;
  /** One line about this computer, for the report. */
  readonly machine: string;
  /** What the samples continue; default: a fresh document. */
  readonly samplePrompt?: string;
  readonly onEvent: (event: TrainEvent) => void;
  readonly signal?: AbortSignal;
}

export interface PretrainResult extends TrainResult {
  /** The Hugging Face model directory with the best weights; there once the run has finished. */
  readonly modelDirectory: string;
  readonly reportPath: string;
  readonly baseline: NgramBaseline;
  readonly model: Gpt2;
  readonly tokenizer: Tokenizer;
  readonly corpus: Corpus["manifest"];
}

/**
 * Pretrains a model from text: tokenizer, shards, training, model directory, metrics and report, all in one directory.
 *
 * @throws {ConfigError} if the directory holds a run already and `resume` is off, if there is none or one of other
 *   settings and it is on, or if settings contradict each other.
 * @throws {DataError} if the data cannot be used.
 * @throws {EnvironmentError} if another process works in the directory, or the disk refuses.
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { directory, recipe, resume } = options;
  checkRunDirectory(directory, recipe, resume);
  const lock = acquireRunLock(directory);
  try {
    if (!resume) beginRunDirectory(directory, recipe);
    return await pretrainLocked(options);
  } finally {
    lock.release();
  }
}

async function pretrainLocked(options: PretrainOptions): Promise<PretrainResult> {
  const { recipe, sources, directory, engine } = options;
  const split: SplitOptions = { sources, ...recipe.corpus, seed: recipe.train.seed, exclude: [directory] };
  const tokenizer = obtainTokenizer(options, split);
  const corpusDirectory = join(directory, "corpus");
  await prepareCorpus({
    ...split,
    tokenizer,
    outDir: corpusDirectory,
    ...(options.signal && { signal: options.signal }),
  });
  const corpus = openCorpus(corpusDirectory, tokenizer.hash());
  try {
    const { contextLength } = recipe.train;
    const config = { ...recipe.model, vocabularySize: tokenizer.vocabularySize, contextLength };
    const model = new Gpt2(gpt2Config(config));
    const heldOut = corpus.validation.map(({ dataset }) => dataset);
    const baseline = scoreNgram(
      tokenizer,
      corpus.train.map(({ dataset }) => dataset),
      heldOut,
    );
    const journal = new Journal(options, corpus, model, baseline);
    try {
      const result = await train({
        engine,
        model,
        train: corpus.train,
        heldOut: {
          datasets: heldOut,
          bytes: heldOutBytes(corpus, tokenizer),
          endOfTextId: tokenizer.endOfTextId,
        },
        options: recipe.train,
        identity: {
          configHash: hashRecipe(recipe),
          tokenizerHash: tokenizer.hash(),
          dataHash: hashShards(corpus.manifest),
        },
        directory,
        resume: options.resume,
        title: describeRun(model),
        onEvent: (event) => journal.record(event),
        sample: (weights) => sampleText(options, model, tokenizer, weights),
        ...(options.signal && { signal: options.signal }),
      });
      const modelDirectory = join(directory, MODEL_DIRECTORY);
      if (result.reason === "finished") {
        const card = modelCard(model, corpus.manifest, recipe, result, baseline);
        saveModel(modelDirectory, { model, weights: result.bestWeights, tokenizer, card });
      }
      const { manifest } = corpus;
      return {
        ...result,
        modelDirectory,
        reportPath: journal.reportPath,
        baseline,
        model,
        tokenizer,
        corpus: manifest,
      };
    } finally {
      journal.close();
    }
  } finally {
    corpus.close();
  }
}

/** The run's tokenizer: trained when it begins, read back when it goes on. */
function obtainTokenizer({ recipe, directory, resume }: PretrainOptions, split: SplitOptions): Tokenizer {
  const path = join(directory, "tokenizer.json");
  if (resume && existsSync(path)) return parseTokenizer(readJsonFile(path), path);
  const tokenizer = trainTokenizer(recipe, split);
  writeFileAtomic(path, JSON.stringify(tokenizer.toJSON()));
  return tokenizer;
}

function trainTokenizer({ tokenizer: { kind, vocabularySize } }: Recipe, split: SplitOptions): Tokenizer {
  if (kind === "bpe") return trainByteBpe(sampleTraining(split, TOKENIZER_SAMPLE_BYTES), { vocabularySize });
  // An alphabet has to cover the held-out text too: it knows which characters exist, and nothing about them.
  return trainCharTokenizer(allTexts(split));
}

function* allTexts(split: SplitOptions): Generator<string> {
  for (const { text } of new SplitReader(split).texts()) yield text;
}

/** Bytes of held-out text that are scored: all but the first token of each source, which nothing precedes. */
function heldOutBytes(corpus: Corpus, tokenizer: Tokenizer): number {
  const first = new Int32Array(1);
  const total = corpus.manifest.sources.reduce((bytes, { validation }) => bytes + validation.bytes, 0);
  return corpus.validation.reduce((bytes, { dataset }) => {
    if (dataset.numTokens === 0) return bytes;
    dataset.read(0, 1, first);
    return bytes - tokenizer.tokenBytes(first[0]!).length;
  }, total);
}

async function sampleText(
  { engine, samplePrompt, recipe }: PretrainOptions,
  model: Gpt2,
  tokenizer: Tokenizer,
  weights: ReadonlyMap<string, HostTensor>,
): Promise<{ prompt: string; text: string }> {
  const decoder = new Decoder(engine, model, weights);
  try {
    const prompt = samplePrompt ?? "";
    const { seed } = recipe.train;
    const room = model.shape.contextLength - Math.max(1, tokenizer.encode(prompt).length);
    const { text } = await generate({
      decoder,
      tokenizer,
      prompt,
      maxTokens: Math.min(SAMPLE_TOKENS, room),
      sampling: { temperature: 0.8, topK: 50, seed },
    });
    return { prompt, text };
  } finally {
    decoder.dispose();
  }
}

/** Keeps the run's metrics and its report up to date, and passes events on. */
class Journal {
  readonly reportPath: string;
  readonly #options: PretrainOptions;
  readonly #metricsPath: string;
  readonly #describe: () => Omit<Parameters<typeof renderReport>[0], "events" | "next">;
  #log: MetricsLog | undefined;
  /** Notices from before the log was open, such as that of a damaged checkpoint. */
  readonly #early: TrainEvent[] = [];

  constructor(options: PretrainOptions, corpus: Corpus, model: Gpt2, baseline: NgramBaseline) {
    const startedAt = new Date().toISOString();
    this.#options = options;
    this.#metricsPath = join(options.directory, METRICS_FILE);
    this.reportPath = join(options.directory, "report.html");
    this.#describe = () => ({
      title: describeRun(model),
      startedAt,
      machine: options.machine,
      config: { parameters: countParameters(model.parameters), ...flattenRecipe(options.recipe) },
      corpus: describeCorpus(corpus.manifest),
      baselines: [baseline],
    });
  }

  record(event: TrainEvent): void {
    if (event.type === "start") {
      this.#log = this.#options.resume
        ? MetricsLog.resume(this.#metricsPath, event.step)
        : MetricsLog.create(this.#metricsPath);
      for (const notice of this.#early) this.#log.append(notice);
    }
    if (this.#log) this.#log.append(event);
    else this.#early.push(event);
    this.#options.onEvent(event);
    if (event.type === "validation" || event.type === "end") this.#writeReport();
  }

  close(): void {
    this.#log?.close();
  }

  #writeReport(): void {
    const model = join(this.#options.directory, MODEL_DIRECTORY);
    const next = [
      `npx plinth generate ${model} --prompt "Once" --max-tokens 200`,
      `npx plinth score ${model} --text "Some text"`,
      `npx plinth inspect ${model}`,
    ];
    const events = readMetrics(this.#metricsPath);
    writeFileAtomic(this.reportPath, renderReport({ ...this.#describe(), events, next }));
  }
}

/** Identifies the tokens of a corpus, wherever they came from. */
function hashShards({ sources }: Corpus["manifest"]): string {
  const shards = sources.map(({ train, validation }) => [train.shards, validation.shards]);
  return createHash("sha256").update(JSON.stringify(shards)).digest("hex");
}
