import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdaptedDecoder, type Adapter, firstAdapterWeights } from "../adapt/adapter.ts";
import { RowMeasure, type RowMeasureOptions } from "../adapt/row-measure.ts";
import { rowStream } from "../adapt/row-stream.ts";
import type { TrainingRow } from "../adapt/training-row.ts";
import { numElements } from "../core/dtype.ts";
import { Random } from "../core/random.ts";
import type { HostWeights, Weights } from "../core/weights.ts";
import type { Engine } from "../engine/engine.ts";
import { readWeight } from "../engine/stored-tensor.ts";
import type { CausalLM } from "../models/contracts.ts";
import { countParameters, initializeParameters } from "../nn/scope.ts";
import type { TrainEvent, ValidationEvent } from "../train/events.ts";
import { NextToken } from "../train/next-token.ts";
import type { TrainOptions } from "../train/options.ts";
import type { ParameterArena } from "../train/parameter-arena.ts";
import { isTaskQuality, type TaskQuality } from "../train/quality.ts";
import { trainOnly } from "../train/train-only.ts";
import { train } from "../train/trainer.ts";

/** The base with its adapter, the base with all of it trained, and the same network from scratch. */
export type RivalName = "adapted" | "full" | "scratch";

/** Ways to the same task: rows to learn from, rows to be judged by, and a network. */
export interface RivalryOptions {
  readonly engine: Engine;
  readonly base: CausalLM;
  /** The base's pretrained weights; the rival that starts from scratch does not see them. */
  readonly weights: Weights;
  readonly adapter: Adapter;
  /** Parameters of the base that the adapted rival trains, too; default: none. */
  readonly alsoTrained?: CausalLM["parameters"];
  readonly rows: readonly TrainingRow[];
  readonly heldOut: readonly TrainingRow[];
  readonly metric?: RowMeasureOptions["metric"];
  readonly adapted: TrainOptions;
  /** How all of the base is trained, as a third rival; default: it is not. */
  readonly full?: TrainOptions;
  readonly scratch: TrainOptions;
  readonly onEvent?: (rival: RivalName, event: TrainEvent) => void;
  readonly signal?: AbortSignal;
}

/** A validation on the way, and what had been spent by then. */
export interface CurvePoint {
  readonly step: number;
  readonly lossNats: number;
  /** Of the metric asked for. */
  readonly value: number;
  readonly flops: number;
  /** Of training steps alone. */
  readonly seconds: number;
}

/** How one rival learnt. */
export interface Rival {
  /** Before the first step, and at each validation. */
  readonly curve: readonly CurvePoint[];
  readonly best: CurvePoint;
  readonly trainedParameters: number;
  /** Bytes of what has to be kept for the task, in float32. */
  readonly bytes: number;
  readonly bestWeights: HostWeights;
}

/** Where the adapted base stands against the same network trained on the task alone. */
export interface Saving {
  /** The lowest loss from scratch: what both are compared at. */
  readonly lossNats: number;
  /** The first validation of the adapted base that is as low; absent: it never was. */
  readonly reached?: CurvePoint;
  readonly flops?: number;
  readonly seconds?: number;
  readonly trainedParameters: number;
  readonly bytes: number;
}

/** The rivals, and the saving: how many times as much training from scratch takes, per kind of cost. */
export interface Rivalry {
  readonly adapted: Rival;
  readonly full?: Rival;
  readonly scratch: Rival;
  readonly saving: Saving;
}

/**
 * Adapts a base to a task, and trains the same network from scratch on the same rows, all judged on the same held-out rows.
 *
 * @throws as `train`
 */
export async function compareRivals(options: RivalryOptions): Promise<Rivalry> {
  const { base, weights, adapter, alsoTrained = [], adapted: given, full: whole, scratch: alone } = options;
  const random = new Random(given.seed).fork("adapter");
  const adapted = await runRival(options, "adapted", {
    model: new AdaptedDecoder(base, adapter),
    trained: [...adapter.parameters, ...alsoTrained],
    initial: new Map([
      ...firstAdapterWeights(adapter, weights, random),
      ...alsoTrained.map(({ path }) => [path, readWeight(weights.get(path)!)] as const),
    ]),
    frozen: weights,
    train: given,
  });
  const all = { model: base, trained: base.parameters, frozen: new Map() };
  const full =
    whole &&
    (await runRival(options, "full", {
      ...all,
      initial: new Map(base.parameters.map(({ path }) => [path, readWeight(weights.get(path)!)])),
      train: whole,
    }));
  const scratch = await runRival(options, "scratch", {
    ...all,
    initial: initializeParameters(base.parameters, new Random(alone.seed).fork("weights")),
    train: alone,
  });
  return { adapted, ...(full && { full }), scratch, saving: savingOf(adapted, scratch) };
}

interface Contestant {
  readonly model: CausalLM;
  readonly trained: CausalLM["parameters"];
  readonly initial: HostWeights;
  readonly frozen: Weights;
  readonly train: TrainOptions;
}

async function runRival(
  { engine, rows, heldOut, metric = "perplexity", onEvent, signal }: RivalryOptions,
  name: RivalName,
  { model, trained, initial, frozen, train: options }: Contestant,
): Promise<Rival> {
  const { batchSize, contextLength, seed } = options;
  const batching = { batchSize, contextLength, metric };
  const spent = { flops: 0, seconds: 0 };
  const curve: CurvePoint[] = [];
  const record = (at: Pick<ValidationEvent, "step" | "lossNats"> & TaskQuality) =>
    curve.push({ step: at.step, lossNats: at.lossNats, value: at.value, ...spent });
  const directory = mkdtempSync(join(tmpdir(), "plinth-rival-"));
  try {
    const first = new RowMeasure(engine, model, new Map([...frozen, ...initial]), heldOut, batching);
    record({ step: 0, ...(await first.run()) });
    first.dispose();
    const { bestWeights } = await train({
      ...{ engine, directory, options, resume: false, title: name, ...(signal && { signal }) },
      objective: trainOnly(new NextToken(model), trained),
      initialWeights: initial,
      frozen,
      examples: rowStream(rows, { batchSize, contextLength, seed }),
      measure: (arena: ParameterArena) =>
        new RowMeasure(engine, model, new Map([...frozen, ...arena.weights()]), heldOut, batching),
      identity: { configHash: name, tokenizerHash: "", dataHash: "" },
      onEvent: (event) => {
        if (event.type === "step") {
          spent.flops += event.gflopPerSecond * event.stepMs * 1e6;
          spent.seconds += event.stepMs / 1000;
        }
        if (event.type === "validation" && isTaskQuality(event)) record(event);
        onEvent?.(name, event);
      },
    });
    const best = curve.reduce((lowest, point) => (point.lossNats < lowest.lossNats ? point : lowest));
    const bytes = trained.reduce((sum, { shape }) => sum + 4 * numElements(shape), 0);
    return { curve, best, trainedParameters: countParameters(trained), bytes, bestWeights };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function savingOf(adapted: Rival, scratch: Rival): Saving {
  const { lossNats, flops, seconds } = scratch.best;
  const reached = adapted.curve.find((point) => point.step > 0 && point.lossNats <= lossNats);
  return {
    lossNats,
    ...(reached && { reached, flops: flops / reached.flops, seconds: seconds / reached.seconds }),
    trainedParameters: scratch.trainedParameters / adapted.trainedParameters,
    bytes: scratch.bytes / adapted.bytes,
  };
}
