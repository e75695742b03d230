// B sequences · T tokens

import type { HostTensor } from "../core/dtype.ts";
import type { Parameter } from "../nn/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Quality } from "./quality.ts";

/** Sequences and their tokens, B and T. */
export interface BatchShape {
  readonly batchSize: number;
  readonly contextLength: number;
}

/** Sequences and what is asked about them. */
export interface Examples {
  /** What the losses take, by name; the first axis of each counts sequences. */
  readonly inputs: Readonly<Record<string, HostTensor>>;
  /** For each loss, how many targets each sequence has; where targets have weights, their sum. */
  readonly numTargets: Readonly<Record<string, ArrayLike<number>>>;
  /** The length that sequences of this batch are padded to. */
  readonly contextLength: number;
  /** So many neighbouring sequences belong together, such as the two sides of a pair: a slice never parts them. Default 1. */
  readonly group?: number;
  /** Floating-point operations that it took to make the batch, such as a teacher's; default 0. */
  readonly flops?: number;
}

/** Endless training examples. Where it stands is JSON: restored from it, another gives what would have followed. */
export interface ExampleStream<Cursor = unknown> {
  /** The next batch, in fresh arrays. Batches may differ in size and length; each new shape is compiled once. */
  next(): Examples | Promise<Examples>;
  /** Shapes that batches have, where they are known ahead: a forecast of memory asks for them. */
  readonly shapes?: readonly BatchShape[] | undefined;
  state(): Cursor;
  /** @throws {ConfigError} if the cursor belongs to other data or other settings. */
  restore(cursor: Cursor): void;
}

/** How well what was held out is predicted. */
export type ValidationResult = Quality & {
  /** Mean over what was predicted; the lower the better. */
  readonly lossNats: number;
  /** How many targets were predicted: tokens, or labels. */
  readonly numTokens: number;
};

/** Measures the weights in an arena on held-out examples, as often as asked. */
export interface Measure {
  /**
   * @throws {DataError} if there is nothing to predict.
   * @throws {EnvironmentError} if the loss is not finite.
   */
  run(): Promise<ValidationResult>;
  /** Gives native memory back. */
  dispose(): void;
}

/** What training has to know of a model, whatever it is. */
export interface TrainedModel {
  /** What is trained. The losses may need others, which are frozen: the run has their values. */
  readonly parameters: readonly Parameter[];
  /** Sizes that limit a batch: the longest sequence, and the width of the residual stream. */
  readonly shape: { readonly contextLength: number; readonly width: number };
}

/** What a model is trained for: a loss as a graph. The trainer knows models only by this. */
export interface Objective {
  readonly model: TrainedModel;
  /** The parts of the loss by name, each the mean over its own targets of a batch, in nats; they add up. */
  losses(shape: BatchShape, labelSmoothing: number): Readonly<Record<string, Tensor>>;
  /** Floating-point operations of training on one batch, forward and backward; default: as counted on the graph. See `flopsOf`. */
  trainingFlops?(shape: BatchShape): number;
}
