import { join } from "node:path";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, EnvironmentError, ShapeError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { sameShape, showShape } from "../core/shape.ts";
import { type HostWeights, isQuantized, type Weights } from "../core/weights.ts";
import type { WeightedDataset } from "../data/corpus.ts";
import type { Engine } from "../engine/engine.ts";
import { readStored } from "../engine/stored-tensor.ts";
import { countParameters, initializeParameters } from "../nn/scope.ts";
import { AdamW } from "./adamw.ts";
import { CheckpointStore, type LoadedCheckpoint } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import { GradientProgram } from "./gradient-program.ts";
import type { ExampleStream, HeldOut, Measure, Objective } from "./objective.ts";
import { learningRateAt, type TrainOptions } from "./options.ts";
import { ParameterArena } from "./parameter-arena.ts";
import type { Quality } from "./quality.ts";

/** What identifies a run: a checkpoint of another configuration, tokenizer or data is not continued. */
export interface RunIdentity {
  readonly configHash: string;
  readonly tokenizerHash: string;
  readonly dataHash: string;
}

/** A training run: what is trained, on what, how, where, and who is told. */
export interface TrainRun {
  readonly engine: Engine;
  readonly objective: Objective;
  /** Where to start; default: fresh values by the model's own initialisation. */
  readonly initialWeights?: Weights;
  readonly train: readonly WeightedDataset[];
  readonly heldOut: HeldOut;
  readonly options: TrainOptions;
  readonly identity: RunIdentity;
  /** Holds `checkpoints/` and `best/`. */
  readonly directory: string;
  /** Continue from the newest intact checkpoint; an error when there is none. */
  readonly resume: boolean;
  readonly title: string;
  readonly onEvent: (event: TrainEvent) => void;
  /** Text to show now and then, from the weights as they are. */
  readonly sample?: (weights: Weights) => Promise<{ prompt: string; text: string }>;
  /** Aborting saves a checkpoint and ends the run. */
  readonly signal?: AbortSignal;
}

/** The lowest validation loss of a run, and how good the model was then. */
export type BestResult = Quality & { readonly step: number; readonly lossNats: number };

/** How a run ended. */
export interface TrainResult {
  readonly reason: "finished" | "stopped";
  readonly step: number;
  /** Weights with the lowest validation loss, by parameter path. */
  readonly bestWeights: HostWeights;
  readonly best: BestResult;
  readonly seconds: number;
  readonly totalFlops: number;
}

/** Everything that changes in a run, besides weights and moments. */
interface Progress {
  step: number;
  sampler: unknown;
  best: BestResult | null;
  skipped: number;
  /** How many of the last steps were skipped one after the other. */
  skipsInRow: number;
  seconds: number;
}

/**
 * Trains a model for its objective: examples in seeded order, AdamW, validation, checkpoints. A run that was cut off anywhere and
 * resumed ends with the same bits as one that was not.
 *
 * @throws {ConfigError} if there is nothing to resume, it is of another configuration, tokenizer or data, or the directory
 *   holds a run that is not to be resumed.
 * @throws {ShapeError} if initial weights are missing or do not fit.
 * @throws {EnvironmentError} if too many steps in a row are not finite, or the disk refuses.
 */
export async function train(run: TrainRun): Promise<TrainResult> {
  const trainer = new Trainer(run);
  try {
    return await trainer.run();
  } finally {
    trainer.dispose();
  }
}

class Trainer {
  readonly #run: TrainRun;
  readonly #arena: ParameterArena;
  readonly #examples: ExampleStream;
  readonly #gradients: GradientProgram;
  readonly #optimizer: AdamW;
  readonly #validation: Measure;
  readonly #checkpoints: CheckpointStore;
  readonly #best: CheckpointStore;
  readonly #flopsPerStep: number;
  readonly #tokensPerStep: number;
  readonly #progress: Progress;

