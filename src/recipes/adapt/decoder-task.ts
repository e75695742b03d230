import { type EncodedRows, encodeRows } from "../../adapt/encode-rows.ts";
import { PackedNextToken } from "../../adapt/packed-next-token.ts";
import { RowMeasure, type RowMetric } from "../../adapt/row-measure.ts";
import { rowStream } from "../../adapt/row-stream.ts";
import type { TrainingRow } from "../../adapt/training-row.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { ConfigError, DataError } from "../../core/errors.ts";
import type { Weights } from "../../core/weights.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { loadModel } from "../../models/load-model.ts";
import { saveModel } from "../../models/save-model.ts";
import { NextToken } from "../../train/next-token.ts";
import type { Measure } from "../../train/objective.ts";
import type { TableRow } from "../../train/report/html.ts";
import { formatCount } from "../../train/report/quantities.ts";
import { hashExamples, type LoadedData } from "./load-data.ts";
import type { PreparedTask, TaskContext } from "./task.ts";

/** A decoder with its tokenizer. */
export interface LoadedDecoder {
  readonly directory: string;
  readonly model: CausalLM;
  readonly weights: Weights;
  readonly tokenizer: Tokenizer;
}

/**
 * Loads the base of a task that continues text.
 *
 * @throws as `loadModel`
 * @throws {DataError} if it has no tokenizer.
 * @throws {ConfigError} if the run's context is longer than the base's.
 */
export function loadDecoder({ base: directory, recipe }: TaskContext): LoadedDecoder {
  const { model, weights, tokenizer } = loadModel(directory);
  const { contextLength } = recipe.train;
  checkContext(contextLength, model.shape.contextLength);
  if (tokenizer) return { directory, model, weights, tokenizer };
  throw new DataError({
    where: directory,
    expected: "a base with a tokenizer",
    got: "one without",
    fix: "Put its tokenizer.json beside the weights.",
  });
}

/** @throws {ConfigError} if rows may be longer than the base can read. */
export function checkContext(asked: number, most: number): void {
  if (asked <= most) return;
  throw new ConfigError({
    where: "train.contextLength",
    expected: `at most the base's ${most}`,
    got: `${asked}`,
    fix: `Set train.contextLength=${most} or less.`,
  });
}

/** What is different between tasks that continue text. */
export interface DecoderTaskOptions<T> {
  readonly base: LoadedDecoder;
  readonly data: LoadedData<T>;
  readonly context: TaskContext;
  readonly rows: { readonly training: readonly TrainingRow[]; readonly heldOut: readonly TrainingRow[] };
  /** Further facts about the rows, for the report. */
  readonly facts: readonly TableRow[];
  readonly metric: RowMetric;
  /** Changes what a measure says, such as its unit. */
  readonly restate?: (measure: Measure) => Measure;
  readonly judge: PreparedTask<CausalLM>["judge"];
  readonly sample?: PreparedTask<CausalLM>["sample"];
  readonly files?: Readonly<Record<string, string>>;
  readonly nextCommands: PreparedTask<CausalLM>["nextCommands"];
}

/** A task that trains a decoder to write the learnt part of rows. */
export function prepareDecoderTask<T>(options: DecoderTaskOptions<T>): PreparedTask<CausalLM> {
  const { base, data, context, rows, facts, metric, restate = (measure) => measure } = options;
  const { model, tokenizer, weights } = base;
  const { engine, recipe } = context;
  const { batchSize, contextLength, seed } = recipe.train;
  const { maxBuckets, tokenBudget, pack } = recipe.batch;
  const batching = {
    ...{ batchSize, contextLength, maxBuckets },
    ...(tokenBudget > 0 && { tokenBudget }),
  };
  return {
    ...{ engine, model, weights, tokenizer, head: [], headModules: [], baselines: [] },
    examples: rowStream(rows.training, { ...batching, seed, pack }),
    dataHash: hashExamples(data.training, data.validation),
    corpus: [...data.facts, ...facts],
    objective: (of) => (pack ? new PackedNextToken(of) : new NextToken(of)),
    measure: (of, values) =>
      restate(new RowMeasure(engine, of, values, rows.heldOut, { ...batching, metric })),
    judge: options.judge,
    ...(options.sample && { sample: options.sample }),
    ...(options.files && { files: options.files }),
    save: (directory, values, card) => saveModel(directory, { model, weights: values, tokenizer, card }),
    nextCommands: options.nextCommands,
  };
}

/**
 * Examples of both sides as rows, by the recipe's word on long ones.
 *
 * @throws {DataError} naming the example that cannot be encoded, or is too long; or if nothing is left.
 */
export function encodeSides<T>(
  { training, validation }: LoadedData<T>,
  { recipe, onNotice }: TaskContext,
  encode: (example: T) => TrainingRow,
) {
  const options = { maxLength: recipe.train.contextLength, long: recipe.data.longRows };
  const facts: TableRow[] = [];
  const side = (label: string, rows: readonly Row<T>[]) => {
    const encoded = encodeRows(rows, encode, options);
    const told = describeLong(encoded, options);
    if (told) {
      facts.push({ label: `${label}, long`, value: told });
      onNotice(`${label} examples: ${told}`);
    }
    return encoded.rows;
  };
  return { rows: { training: side("training", training), heldOut: side("held-out", validation) }, facts };
}

/** What became of examples that are longer than the context; empty where there were none. */
export function describeLong(
  { numLong, numEmpty }: Omit<EncodedRows, "rows">,
  options: { maxLength: number; long: string },
): string {
  if (numLong === 0) return "";
  const done = options.long === "drop" ? "left out" : "cut";
  const empty = numEmpty > 0 ? `; ${formatCount(numEmpty)} had nothing left to learn and were left out` : "";
  return `${formatCount(numLong)} longer than ${options.maxLength} tokens were ${done}${empty}`;
}
