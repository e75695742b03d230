import { chooseBuckets } from "../../data/rows/length-buckets.ts";
import { batchAll, type RowBatch, RowBatches, type RowCursor } from "../../data/rows/row-batches.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { BatchShape, ExampleStream, Examples, Objective } from "../../train/objective.ts";
import type { ScoringModel, TextIds } from "./scoring-model.ts";
import type { TaskKind, TaskRow } from "./task-kind.ts";

/**
 * A model with a head is trained to give examples the scores that their targets ask for.
 *
 * @example
 * const objective = trainOnly(new Supervised(model, kind), model.headParameters); // the body stays as it is
 */
export class Supervised<T, R> implements Objective {
  readonly model: ScoringModel;
  readonly kind: TaskKind<T, R>;

  constructor(model: ScoringModel, kind: TaskKind<T, R>) {
    this.model = model;
    this.kind = kind;
  }

  losses(shape: BatchShape, labelSmoothing: number): Record<string, Tensor> {
    const { name } = this.kind;
    return { [name]: this.kind.loss(this.model.scores(shape), shape, labelSmoothing) };
  }

  /** Rows as one batch, padded to that length. */
  examples(rows: readonly TaskRow<T>[], contextLength: number): Examples {
    const targets = rows.map(({ target }) => target);
    return {
      inputs: { ...this.model.feeds(rows, contextLength), ...this.kind.feeds(targets, contextLength) },
      numTargets: { [this.kind.name]: targets.map((target) => this.kind.weightOf(target)) },
      contextLength,
    };
  }
}

/** How rows become batches. */
export interface TaskBatching {
  /** Most rows of a batch. */
  readonly batchSize: number;
  /** Longest row. */
  readonly contextLength: number;
  /** Most tokens of a batch, padding counted; default: `batchSize` alone counts. */
  readonly tokenBudget?: number;
  /** Most padded lengths, each of which is compiled once; default 4. */
  readonly maxBuckets?: number;
}

/** Padded lengths are multiples of that many tokens. */
const LENGTH_UNIT = 8;

/** Tokens of a batch that is measured, padding counted; a longer row goes alone. */
const MEASURED_TOKENS = 2048;

/**
 * Endless batches: every row once an epoch in a seeded order, rows of similar length together.
 *
 * @throws {ConfigError} if there are no rows, or one is longer than the context.
 */
export function taskStream<T, R>(
  objective: Supervised<T, R>,
  rows: readonly TaskRow<T>[],
  options: TaskBatching & { readonly seed: number },
): ExampleStream<RowCursor> {
  const { batchSize, tokenBudget, seed } = options;
  const batches = new RowBatches({
    ...lengthsOf(rows, options),
    ...{ maxRows: batchSize, seed },
    ...(tokenBudget !== undefined && { tokenBudget }),
  });
  const draw = () => {
    const { rows: places, paddedLength } = batches.next();
    return objective.examples(
      places.map((place) => rows[place]!),
      paddedLength,
    );
  };
  const { model } = objective;
  return {
    next: () => model.prepare?.(rows, options).then((flops) => ({ ...draw(), flops })) ?? draw(),
    shapes: batches.shapes,
    state: () => batches.state(),
    restore: (cursor) => batches.restore(cursor),
  };
}

/** All rows once, in batches for measuring. */
export function measuredBatches(
  rows: readonly TextIds[],
  options: Pick<TaskBatching, "contextLength" | "maxBuckets">,
): RowBatch[] {
  const laid = lengthsOf(rows, options);
  const tokenBudget = Math.max(MEASURED_TOKENS, laid.buckets.at(-1)!);
  return batchAll({ ...laid, maxRows: MEASURED_TOKENS / LENGTH_UNIT, tokenBudget });
}

function lengthsOf(
  rows: readonly TextIds[],
  { contextLength, maxBuckets = 4 }: Pick<TaskBatching, "contextLength" | "maxBuckets">,
) {
  const lengths = rows.map(({ ids }) => ids.length);
  const options = { maxBuckets, multiple: LENGTH_UNIT, maxLength: contextLength };
  return { lengths, buckets: chooseBuckets(lengths, options) };
}
