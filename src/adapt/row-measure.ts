import { DataError } from "../core/errors.ts";
import type { Weights } from "../core/weights.ts";
import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { Engine } from "../engine/engine.ts";
import type { Program } from "../engine/program.ts";
import type { CausalLM } from "../models/contracts.ts";
import { checkFiniteLoss } from "../train/check-loss.ts";
import type { BatchShape, Measure, ValidationResult } from "../train/objective.ts";
import type { TaskQuality } from "../train/quality.ts";
import { cutExamples } from "../train/slices.ts";
import { bindWeights, compileOver } from "../train/weighted-program.ts";
import { rowScores } from "./row-scores.ts";
import { eachRow, type RowBatching } from "./row-stream.ts";
import { numLearnt, type TrainingRow } from "./training-row.ts";

/** Which of the figures is the quality; the others are reported beside it. */
export type RowMetric = "perplexity" | "exact match" | "token accuracy";

/** How rows held out are measured. */
export interface RowMeasureOptions extends Omit<RowBatching, "pack"> {
  /** Default "perplexity": of the learnt tokens. */
  readonly metric?: RowMetric;
}

/**
 * How well a decoder writes what it was to learn, on rows held out: mean nats a learnt token, the share of these tokens that are the
 * most probable, and the share of rows in which all of them are: exactly those that greedy generation would reproduce.
 */
export class RowMeasure implements Measure {
  readonly #engine: Engine;
  readonly #model: CausalLM;
  readonly #weights: Weights;
  readonly #rows: readonly TrainingRow[];
  readonly #options: RowMeasureOptions;
  readonly #programs = new Map<string, Program>();

  /**
   * @param weights by parameter path; those in memory are read anew each time, where they lie
   * @throws {DataError} if there is nothing to predict.
   */
  constructor(
    engine: Engine,
    model: CausalLM,
    weights: Weights,
    rows: readonly TrainingRow[],
    options: RowMeasureOptions,
  ) {
    this.#engine = engine;
    this.#model = model;
    this.#weights = weights;
    this.#rows = rows.filter((row) => numLearnt(row) > 0);
    this.#options = options;
    if (this.#rows.length > 0) return;
    throw new DataError({ where: "held-out rows", expected: "tokens to predict", got: "none" });
  }

  /** @throws {EnvironmentError} if the loss is not finite. */
  async run(): Promise<ValidationResult & TaskQuality> {
    const total = { nats: 0, numTokens: 0, numRight: 0, numRows: 0, numExact: 0 };
    for (const examples of eachRow(this.#rows, this.#options)) {
      for (const { shape, inputs, numTargets } of cutExamples(examples, this.#model)) {
        const { loss, wrong } = await this.#program(shape).run(inputs);
        const count = numTargets.nextToken!;
        const wrongs = Array.from(wrong!.data as Float32Array);
        total.nats += (loss!.data[0] as number) * count;
        total.numTokens += count;
        total.numRight += count - wrongs.reduce((sum, n) => sum + n, 0);
        total.numRows += wrongs.length;
        total.numExact += wrongs.filter((n) => n === 0).length;
      }
    }
    checkFiniteLoss(total.nats);
    const lossNats = total.nats / total.numTokens;
    const { numTokens, numRight, numRows, numExact } = total;
    return {
      lossNats,
      numTokens,
      ...this.#quality(
        {
          perplexity: Math.exp(lossNats),
          "exact match": numExact / numRows,
          "token accuracy": numRight / numTokens,
        },
        { "exact match": numRows, "token accuracy": numTokens },
      ),
    };
  }

  dispose(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }

  #quality(
    values: Readonly<Record<RowMetric, number>>,
    counts: Readonly<Partial<Record<RowMetric, number>>>,
  ): TaskQuality {
    const { metric = "perplexity" } = this.#options;
    const { [metric]: value, ...others } = values;
    const count = counts[metric];
    return {
      metric,
      value,
      higherIsBetter: metric !== "perplexity",
      ...(count !== undefined && { standardError: Math.sqrt((value * (1 - value)) / count) }),
      others,
    };
  }

  /** The mean loss, and how many targets of each row are not the most probable token. */
  #program(shape: BatchShape): Program {
    const key = `${shape.batchSize} × ${shape.contextLength}`;
    const known = this.#programs.get(key);
    if (known) return known;
    const { logits, targets } = rowScores(this.#model, shape, false);
    const loss = logits.crossEntropy(targets, { ignoredLabel: IGNORED_TARGET });
    const isWrong = logits.argmax(1).cast("int32").equal(targets).logicalNot();
    const counts = targets.equal(IGNORED_TARGET).logicalNot();
    const wrong = isWrong
      .logicalAnd(counts)
      .cast("float32")
      .reshape([shape.batchSize, shape.contextLength])
      .sum(1);
    const program = compileOver(this.#engine, "validation", { loss, wrong }, this.#weights);
    bindWeights(program, this.#weights);
    this.#programs.set(key, program);
    return program;
  }
}
