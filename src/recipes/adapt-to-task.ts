import { join } from "node:path";
import { AdaptedDecoder, firstAdapterWeights } from "../adapt/adapter.ts";
import { encodeRows } from "../adapt/encode-rows.ts";
import { instructionRow } from "../adapt/instruction-row.ts";
import { Lora } from "../adapt/lora.ts";
import { saveAdapter } from "../adapt/peft/adapter-file.ts";
import { rowStream } from "../adapt/row-stream.ts";
import type { TrainingRow } from "../adapt/training-row.ts";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import { Random } from "../core/random.ts";
import type { HostWeights } from "../core/weights.ts";
import type { Engine } from "../engine/engine.ts";
import type { CausalLM } from "../models/contracts.ts";
import { initializeParameters } from "../nn/scope.ts";
import type { TrainEvent } from "../train/events.ts";
import { NextToken } from "../train/next-token.ts";
import { type TrainOptions, trainOptions } from "../train/options.ts";
import { trainOnly } from "../train/train-only.ts";
import { type KindBaseline, scoreKindBaselines } from "./kind-baselines.ts";
import type { LocalTask, TaskRow } from "./local-task.ts";
import { writeRivalryPage } from "./rivalry-page.ts";
import { compareRivals, type RivalName, type Rivalry } from "./rivals.ts";
import { timeStep } from "./time-step.ts";

/** Where the adapter goes, in the run's directory. */
const ADAPTER_DIRECTORY = "adapter";

/** A correction of about a tenth of the base's numbers, on all its linear layers. */
const LORA = { rank: 8, alpha: 16, targets: "all-linear" } as const;

/**
 * The last norm is trained whole. It sets how sure the scores can be: in a young base with its table of tokens as head, the best aligned
 * hidden state still left 1.6 nats on the end of text, which no correction before the norm can mend.
 */
const SAVED_MODULE = "model.norm";

/** A new network takes longer to learn than a corrected one. */
const TIME_SHARE = { adapted: 0.35, scratch: 0.65 } as const;
const LEARNING_RATE = { adapted: 1e-2, scratch: 3e-3 } as const;
const BATCH_SIZE = 16;
const VALIDATIONS = 10;
const MIN_STEPS = 20;
const MAX_STEPS = 600;

/** Held-out rows only go forward, which is a third of the work. */
const FORWARD_SHARE = 1 / 3;

/** What is adapted, to what, and where. */
export interface TaskAdaptationOptions {
  readonly engine: Engine;
  readonly base: CausalLM;
  readonly weights: HostWeights;
  readonly tokenizer: Tokenizer;
  /** The base's model directory, which the adapter names. */
  readonly baseDirectory: string;
  readonly task: LocalTask;
  /** Of the run: adapter and page go there. */
  readonly directory: string;
  /** For both rivals together, measuring included. */
  readonly seconds: number;
  readonly onEvent: (event: TrainEvent) => void;
  readonly signal?: AbortSignal;
}

/** What came of it. */
export interface TaskAdaptation {
  readonly task: LocalTask;
  readonly rivalry: Rivalry;
  readonly baselines: readonly KindBaseline[];
  readonly adapterDirectory: string;
  readonly pagePath: string;
}

/**
 * Adapts a base with LoRA to a task beside the same network from scratch on the same rows, and keeps the adapter in PEFT's layout
 * and a page of both curves. Each rival gets the steps that its share of the time allows, by timing a few.
 *
 * @returns absent if the signal came before both were done
 * @throws as `compareRivals` and `saveAdapter`
 */
export async function adaptToTask(options: TaskAdaptationOptions): Promise<TaskAdaptation | undefined> {
  const { engine, base, weights, task, directory, signal } = options;
  const adapter = new Lora(base, LORA);
  const rows = encode(options, task.training);
  const heldOut = encode(options, task.heldOut);
  const alsoTrained = base.parameters.filter(({ path }) => path.startsWith(`${SAVED_MODULE}.`));
  const steps = await chooseSteps(options, adapter, rows, heldOut.length);
  const rivalry = await compareRivals({
    ...{ engine, base, weights, adapter, alsoTrained, rows, heldOut, metric: "exact match" },
    adapted: settings(base, "adapted", steps.adapted),
    scratch: settings(base, "scratch", steps.scratch),
    onEvent: (rival, event) => options.onEvent(withTitle(rival, event)),
    ...(signal && { signal }),
  });
  if (signal?.aborted) return undefined;
  const adapterDirectory = join(directory, ADAPTER_DIRECTORY);
  saveAdapter(adapterDirectory, {
    base: { model: base, weights },
    baseName: options.baseDirectory,
    adapter,
    weights: rivalry.adapted.bestWeights,
    modulesToSave: [SAVED_MODULE],
  });
  const baselines = scoreKindBaselines(task);
  const pagePath = join(directory, "adaptation.html");
  writeRivalryPage(pagePath, { rivalry, baselines, task });
  return { task, rivalry, baselines, adapterDirectory, pagePath };
}

/** How the rivals are called. */
export const RIVAL_TITLES: Readonly<Record<RivalName, string>> = {
  adapted: "the base with LoRA",
  full: "the base, all of it trained",
  scratch: "the same network from scratch",
};

function withTitle(rival: RivalName, event: TrainEvent): TrainEvent {
  return event.type === "start" ? { ...event, title: RIVAL_TITLES[rival] } : event;
}

function encode({ base, tokenizer }: TaskAdaptationOptions, rows: readonly TaskRow[]) {
  const { contextLength } = base.shape;
  return encodeRows(rows, (row) => instructionRow(tokenizer, row), { maxLength: contextLength }).rows;
}

function settings({ shape }: CausalLM, rival: keyof typeof TIME_SHARE, steps: number): TrainOptions {
  return trainOptions({
    ...{ steps, batchSize: BATCH_SIZE, contextLength: shape.contextLength },
    learningRate: LEARNING_RATE[rival],
    validateEvery: Math.max(1, Math.floor(steps / VALIDATIONS)),
    ...{ saveEvery: steps, sampleEvery: steps },
  });
}

async function chooseSteps(
  { engine, base, weights, seconds }: TaskAdaptationOptions,
  adapter: Lora,
  rows: readonly TrainingRow[],
  numHeldOut: number,
): Promise<Readonly<Record<keyof typeof TIME_SHARE, number>>> {
  const random = new Random(1);
  const { contextLength } = base.shape;
  const batch = await rowStream(rows, { batchSize: BATCH_SIZE, contextLength, seed: 1 }).next();
  const adaptedMs = await timeStep(engine, {
    objective: trainOnly(new NextToken(new AdaptedDecoder(base, adapter)), adapter.parameters),
    initial: firstAdapterWeights(adapter, weights, random),
    frozen: weights,
    batch,
  });
  const initial = initializeParameters(base.parameters, random);
  const scratchMs = await timeStep(engine, { objective: new NextToken(base), initial, batch });
  const measuringMs = VALIDATIONS * (numHeldOut / BATCH_SIZE) * FORWARD_SHARE * scratchMs;
  const stepsIn = (share: number, stepMs: number) => {
    const steps = Math.floor((share * seconds * 1000 - measuringMs) / stepMs);
    return Math.max(MIN_STEPS, Math.min(MAX_STEPS, steps));
  };
  return {
    adapted: stepsIn(TIME_SHARE.adapted, adaptedMs),
    scratch: stepsIn(TIME_SHARE.scratch, scratchMs),
  };
}
