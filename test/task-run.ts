// Training runs of tasks with labels, small enough for tests.

import { join } from "node:path";
import { LabelMeasure } from "../src/adapt/tasks/label-measure.ts";
import { type Supervised, taskStream } from "../src/adapt/tasks/supervised.ts";
import type { TaskRow } from "../src/adapt/tasks/task-kind.ts";
import type { Weights } from "../src/core/weights.ts";
import type { Parameter } from "../src/nn/scope.ts";
import { trainOptions } from "../src/train/options.ts";
import type { ParameterArena } from "../src/train/parameter-arena.ts";
import { isTaskQuality } from "../src/train/quality.ts";
import { trainOnly } from "../src/train/train-only.ts";
import type { TrainResult } from "../src/train/train-run.ts";
import { train } from "../src/train/trainer.ts";
import { engine } from "./tiny-run.ts";

/** A task that is trained in a second or two. */
export interface TaskRun<T, R> {
  /** Of the run's directory in `root`. */
  readonly name: string;
  readonly root: string;
  readonly contextLength: number;
  readonly objective: Supervised<T, R>;
  readonly weights: Weights;
  readonly trained: readonly Parameter[];
  readonly rows: readonly TaskRow<T>[];
  readonly heldOut: readonly TaskRow<T>[];
  readonly steps: number;
  readonly learningRate?: number;
}

/** Trains, and gives all weights, trained and frozen. */
export async function runTask<T, R>(
  training: TaskRun<T, R>,
): Promise<TrainResult & { readonly all: Weights }> {
  const { name, root, contextLength, objective, weights, trained, rows, heldOut, steps } = training;
  const { learningRate = 2e-3 } = training;
  const options = trainOptions({
    ...{ steps, batchSize: 16, contextLength, learningRate, warmupSteps: 5, weightDecay: 0.01 },
    ...{ validateEvery: steps, saveEvery: steps, beta2: 0.999 },
  });
  const paths = new Set(trained.map(({ path }) => path));
  const initialWeights = new Map([...weights].filter(([path]) => paths.has(path)));
  const frozen = new Map([...weights].filter(([path]) => !paths.has(path)));
  const batching = { batchSize: 16, contextLength, seed: 3, maxBuckets: 2 };
  const result = await train({
    ...{ engine, options, initialWeights, frozen, resume: false, title: name, onEvent: () => {} },
    objective: trainOnly(objective, trained),
    examples: taskStream(objective, rows, batching),
    measure: (arena: ParameterArena) => {
      const now = new Map([...frozen, ...arena.weights()]);
      return new LabelMeasure(engine, objective, { rows: heldOut, weights: now, ...batching });
    },
    directory: join(root, name),
    identity: { configHash: "", tokenizerHash: "", dataHash: "" },
  });
  return { ...result, all: new Map([...frozen, ...result.bestWeights]) };
}

/** The metric of the best validation. */
export function metricOf({ best }: TrainResult): number {
  if (!isTaskQuality(best)) throw new Error("not a task");
  return best.value;
}
