// B sequences · T tokens

import type { HostTensor } from "../core/dtype.ts";
import type { WeightedDataset } from "../data/corpus.ts";
import type { TokenDataset } from "../data/token-dataset.ts";
import type { Engine } from "../engine/engine.ts";
import type { Parameter } from "../nn/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ParameterArena } from "./parameter-arena.ts";
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
  /** For each loss, how many targets each sequence has. */
  readonly numTargets: Readonly<Record<string, ArrayLike<number>>>;
}

/** Endless training examples. Where it stands is JSON: restored from it, another gives what would have followed. */
export interface ExampleStream<Cursor = unknown> {
  /** The next batch, in fresh arrays. */
  next(): Examples;
  state(): Cursor;
  /** @throws {ConfigError} if the cursor belongs to other data or other settings. */
  restore(cursor: Cursor): void;
}

/** Text to train on, and how it is drawn. */
export interface StreamOptions extends BatchShape {
  readonly datasets: readonly WeightedDataset[];
  readonly seed: number;
}

/** Text held out: its tokens, and how many UTF-8 bytes they stand for. */
export interface HeldOut {
  readonly datasets: readonly TokenDataset[];
  readonly bytes: number;
  /** The document separator: not text, so not scored. */
  readonly endOfTextId: number;
}

/** How well the held-out text is predicted. */
export type ValidationResult = Quality & {
  /** Mean over what was predicted; the lower the better, and what decides which weights are the best. */
  readonly lossNats: number;
  /** How many tokens were predicted. */
  readonly numTokens: number;
};

/** Measures the weights in an arena on held-out text, as often as asked. */
export interface Measure {
  /**
   * @throws {DataError} if there is nothing to predict.
   * @throws {EnvironmentError} if the loss is not finite.
   */
  run(): Promise<ValidationResult>;
  /** Gives native memory back. */
  dispose(): void;
}

/**
 * What a model is trained for: the examples, their loss as a graph, and how the held-out text is measured. The trainer
 * knows models only by this.
 */
export interface Objective {
  readonly parameters: readonly Parameter[];
  /** Sizes of the model that limit a batch: its longest sequence, and the width of its residual stream. */
  readonly shape: { readonly contextLength: number; readonly width: number };
  /** The parts of the loss by name, each the mean over its own targets of a batch, in nats; they add up. */
  losses(shape: BatchShape, labelSmoothing: number): Readonly<Record<string, Tensor>>;
  stream(options: StreamOptions): ExampleStream;
  measure(engine: Engine, arena: ParameterArena, shape: BatchShape, heldOut: HeldOut): Measure;
  /** Floating-point operations of training on one batch, forward and backward. */
  trainingFlops(shape: BatchShape): number;
}