  constructor(run: TrainRun) {
    const { engine, objective, options } = run;
    const { batchSize, contextLength, accumulation, seed } = options;
    if (contextLength > objective.shape.contextLength) {
      throw new ConfigError({
        where: "train.contextLength",
        expected: `at most the model's ${objective.shape.contextLength}`,
        got: `${contextLength}`,
      });
    }
    this.#run = run;
    // The first notices are about the checkpoint that progress is read from.
    const notice = (message: string) =>
      run.onEvent({ type: "notice", step: this.#progress?.step ?? 0, message });
    this.#checkpoints = new CheckpointStore(join(run.directory, "checkpoints"), { notice });
    this.#best = new CheckpointStore(join(run.directory, "best"), { keep: 1, notice });
    this.#examples = objective.stream({ datasets: run.train, batchSize, contextLength, seed });
    this.#arena = new ParameterArena(objective.parameters);
    this.#tokensPerStep = batchSize * contextLength * accumulation;
    this.#flopsPerStep = objective.trainingFlops(options) * accumulation;
    this.#progress = run.resume ? this.#restore() : this.#begin();
    this.#gradients = new GradientProgram(engine, objective, this.#arena, options);
    this.#optimizer = new AdamW(engine, this.#arena, options);
    this.#validation = objective.measure(engine, this.#arena, options, run.heldOut);
  }

  dispose(): void {
    this.#gradients.dispose();
    this.#optimizer.dispose();
    this.#validation.dispose();
  }

  async run(): Promise<TrainResult> {
    const { options, signal, onEvent, title, objective } = this.#run;
    const progress = this.#progress;
    onEvent({
      type: "start",
      title,
      step: progress.step,
      totalSteps: options.steps,
      numParameters: countParameters(objective.parameters),
      tokensPerStep: this.#tokensPerStep,
      flopsPerStep: this.#flopsPerStep,
    });
    while (progress.step < options.steps && !signal?.aborted) {
      const started = performance.now();
      await this.#step();
      await this.#lookAround();
      progress.seconds += (performance.now() - started) / 1000;
      if (this.#isDue(options.saveEvery)) this.#save();
    }
    const reason = progress.step === options.steps ? "finished" : "stopped";
    if (reason === "stopped") this.#save();
    const best = progress.best ?? (await this.#validate());
    const totalFlops = progress.step * this.#flopsPerStep;
    const { step, seconds } = progress;
    onEvent({ type: "end", step, seconds, totalFlops, reason });
    return { reason, step, best, bestWeights: this.#bestWeights(), seconds, totalFlops };
  }

  /** One optimizer step, or none when its numbers are not finite. */
  async #step(): Promise<void> {
    const { options, onEvent } = this.#run;
    const progress = this.#progress;
    const started = performance.now();
    const batches = Array.from({ length: options.accumulation }, () => this.#examples.next());
    const lossNats = await this.#gradients.run(batches);
    const gradientNorm = await this.#optimizer.gradientNorm();
    const learningRate = learningRateAt(progress.step, options);
    const finite = Number.isFinite(lossNats) && Number.isFinite(gradientNorm);
    if (finite) {
      const clip = Math.min(1, options.clipNorm / gradientNorm);
      // Skipped steps moved no moments, so they do not count towards the bias correction.
      await this.#optimizer.update(progress.step + 1 - progress.skipped, learningRate, clip);
    }
    progress.step += 1;
    progress.skipsInRow = finite ? 0 : progress.skipsInRow + 1;
    if (!finite) return this.#skip(lossNats, gradientNorm);
    const stepMs = performance.now() - started;
    onEvent({
      type: "step",
      step: progress.step,
      lossNats,
      learningRate,
      gradientNorm,
      stepMs,
      tokensPerSecond: (this.#tokensPerStep / stepMs) * 1e3,
      gflopPerSecond: this.#flopsPerStep / stepMs / 1e6,
    });
  }

  #skip(lossNats: number, gradientNorm: number): void {
    const { options, onEvent } = this.#run;
    const progress = this.#progress;
    const reason = `loss ${lossNats}, gradient norm ${gradientNorm}`;
    progress.skipped += 1;
    onEvent({ type: "skip", step: progress.step, reason, count: progress.skipped });
    if (progress.skipsInRow < options.maxSkips) return;
    throw new EnvironmentError({
      where: `training step ${progress.step}`,
      expected: "finite loss and gradients",
      got: `${progress.skipsInRow} steps in a row without (${reason})`,
      fix: "Start again with a lower learning rate; the checkpoints are intact.",
    });
  }

  /** Validation and samples, when they are due. */
  async #lookAround(): Promise<void> {
    const { options, sample, onEvent } = this.#run;
    if (this.#isDue(options.validateEvery)) await this.#validate();
    if (!sample || !this.#isDue(options.sampleEvery)) return;
    onEvent({ type: "sample", step: this.#progress.step, ...(await sample(this.#arena.weights())) });
  }

  async #validate() {
    const result = await this.#validation.run();
    const { step, best } = this.#progress;
    const isBest = best === null || result.lossNats < best.lossNats;
    if (isBest) {
      const { numTokens, ...quality } = result;
      this.#progress.best = { step, ...quality };
      this.#best.save({ step, tensors: this.#arena.weights(), state: { ...this.#run.identity } });
    }
    this.#run.onEvent({ type: "validation", step, ...result, best: isBest });
    return this.#progress.best!;
  }

  #isDue(every: number): boolean {
    const { step } = this.#progress;
    return step % every === 0 || step === this.#run.options.steps;
  }

  #save(): void {
    const { step } = this.#progress;
    const state = { ...this.#progress, sampler: this.#examples.state(), identity: this.#run.identity };
    const { path, saveMs } = this.#checkpoints.save({
      step,
      tensors: this.#arena.lasting(),
      state: JSON.parse(JSON.stringify(state)),
    });
    this.#run.onEvent({ type: "checkpoint", step, path, saveMs });
  }

  #begin(): Progress {
    const { objective, options, initialWeights } = this.#run;
    const existing = this.#checkpoints.list().at(-1);
    if (existing) {
      throw new ConfigError({
        where: this.#checkpoints.directory,
        expected: "no checkpoints yet",
        got: `those of a run up to step ${existing.step}`,
        fix: "Resume that run, or choose another directory.",
      });
    }
    const fresh = new Random(options.seed).fork("weights");
    const values = initialWeights ?? initializeParameters(objective.parameters, fresh);
    for (const [path, target] of this.#arena.weights()) {
      const value = values.get(path);
      if (
        !value ||
        isQuantized(value) ||
        value.dtype !== "float32" ||
        !sameShape(value.shape, target.shape)
      ) {
        throw new ShapeError({
          where: `initial weights, ${path}`,
          expected: `float32 ${showShape(target.shape)}`,
          got: value
            ? isQuantized(value)
              ? value.scheme
              : `${value.dtype} ${showShape(value.shape)}`
            : "nothing",
        });
      }
      (target.data as Float32Array).set(readStored(value).data as Float32Array);
    }
    const sampler = this.#examples.state();
    return { step: 0, sampler, best: null, skipped: 0, skipsInRow: 0, seconds: 0 };
  }

  #restore(): Progress {
    const checkpoint = this.#checkpoints.latest();
    if (!checkpoint) {
      throw new ConfigError({
        where: this.#checkpoints.directory,
        expected: "a checkpoint to resume from",
        got: "none",
        fix: "Start without --resume.",
      });
    }
    try {
      const { identity, ...progress } = checkpoint.state as unknown as Progress & { identity: RunIdentity };
      this.#checkIdentity(checkpoint, identity);
      for (const [name, { data }] of this.#arena.lasting()) {
        checkpoint.readInto(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      }
      this.#examples.restore(progress.sampler);
      return progress;
    } finally {
      checkpoint.close();
    }
  }

  #checkIdentity({ path }: LoadedCheckpoint, saved: RunIdentity): void {
    for (const [key, what] of [
      ["configHash", "configuration"],
      ["tokenizerHash", "tokenizer"],
      ["dataHash", "data"],
    ] as const) {
      if (saved[key] === this.#run.identity[key]) continue;
      throw new ConfigError({
        where: path,
        expected: `the ${what} that the run began with`,
        got: "a different one",
        fix: "Resume with the same settings, or start a new run in another directory.",
      });
    }
  }

  #bestWeights(): Map<string, HostTensor> {
    const checkpoint = this.#best.latest();
    if (!checkpoint) return this.#arena.weights();
    try {
      return new Map(checkpoint.names.map((name) => [name, checkpoint.read(name)]));
    } finally {
      checkpoint.close();
    }
  }
}
