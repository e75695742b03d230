import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Engine } from "../../engine/engine.ts";
import { writeFileAtomic } from "../../hub/atomic-write.ts";
import { countParameters } from "../../nn/scope.ts";
import type { TrainEvent } from "../../train/events.ts";
import type { Quality } from "../../train/quality.ts";
import { renderCosts } from "../../train/report/cost-table.ts";
import type { Baseline } from "../../train/report.ts";
import { acquireRunLock } from "../../train/run-lock.ts";
import type { TrainResult } from "../../train/train-run.ts";
import { train } from "../../train/trainer.ts";
import { describeRun } from "../describe.ts";
import { flattenRecipe, hashRecipe } from "../flat-recipe.ts";
import { Journal } from "../journal.ts";
import type { MemoryLimits } from "../memory-limits.ts";
import { beginRunDirectory, checkRunDirectory, MODEL_DIRECTORY } from "../run-directory.ts";
import { adaptCard, type CardFacts } from "./adapt-card.ts";
import { type AdaptInput, type ReadRecipe, readAdaptRecipe } from "./adapt-recipe.ts";
import { type Costs, measureCosts } from "./costs.ts";
import { measureBaseline } from "./measure-baseline.ts";
import type { BaseModel } from "./method.ts";
import { prepareBase } from "./prepare-base.ts";
import { checkRunMemory } from "./run-memory.ts";
import { saveResult, savesWhole } from "./save-result.ts";
import type { DataSources, Judgement, PreparedTask } from "./task.ts";
import { assembleTrainee, type Trainee } from "./trainee.ts";

export interface AdaptOptions extends MemoryLimits {
  readonly engine: Engine;
  /** The base's directory. */
  readonly base: string;
  /** What it is called in model cards and adapter files; default: the directory. */
  readonly baseName?: string;
  readonly task: string;
  readonly method: string;
  /** Sections of settings that differ from the fallbacks, such as `{ lora: { rank: 16 }, train: { steps: 300 } }`. */
  readonly settings?: AdaptInput;
  readonly data: DataSources;
  /** Everything the run makes goes here. */
  readonly directory: string;
  readonly resume?: boolean;
  /** One line about this computer, for the report. */
  readonly machine?: string;
  /** How to call Plinth, for the report's list of what to type next; default `npx plinth`. */
  readonly command?: string;
  readonly onEvent?: (event: TrainEvent) => void;
  readonly signal?: AbortSignal;
}

/** What a run made, and how good it became. */
export interface AdaptResult extends TrainResult {
  /** An adapter in PEFT's layout, or a whole model; there once the run has finished. */
  readonly resultDirectory: string;
  readonly reportPath: string;
  /** What to do with the result, as words after `plinth`. */
  readonly nextCommands: readonly string[];
  readonly trainedParameters: number;
  /** How the base did before, by the same measure, and what else there is to compare with. */
  readonly baselines: readonly Baseline[];
  /** What a closer look at the finished model found. */
  readonly judged: Quality | undefined;
  readonly costs: Costs | undefined;
  readonly recipe: ReadRecipe["recipe"];
}

/** The adapter, where the method makes one. */
const ADAPTER_DIRECTORY = "adapter";

/** One record for each held-out example that was judged. */
const PREDICTIONS_FILE = "predictions.jsonl";

/**
 * Adapts a base to a task: data, method, training, adapter or model directory, metrics and report, all in one directory.
 *
 * @throws {ConfigError} if settings are unknown or contradict each other, the directory holds another run, or the base does not fit
 *   task or method.
 * @throws {DataError} if examples cannot be used.
 * @throws {EnvironmentError} if another process works in the directory, the run will not fit into memory, or the disk refuses.
 */
export async function adapt(options: AdaptOptions): Promise<AdaptResult> {
  const { directory, resume = false, engine, data } = options;
  const read = readAdaptRecipe(options.task, options.method, options.settings ?? {}, options.base);
  checkRunDirectory(directory, read.recipe, resume);
  const isNew = !existsSync(directory);
  const lock = acquireRunLock(directory);
  try {
    const base = await prepareBase(options.base, directory, read.method, options.signal);
    const early: string[] = [];
    const context = {
      ...{ engine, base, data, recipe: read.recipe },
      onNotice: (text: string) => early.push(text),
    };
    const run = { read, options, usedBase: base, notices: early };
    return await read.task.prepare(context, (prepared) => adaptPrepared(prepared, run));
  } finally {
    lock.release();
    if (isNew && readdirSync(directory).length === 0) rmdirSync(directory);
  }
}

/** A run whose recipe is read. */
interface Run {
  readonly read: ReadRecipe;
  readonly options: AdaptOptions;
  /** The directory that the base was loaded from: where the method quantises, not the user's. */
  readonly usedBase: string;
  /** What was told while the task was prepared. */
  readonly notices: readonly string[];
}

