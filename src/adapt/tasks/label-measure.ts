import type { Weights } from "../../core/weights.ts";
import type { RowBatch } from "../../data/rows/row-batches.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Program } from "../../engine/program.ts";
import { checkFiniteLoss } from "../../train/check-loss.ts";
import type { Measure, ValidationResult } from "../../train/objective.ts";
import type { TaskQuality } from "../../train/quality.ts";
import { bindWeights, compileOver } from "../../train/weighted-program.ts";
import { measuredBatches, type Supervised, type TaskBatching } from "./supervised.ts";
import type { TaskOutcome, TaskRow } from "./task-kind.ts";

/** What is measured. */
export interface LabelMeasureOptions<T> extends Pick<TaskBatching, "contextLength" | "maxBuckets"> {
  readonly rows: readonly TaskRow<T>[];
  /** By parameter path, trained and frozen; those in memory are read anew each time, where they lie. */
  readonly weights: Weights;
}

/** Measures a task on rows held out, and tells what the model said of each. */
export class LabelMeasure<T, R> implements Measure {
  readonly #engine: Engine;
  readonly #objective: Supervised<T, R>;
  readonly #options: LabelMeasureOptions<T>;
  readonly #batches: readonly RowBatch[];
  readonly #programs = new Map<string, Program>();

  /** @throws {ConfigError} if there are no rows, or one is longer than the context. */
  constructor(engine: Engine, objective: Supervised<T, R>, options: LabelMeasureOptions<T>) {
    this.#engine = engine;
    this.#objective = objective;
    this.#options = options;
    this.#batches = measuredBatches(options.rows, options);
  }

  async run(): Promise<ValidationResult & TaskQuality> {
    const { lossNats, numTokens, outcome } = await this.#measure();
    return { lossNats, numTokens, ...outcome.quality };
  }

  /** The same, with what was said of each row. */
  async outcome(): Promise<TaskOutcome> {
    return (await this.#measure()).outcome;
  }

  dispose(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }

  async #measure() {
    const { kind, model } = this.#objective;
    const { rows } = this.#options;
    await model.prepare?.(rows, this.#options);
    const readings: R[] = [];
    let [total, weight] = [0, 0];
    for (const batch of this.#batches) {
      const members = batch.rows.map((place) => rows[place]!);
      const { inputs, numTargets } = this.#objective.examples(members, batch.paddedLength);
      const { loss, ...scores } = await this.#program(batch).run(inputs);
      const share = Array.from(numTargets[kind.name]!).reduce((sum, n) => sum + n, 0);
      total += (loss!.data[0] as number) * share;
      weight += share;
      for (const [row, place] of batch.rows.entries()) {
        const own = Object.entries(scores).map(([name, { data }]) => {
          const size = data.length / batch.rows.length;
          return [name, (data as Float32Array).subarray(row * size, (row + 1) * size)] as const;
        });
        readings[place] = kind.read(Object.fromEntries(own), rows[place]!);
      }
    }
    const lossNats = total / Math.max(weight, Number.MIN_VALUE);
    checkFiniteLoss(lossNats);
    return { lossNats, numTokens: rows.length, outcome: kind.conclude(rows, readings) };
  }

  #program({ rows, paddedLength }: RowBatch): Program {
    const key = `${rows.length} × ${paddedLength}`;
    const known = this.#programs.get(key);
    if (known) return known;
    const { model, kind } = this.#objective;
    const shape = { batchSize: rows.length, contextLength: paddedLength };
    const scores = model.scores(shape);
    const outputs = { ...scores, loss: kind.loss(scores, shape, 0) };
    const program = compileOver(this.#engine, "validation", outputs, this.#options.weights);
    bindWeights(program, this.#options.weights);
    this.#programs.set(key, program);
    return program;
  }
}
