import type { HostTensor } from "../../core/dtype.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { BatchShape } from "../../train/objective.ts";
import type { TaskQuality } from "../../train/quality.ts";
import type { TextIds } from "./scoring-model.ts";

/** An example as ids, with what a model is to say of it. */
export interface TaskRow<T> extends TextIds {
  readonly target: T;
  /** The text, for people. */
  readonly text: string;
  /** The file and line it is from. */
  readonly where: string;
}

/** What a model said of one example. */
export interface TaskPrediction {
  readonly where: string;
  readonly text: string;
  /** What is right, and what was said, as text. */
  readonly expected: string;
  readonly predicted: string;
  readonly isRight: boolean;
  /** Probability of what was said; absent where there is none. */
  readonly confidence?: number;
}

/** All predictions, and how good they are. */
export interface TaskOutcome {
  readonly quality: TaskQuality;
  readonly predictions: readonly TaskPrediction[];
}

/**
 * A kind of task, one record each: its loss as a graph over scores, what the loss takes besides the texts, and what scores mean.
 *
 * @typeParam T the target of a row
 * @typeParam R what is read from a row's scores
 */
export interface TaskKind<T, R> {
  /** Of the loss. */
  readonly name: string;
  /** Mean over the targets of a batch, by weight, in nats or squares. */
  loss(scores: Readonly<Record<string, Tensor>>, shape: BatchShape, labelSmoothing: number): Tensor;
  /** The loss's own inputs, for rows padded to that length. */
  feeds(targets: readonly T[], contextLength: number): Record<string, HostTensor>;
  /** How much a row counts in the mean. */
  weightOf(target: T): number;
  /** @param scores of the row's tokens and the padding after them, or of the row as a whole */
  read(scores: Readonly<Record<string, Float32Array>>, row: TaskRow<T>): R;
  conclude(rows: readonly TaskRow<T>[], readings: readonly R[]): TaskOutcome;
}
