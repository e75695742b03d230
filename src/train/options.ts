import { ConfigError } from "../core/errors.ts";
import { boolean, integer, oneOf, readFields, real } from "../core/fields.ts";
import type { MomentFormat } from "./parameter-arena.ts";

/** How a model is trained. Rates are per optimizer step, losses in nats. */
export interface TrainOptions {
  readonly steps: number;
  /** Sequences per forward pass. */
  readonly batchSize: number;
  readonly contextLength: number;
  /** Forward passes whose gradients are averaged into one step. */
  readonly accumulation: number;
  readonly learningRate: number;
  /** Where the schedule ends. */
  readonly minLearningRate: number;
  readonly schedule: "cosine" | "linear" | "constant";
  readonly warmupSteps: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** How Adam's moments are kept between steps: 8 bytes a parameter, or 2 and a little more. */
  readonly optimizerState: MomentFormat;
  /** Largest global gradient norm; longer gradients are shortened to it. */
  readonly clipNorm: number;
  readonly labelSmoothing: number;
  /** Keeps few results of a forward pass and works the others out once more: a fraction of the memory for about a third more time. */
  readonly recompute: boolean;
  readonly validateEvery: number;
  /** Validations in a row without a better one after which the run ends early; 0: it never does. */
  readonly patience: number;
  /** What makes a validation the best: the lowest loss, or the best quality, at equal quality the lower loss. */
  readonly best: "loss" | "quality";
  readonly saveEvery: number;
  readonly sampleEvery: number;
  /** Consecutive non-finite steps after which the run gives up. */
  readonly maxSkips: number;
  readonly seed: number;
}

/**
 * Checks training options; the fallbacks suit a small model for minutes.
 *
 * @throws {ConfigError} if a key is unknown or out of range.
 */
export function trainOptions(given: Partial<TrainOptions>): TrainOptions {
  const steps = given.steps ?? 1000;
  const learningRate = given.learningRate ?? 1e-3;
  const options = readFields<TrainOptions>(
    "train",
    {
      steps: integer(1, 2 ** 31, 1000),
      batchSize: integer(1, 2 ** 16, 8),
      contextLength: integer(1, 2 ** 20, 256),
      accumulation: integer(1, 2 ** 16, 1),
      learningRate: real(0, 10, learningRate),
      minLearningRate: real(0, 10, learningRate / 10),
      schedule: oneOf(["cosine", "linear", "constant"], "cosine"),
      warmupSteps: integer(0, 2 ** 31, Math.min(100, Math.floor(steps / 10))),
      beta1: real(0, 0.9999, 0.9),
      beta2: real(0, 0.99999, 0.95),
      epsilon: real(1e-12, 1, 1e-8),
      weightDecay: real(0, 10, 0.1),
      optimizerState: oneOf(["float32", "int8"], "float32"),
      clipNorm: real(1e-6, Number.POSITIVE_INFINITY, 1),
      labelSmoothing: real(0, 0.999, 0),
      recompute: boolean(false),
      validateEvery: integer(1, 2 ** 31, Math.max(1, Math.floor(steps / 10))),
      patience: integer(0, 2 ** 31, 0),
      best: oneOf(["loss", "quality"], "loss"),
      saveEvery: integer(1, 2 ** 31, Math.max(1, Math.floor(steps / 10))),
      sampleEvery: integer(1, 2 ** 31, Math.max(1, Math.floor(steps / 4))),
      maxSkips: integer(1, 2 ** 31, 20),
      seed: integer(0, 2 ** 32 - 1, 1),
    },
    given,
  );
  if (options.minLearningRate > options.learningRate) {
    throw new ConfigError({
      where: "train.minLearningRate",
      expected: `at most the learning rate ${options.learningRate}`,
      got: `${options.minLearningRate}`,
    });
  }
  if (options.warmupSteps > options.steps) {
    throw new ConfigError({
      where: "train.warmupSteps",
      expected: `at most the ${options.steps} steps of the run`,
      got: `${options.warmupSteps}`,
    });
  }
  return options;
}

/**
 * Learning rate of a step, counted from 0: linear warm-up, then the schedule down to its minimum at the last step.
 *
 * @see Loshchilov & Hutter 2017, eq. 5 (cosine)
 */
export function learningRateAt(step: number, options: TrainOptions): number {
  const { learningRate, minLearningRate, schedule, steps, warmupSteps } = options;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  if (schedule === "constant") return learningRate;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, steps - 1 - warmupSteps));
  const left = schedule === "linear" ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2;
  return minLearningRate + (learningRate - minLearningRate) * left;
}
