import { join } from "node:path";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, EnvironmentError } from "../core/errors.ts";
import { countParameters } from "../nn/scope.ts";
import { AdamW } from "./adamw.ts";
import { CheckpointStore } from "./checkpoint.ts";
import { flopsOf } from "./flops.ts";
import { GradientProgram } from "./gradient-program.ts";
import type { BatchShape, Examples, Measure } from "./objective.ts";
import { learningRateAt, type TrainOptions } from "./options.ts";
import { ParameterArena } from "./parameter-arena.ts";
import { isBetter, type Quality } from "./quality.ts";
import { beginRun, type Progress, restoreRun, saveRun } from "./run-state.ts";
import { batchShapeOf } from "./slices.ts";
import type { BestResult, ReadyRun, TrainResult, TrainRun } from "./train-run.ts";

/**
 * Trains a model for its objective: AdamW on examples as they come, validation, checkpoints. A run that was cut off anywhere and
 * resumed ends with the same bits as one that was not.
 *
 * @throws {ConfigError} if there is nothing to resume, it is of another configuration, tokenizer or data, or the directory
 *   holds a run that is not to be resumed.
 * @throws {ShapeError} if initial or frozen weights are missing or do not fit.
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
  readonly #run: ReadyRun;
  readonly #arena: ParameterArena;
  readonly #gradients: GradientProgram;
  readonly #optimizer: AdamW;
  readonly #measure: Measure;
  readonly #checkpoints: CheckpointStore;
  readonly #best: CheckpointStore;
  readonly #progress: Progress;
  /** Where the newest checkpoint stands. */
  #savedStep: number | undefined;
  /** What a batch of each shape costs. */
  readonly #flopsByShape = new Map<string, number>();

  constructor(run: TrainRun) {
    const { engine, objective, options, frozen } = run;
    const { contextLength, labelSmoothing } = options;
    if (contextLength > objective.model.shape.contextLength) {
      throw new ConfigError({
        where: "train.contextLength",
        expected: `at most the model's ${objective.model.shape.contextLength}`,
        got: `${contextLength}`,
      });
    }
    this.#arena = new ParameterArena(objective.model.parameters, options.optimizerState);
    const { examples } = run;
    this.#run = { ...run, examples: typeof examples === "function" ? examples(this.#arena) : examples };
    // The first notices are about the checkpoint that progress is read from.
    const notice = (message: string) =>
      run.onEvent({ type: "notice", step: this.#progress?.step ?? 0, message });
    this.#checkpoints = new CheckpointStore(join(run.directory, "checkpoints"), { notice });
    this.#best = new CheckpointStore(join(run.directory, "best"), { keep: 1, notice });
    this.#progress = (run.resume ? restoreRun : beginRun)(this.#run, this.#checkpoints, this.#arena);
    if (run.resume) this.#savedStep = this.#progress.step;
    this.#gradients = new GradientProgram(engine, objective, this.#arena, {
      labelSmoothing,
      recompute: options.recompute,
      ...(frozen && { frozen }),
    });
    this.#optimizer = new AdamW(engine, this.#arena, options);
    this.#measure = run.measure(this.#arena);
  }

  dispose(): void {
    this.#gradients.dispose();
    this.#optimizer.dispose();
    this.#measure.dispose();
  }

  async run(): Promise<TrainResult> {
    const { options, onEvent, title, objective } = this.#run;
    const progress = this.#progress;
    onEvent({
      type: "start",
      title,
      step: progress.step,
      totalSteps: options.steps,
      numParameters: countParameters(objective.model.parameters),
      tokensPerStep: options.batchSize * options.contextLength * options.accumulation,
      flopsPerStep: this.#flopsOf(options) * options.accumulation,
    });
    while (this.#endReason() === undefined) {
      const started = performance.now();
      await this.#step();
      await this.#lookAround();
      progress.seconds += (performance.now() - started) / 1000;
      if (this.#isDue(options.saveEvery)) this.#save();
    }
    const reason = this.#endReason()!;
    if (progress.step !== this.#savedStep) this.#save();
    const best = progress.best ?? (await this.#validate());
    const { step, seconds, flops: totalFlops } = progress;
    onEvent({ type: "end", step, seconds, totalFlops, reason });
    return { reason, step, best, bestWeights: this.#bestWeights(), seconds, totalFlops };
  }

  /** Why the run is over, if it is. */
  #endReason(): TrainResult["reason"] | undefined {
    const { options, signal } = this.#run;
    const { step, validationsSinceBest } = this.#progress;
    if (step >= options.steps) return "finished";
    if (options.patience > 0 && validationsSinceBest >= options.patience) return "early-stopped";
    return signal?.aborted ? "stopped" : undefined;
  }

  /** One optimizer step, or none when its numbers are not finite. */
  async #step(): Promise<void> {
    const { options, onEvent } = this.#run;
    const progress = this.#progress;
    const started = performance.now();
    const batches = await this.#draw();
    const compileMs = this.#gradients.prepare(batches);
    const lossNats = await this.#gradients.run(batches);
    const gradientNorm = await this.#optimizer.gradientNorm();
    const learningRate = learningRateAt(progress.step, options);
    const finite = Number.isFinite(lossNats) && Number.isFinite(gradientNorm);
    if (finite) {
      const clip = Math.min(1, options.clipNorm / gradientNorm);
      // Skipped steps moved no moments, so they do not count towards the bias correction.
      await this.#optimizer.update(progress.step + 1 - progress.skipped, learningRate, clip);
    }
    const shapes = batches.map(batchShapeOf);
    const made = batches.reduce((sum, batch) => sum + (batch.flops ?? 0), 0);
    const flops = shapes.reduce((sum, shape) => sum + this.#flopsOf(shape), made);
    const numTokens = shapes.reduce((sum, shape) => sum + shape.batchSize * shape.contextLength, 0);
    progress.step += 1;
    progress.flops += flops;
    progress.skipsInRow = finite ? 0 : progress.skipsInRow + 1;
    if (!finite) return this.#skip(lossNats, gradientNorm);
    const stepMs = performance.now() - started - compileMs;
    onEvent({
      type: "step",
      step: progress.step,
      lossNats,
      learningRate,
      gradientNorm,
      stepMs,
      tokensPerSecond: (numTokens / stepMs) * 1e3,
      gflopPerSecond: flops / stepMs / 1e6,
    });
  }

  async #draw(): Promise<Examples[]> {
    const batches: Examples[] = [];
    for (let i = 0; i < this.#run.options.accumulation; i++) batches.push(await this.#run.examples.next());
    return batches;
  }

  #flopsOf({ batchSize, contextLength }: BatchShape): number {
    const key = `${batchSize} × ${contextLength}`;
    const flops = this.#flopsByShape.get(key) ?? flopsOf(this.#run.objective, { batchSize, contextLength });
    this.#flopsByShape.set(key, flops);
    return flops;
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

  async #validate(): Promise<BestResult> {
    const { options, onEvent, identity } = this.#run;
    const progress = this.#progress;
    const result = await this.#measure.run();
    const { step } = progress;
    const { numTokens, ...quality } = result;
    const isBest = progress.best === null || isImprovement(quality, progress.best, options.best);
    progress.validationsSinceBest = isBest ? 0 : progress.validationsSinceBest + 1;
    if (isBest) {
      progress.best = { step, ...quality };
      this.#best.save({ step, tensors: this.#arena.weights(), state: { ...identity } });
    }
    onEvent({ type: "validation", step, ...result, best: isBest });
    return progress.best!;
  }

  #isDue(every: number): boolean {
    const { step } = this.#progress;
    return step % every === 0 || step === this.#run.options.steps;
  }

  #save(): void {
    const { path, saveMs } = saveRun(this.#run, this.#checkpoints, this.#arena, this.#progress);
    const { step } = this.#progress;
    this.#savedStep = step;
    this.#run.onEvent({ type: "checkpoint", step, path, saveMs });
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

type Judged = Quality & { readonly lossNats: number };

/** Whether a validation is better than another, by loss or by quality; of two equal in quality, the one with the lower loss is. */
function isImprovement(one: Judged, other: Judged, by: TrainOptions["best"]): boolean {
  const isLower = one.lossNats < other.lossNats;
  return by === "loss" ? isLower : isBetter(one, other) || (isLower && !isBetter(other, one));
}
