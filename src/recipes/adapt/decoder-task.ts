import { type EncodedRows, encodeRows } from "../../adapt/encode-rows.ts";
import { PackedNextToken } from "../../adapt/packed-next-token.ts";
import { RowMeasure, type RowMetric } from "../../adapt/row-measure.ts";
import { rowStream } from "../../adapt/row-stream.ts";
import type { TrainingRow } from "../../adapt/training-row.ts";
import type { Weights } from "../../core/weights.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { saveModel } from "../../models/save-model.ts";
import { NextToken } from "../../train/next-token.ts";
import type { ExampleStream, Measure } from "../../train/objective.ts";
import type { TableRow } from "../../train/report/html.ts";
import { formatCount } from "../../train/report/quantities.ts";
import type { AdaptRecipe } from "./adapt-recipe.ts";
import { type Lessons, openLessons } from "./distill.ts";
import { hashExamples, type LoadedData } from "./load-data.ts";
import type { LoadedDecoder } from "./load-decoder.ts";
import { measureBaseline } from "./measure-baseline.ts";
import type { PreparedTask, TaskContext, UsePrepared } from "./task.ts";

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

/**
 * Hands on a task that trains a decoder to write the learnt part of rows, from a teacher too where the recipe has one.
 *
 * @throws as `openLessons`
 */
export async function useDecoderTask<T, R>(options: DecoderTaskOptions<T>, use: UsePrepared<R>): Promise<R> {
  const { base, context, rows, metric, restate = (measure) => measure } = options;
  const { engine, recipe } = context;
  const lessons = openLessons(engine, base, recipe);
  try {
    const measure = (of: CausalLM, values: Weights) =>
      restate(new RowMeasure(engine, of, values, rows.heldOut, { ...batchingOf(recipe), metric }));
    const baselines = lessons
      ? [await measureBaseline("the teacher", measure(lessons.teacher.model, lessons.teacher.weights))]
      : [];
    return await use({ ...prepareDecoderTask(options, lessons), measure, baselines });
  } finally {
    lessons?.dispose();
  }
}

function prepareDecoderTask<T>(
  options: DecoderTaskOptions<T>,
  lessons: Lessons | undefined,
): Omit<PreparedTask<CausalLM>, "measure" | "baselines"> {
  const { base, data, context, rows, facts } = options;
  const { model, tokenizer, weights } = base;
  const { engine, recipe } = context;
  const { pack } = recipe.batch;
  const { seed } = recipe.train;
  const examples = rowStream(rows.training, { ...batchingOf(recipe), seed, pack }) as ExampleStream;
  const plain = (of: CausalLM) => (pack ? new PackedNextToken(of) : new NextToken(of));
  return {
    ...{ engine, model, weights, tokenizer, head: [], headModules: [] },
    examples: lessons ? lessons.examples(examples) : examples,
    dataHash: hashExamples(data.training, data.validation),
    corpus: [...data.facts, ...facts, ...(lessons?.facts ?? [])],
    ...(lessons && { heldBytes: lessons.heldBytes }),
    objective: lessons ? lessons.objective : plain,
    judge: options.judge,
    ...(options.sample && { sample: options.sample }),
    ...(options.files && { files: options.files }),
    save: (directory, values, card) => saveModel(directory, { ...base, weights: values, card }),
    nextCommands: options.nextCommands,
  };
}

function batchingOf({
  train: { batchSize, contextLength },
  batch: { maxBuckets, tokenBudget },
}: AdaptRecipe) {
  return { ...{ batchSize, contextLength, maxBuckets }, ...(tokenBudget > 0 && { tokenBudget }) };
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

/** A prompt as it is typed in a shell: as examples were put, with a line break at its end or without. */
export function promptFlag(lineBreak: boolean): string {
  return `--prompt ${lineBreak ? "$'…\\n'" : '"…"'}`;
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
