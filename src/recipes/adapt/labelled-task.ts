import { LabelMeasure } from "../../adapt/tasks/label-measure.ts";
import { decoderWithHead, encoderWithHead } from "../../adapt/tasks/new-head.ts";
import { decoderScores, encoderScores, type ScoringModel } from "../../adapt/tasks/scoring-model.ts";
import { Supervised, taskStream } from "../../adapt/tasks/supervised.ts";
import type { TaskKind, TaskOutcome, TaskRow } from "../../adapt/tasks/task-kind.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { ConfigError, DataError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import type { Weights } from "../../core/weights.ts";
import type { Fit } from "../../data/rows/fit-context.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import type { CausalLM, Encoder, TaskHead } from "../../models/contracts.ts";
import { describeModel } from "../../models/describe-model.ts";
import { loadEncoder, loadModel } from "../../models/load-model.ts";
import { requireTokenizer } from "../../models/require-tokenizer.ts";
import { saveClassifier, saveEncoder } from "../../models/save-model.ts";
import type { Parameter } from "../../nn/scope.ts";
import type { TableRow } from "../../train/report/html.ts";
import { renderMistakes } from "../../train/report/mistakes.ts";
import type { Baseline } from "../../train/report.ts";
import { describeLong } from "./decoder-task.ts";
import { keepFeatures } from "./frozen-features.ts";
import { hashExamples, type LoadedData } from "./load-data.ts";
import { checkContext } from "./load-decoder.ts";
import type { BaseModel } from "./method.ts";
import type { Judgement, PreparedTask, TaskContext, UsePrepared } from "./task.ts";

/** What is different between tasks that put a head on a base. */
export interface LabelledTask<E, T, R> {
  readonly data: LoadedData<E>;
  readonly head: TaskHead;
  readonly kind: TaskKind<T, R>;
  encode(rows: readonly Row<E>[], tokenizer: Tokenizer): Fit<TaskRow<T>>;
  /** What is always the same answer, to compare with. */
  baselines(heldOut: readonly TaskRow<T>[]): readonly Baseline[];
  /** Parts of the report beside the list of mistakes. */
  sections(outcome: TaskOutcome): readonly string[];
  /** As words after `plinth`. */
  nextCommands(modelDirectory: string): readonly string[];
}

/**
 * Puts a head on the base, an encoder or a decoder, and hands it on with its data.
 *
 * @throws {ConfigError} if the base cannot have such a head.
 * @throws {DataError} if examples do not fit.
 */
export async function prepareLabelledTask<E, T, R, Result>(
  context: TaskContext,
  task: LabelledTask<E, T, R>,
  use: UsePrepared<Result>,
): Promise<Result> {
  const random = new Random(context.recipe.train.seed).fork("head");
  if (describeModel(context.base).kind === "encoder") {
    const base = loadEncoder(context.base);
    const tokenizer = requireTokenizer(base, "base");
    const { model, weights, headParameters } = encoderWithHead(base, task.head, random);
    return use<Encoder>({
      ...prepareCommon({ context, task, tokenizer, model, weights, headParameters }, encoderScores),
      save: (directory, values, card) =>
        saveEncoder(directory, { ...base, tokenizer, model, weights: values, card }),
    });
  }
  const { head } = task;
  if (head.kind !== "sequence") {
    throw new ConfigError({
      where: `task ${context.recipe.adapt.task}`,
      expected: "an encoder, which reads a text in both directions",
      got: `the decoder ${context.base}`,
    });
  }
  const base = loadModel(context.base);
  const tokenizer = requireTokenizer(base, "base");
  const { labels, problem } = head;
  const options = { labels, problem, padId: tokenizer.specials.pad };
  const { model, weights, headParameters } = decoderWithHead(base, options, random);
  return use<CausalLM>({
    ...prepareCommon<CausalLM, E, T, R>({ context, task, tokenizer, model, weights, headParameters }, (of) =>
      decoderScores(model, of),
    ),
    save: (directory, values, card) =>
      saveClassifier(directory, { ...base, tokenizer, model, weights: values, card }),
  });
}

interface Common<M extends BaseModel, E, T, R> {
  readonly context: TaskContext;
  readonly task: LabelledTask<E, T, R>;
  readonly tokenizer: Tokenizer;
  readonly model: M;
  readonly weights: Weights;
  readonly headParameters: readonly Parameter[];
}

/** What encoders and decoders have alike. */
function prepareCommon<M extends BaseModel, E, T, R>(
  { context, task, tokenizer, model, weights, headParameters }: Common<M, E, T, R>,
  scores: (model: M) => ScoringModel,
): Omit<PreparedTask<M>, "save"> {
  const { engine, recipe } = context;
  const { data, kind } = task;
  const { batchSize, contextLength, seed } = recipe.train;
  const { maxBuckets, tokenBudget } = recipe.batch;
  checkContext(contextLength, describeModel(context.base).model.shape.contextLength);
  const { training, heldOut, facts } = encodeSides(context, task, tokenizer);
  const kept = keepFeatures(context, { model: scores(model), weights, training, heldOut });
  const objective = (of: M) => new Supervised(of === model && kept.body ? kept.body : scores(of), kind);
  const measure = (of: M, values: Weights) =>
    new LabelMeasure(engine, objective(of), { rows: heldOut, weights: values, contextLength, maxBuckets });
  return {
    ...{ engine, tokenizer, model, weights, objective, measure, head: headParameters },
    headModules: [...new Set(headParameters.map(({ path }) => path.replace(/\.[^.]+$/, "")))],
    examples: taskStream(objective(model), training, {
      ...{ batchSize, contextLength, maxBuckets, seed },
      ...(tokenBudget > 0 && { tokenBudget }),
    }),
    dataHash: hashExamples(data.training, data.validation),
    corpus: [...data.facts, ...facts, ...kept.facts],
    heldBytes: kept.heldBytes,
    baselines: task.baselines(heldOut),
    judge: async (of, values) => {
      const measured = measure(of, values);
      try {
        return judgementOf(await measured.outcome(), task);
      } finally {
        measured.dispose();
      }
    },
    nextCommands: task.nextCommands,
  };
}

/** Both sides as rows, by the recipe's word on long ones. */
function encodeSides<E, T, R>(
  context: TaskContext,
  { data, encode }: LabelledTask<E, T, R>,
  tokenizer: Tokenizer,
) {
  const facts: TableRow[] = [];
  const { contextLength } = context.recipe.train;
  const side = (label: string, rows: readonly Row<E>[]) => {
    const { rows: encoded, numLong } = encode(rows, tokenizer);
    const told = describeLong(
      { numLong, numEmpty: 0 },
      { maxLength: contextLength, long: context.recipe.data.longRows },
    );
    if (told) {
      facts.push({ label: `${label}, long`, value: told });
      context.onNotice(`${label} examples: ${told}`);
    }
    if (encoded.length > 0) return encoded;
    const got = `none within ${contextLength} tokens`;
    throw new DataError({ where: `${label} examples`, expected: "at least one that fits", got });
  };
  return { training: side("training", data.training), heldOut: side("held-out", data.validation), facts };
}

function judgementOf<E, T, R>(outcome: TaskOutcome, task: LabelledTask<E, T, R>): Judgement {
  const { quality, predictions } = outcome;
  const wrong = predictions.filter(({ isRight }) => !isRight);
  const mistakes = wrong.map(({ where, text, expected, predicted }) => ({
    where,
    prompt: text,
    expected,
    got: predicted,
  }));
  return {
    quality,
    sections: [...task.sections(outcome), renderMistakes(mistakes, predictions.length)],
    predictions,
  };
}