async function adaptPrepared<M extends BaseModel>(
  prepared: PreparedTask<M>,
  { read, options, usedBase, notices }: Run,
): Promise<AdaptResult> {
  const { engine, directory, resume = false, signal } = options;
  const { recipe, method } = read;
  const trainee = assembleTrainee(prepared, method, recipe.train.seed);
  const needed = checkRunMemory(prepared, trainee, read, options);
  // The run's own measure, before anything is learnt.
  const first = prepared.measure(trainee.model, over(trainee.frozen, trainee.initialWeights));
  const before = await measureBaseline("before adapting", first);
  const baselines = [...prepared.baselines, before];
  const title = `${recipe.adapt.task} by ${recipe.adapt.method} · ${describeRun(prepared.model)}`;
  const resultDirectory = join(directory, trainee.adapter ? ADAPTER_DIRECTORY : MODEL_DIRECTORY);
  const trainedParameters = countParameters(trainee.objective.model.parameters);
  const next = nextCommands(prepared, trainee, usedBase, directory);
  const journal = openJournal(prepared, { options, recipe, title, baselines, trainedParameters, next });
  if (!resume) beginRunDirectory(directory, recipe, prepared.tokenizer);
  for (const [name, text] of Object.entries(prepared.files ?? {}))
    writeFileAtomic(join(directory, name), text);
  for (const message of [needed, ...notices]) journal.record({ type: "notice", step: 0, message });
  const { sample } = prepared;
  try {
    const result = await train({
      ...{ engine, directory, resume, title, options: recipe.train, ...(signal && { signal }) },
      ...{ objective: trainee.objective, initialWeights: trainee.initialWeights, frozen: trainee.frozen },
      examples: trainee.examples,
      measure: (arena) => prepared.measure(trainee.model, over(trainee.frozen, arena.weights())),
      identity: {
        configHash: hashRecipe(recipe),
        tokenizerHash: prepared.tokenizer.hash(),
        dataHash: prepared.dataHash,
      },
      onEvent: (event) => journal.record(event),
      ...(sample && { sample: (weights) => sample(trainee.model, over(trainee.frozen, weights)) }),
    });
    const { reportPath } = journal;
    const common = {
      ...{ ...result, resultDirectory, reportPath, trainedParameters, baselines, recipe },
      nextCommands: next,
    };
    if (result.reason === "stopped") return { ...common, judged: undefined, costs: undefined };
    const judgement = await prepared.judge(trainee.model, over(trainee.frozen, result.bestWeights));
    const card = {
      ...{ title, recipe, result, baselines, corpus: prepared.corpus, judged: judgement?.quality },
      ...{ baseName: options.baseName ?? options.base, isAdapter: trainee.adapter !== undefined },
    };
    const costs = finish({ prepared, trainee, options, result, judgement, card, resultDirectory });
    journal.writeReport([renderCosts(costs.rows), ...(judgement?.sections ?? [])]);
    return { ...common, judged: judgement?.quality, costs };
  } finally {
    journal.close();
  }
}

/** What the report says from the beginning. */
interface JournalFacts extends Pick<AdaptResult, "recipe" | "baselines" | "trainedParameters"> {
  readonly options: AdaptOptions;
  readonly title: string;
  readonly next: readonly string[];
}

function openJournal<M extends BaseModel>(
  { corpus }: PreparedTask<M>,
  { options, recipe, title, baselines, trainedParameters, next }: JournalFacts,
): Journal {
  const { directory, resume = false, command, machine = "", onEvent = () => {} } = options;
  const base = options.baseName ?? options.base;
  return new Journal({
    ...{ directory, resume, onEvent, command },
    nextCommands: next,
    description: {
      ...{ title, machine, baselines, corpus },
      config: { base, "trained parameters": trainedParameters, ...flattenRecipe(recipe) },
    },
  });
}

/** What to type next: with the whole model where one is written, else with the adapter on the base that it was trained over. */
function nextCommands<M extends BaseModel>(
  prepared: PreparedTask<M>,
  { adapter }: Trainee<M>,
  base: string,
  directory: string,
): readonly string[] {
  const isWhole = !adapter || savesWhole(prepared);
  const model = isWhole
    ? join(directory, MODEL_DIRECTORY)
    : `${base} --adapter ${join(directory, ADAPTER_DIRECTORY)}`;
  return prepared.nextCommands(model);
}

/** What a finished run has at hand. */
interface Finished<M extends BaseModel> {
  readonly prepared: PreparedTask<M>;
  readonly trainee: Trainee<M>;
  readonly options: AdaptOptions;
  readonly result: TrainResult;
  readonly judgement: Judgement | undefined;
  readonly card: CardFacts;
  readonly resultDirectory: string;
}

/** Writes adapter or model and predictions, and counts what it all took. */
function finish<M extends BaseModel>(finished: Finished<M>): Costs {
  const { prepared, trainee, options, result, judgement, card, resultDirectory } = finished;
  saveResult(resultDirectory, join(options.directory, MODEL_DIRECTORY), {
    ...{ prepared, trainee, bestWeights: result.bestWeights },
    ...{ baseName: card.baseName, card: adaptCard(card) },
  });
  if (judgement) {
    const lines = judgement.predictions.map((record) => JSON.stringify(record));
    writeFileAtomic(join(options.directory, PREDICTIONS_FILE), `${lines.join("\n")}\n`);
  }
  return measureCosts({ prepared, trainee, result, baseDirectory: options.base, resultDirectory });
}

function over<V>(one: ReadonlyMap<string, V>, other: ReadonlyMap<string, V>): ReadonlyMap<string, V> {
  return new Map([...one, ...other]);
}
