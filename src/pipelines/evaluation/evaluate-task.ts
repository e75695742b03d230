import { taskBaselines } from "../../eval/baselines/task-baselines.ts";
import type { Interval } from "../../eval/metrics/bootstrap.ts";
import { Sandbox } from "../../eval/sandbox/sandbox.ts";
import type { Prediction } from "../../eval/tasks/prediction.ts";
import type { Task } from "../../eval/tasks/task.ts";
import { TASK_METRICS } from "../../eval/tasks/task-metrics.ts";
import { loadTaskRows, type TaskExamples, type TaskRowOptions } from "../../eval/tasks/task-rows.ts";
import type { ClassifierModel } from "../classifier-model.ts";
import type { EncoderModel } from "../encoder-model.ts";
import { LanguageModel } from "../language-model.ts";
import { decoderAnswers } from "./decoder-answers.ts";
import { fewShotIntro } from "./few-shot.ts";
import { headAnswers } from "./head-answers.ts";

export interface EvaluateOptions extends TaskRowOptions {
  /** Examples that are at hand, such as those that a model was adapted on and others; default: as the task's files and {@link TaskRowOptions} say. */
  readonly examples?: TaskExamples | undefined;
  /** Training examples shown ahead of each question, to decoders; default 0. */
  readonly shots?: number | undefined;
  /** Default true. */
  readonly baselines?: boolean | undefined;
  /** Text that the n-gram baseline counts; default the task's training rows. */
  readonly baselineText?: string | undefined;
  /** Cut texts that are longer than an encoder reads; they are refused otherwise. */
  readonly truncate?: boolean | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Scores by the names of their metrics. */
export type Scores = Readonly<Record<string, Interval>>;

/** What a baseline reaches, and how far the model is ahead of it. */
export interface BaselineScores {
  readonly name: string;
  readonly scores: Scores;
  readonly lead: Scores;
}

/** How well a model does a task. Intervals hold 95 % of resamples. */
export interface EvaluationResult {
  readonly task: string;
  readonly numExamples: number;
  readonly numTraining: number;
  /** Prompts longer than the context, whose answer counts as empty. */
  readonly numTooLong: number;
  readonly shots: number;
  readonly seed: number;
  readonly scores: Scores;
  /** The first metric for each value of the field that the task names. */
  readonly breakdown?: Scores;
  readonly baselines: readonly BaselineScores[];
  /** What became of drawn programs: how many had which status. */
  readonly programs?: Readonly<Record<string, number>>;
  readonly predictions: readonly Prediction[];
}

/**
 * Has a model do a task on rows that it was not trained on, and scores it beside baselines that need no network.
 *
 * @throws {ConfigError} if the model cannot do the task, or an option cannot be used.
 * @throws {DataError} if rows are missing or not as the task says.
 * @example
 * const { scores } = await evaluateTask(findTask("banking77"), model, { data: "../shared/data", shots: 4, limit: 200 });
 * scores.accuracy; // => { value: 0.31, low: 0.25, high: 0.37 }
 */
export async function evaluateTask(
  task: Task,
  model: LanguageModel | EncoderModel | ClassifierModel,
  options: EvaluateOptions = {},
): Promise<EvaluationResult> {
  const { shots = 0, seed = 1, baselines = true } = options;
  const examples = options.examples ?? (await loadTaskRows(task, options));
  const intro = fewShotIntro(task, examples, shots, seed);
  const predictions = await answer(task, model, examples, intro, options);
  const { evaluation, training } = examples;
  const others = baselines ? taskBaselines(task, examples, { seed, text: options.baselineText }) : [];
  const sampling = { seed, origins: originsOf(predictions) };
  const scoresOf = (measure: (metric: string) => Interval): Scores =>
    Object.fromEntries(task.metrics.map((metric) => [metric, measure(metric)]));
  return {
    task: task.name,
    numExamples: evaluation.length,
    numTraining: training.length,
    numTooLong: predictions.filter(({ tooLong }) => tooLong).length,
    shots,
    seed,
    scores: scoresOf((metric) => TASK_METRICS.get(metric)!.measure(predictions, sampling)),
    ...(task.breakdown && { breakdown: scoreParts(task, predictions, seed) }),
    baselines: others.map(({ name, predictions: theirs }) => ({
      name,
      scores: scoresOf((metric) => TASK_METRICS.get(metric)!.measure(theirs, sampling)),
      lead: scoresOf((metric) => TASK_METRICS.get(metric)!.compare(predictions, theirs, sampling)),
    })),
    ...(task.method === "program" && { programs: countStatuses(predictions) }),
    predictions,
  };
}

async function answer(
  task: Task,
  model: LanguageModel | EncoderModel | ClassifierModel,
  examples: TaskExamples,
  intro: string,
  { seed = 1, signal, truncate = false, onProgress }: EvaluateOptions,
): Promise<Prediction[]> {
  const { training, evaluation } = examples;
  const labels =
    task.method === "choice"
      ? [...new Set([...training, ...evaluation].map(({ expected }) => expected[0]!))].sort()
      : [];
  const sandbox = new Sandbox();
  const request = { task, examples: evaluation, intro, labels, seed, sandbox, signal };
  try {
    if (!(model instanceof LanguageModel)) return await headAnswers(model, request, truncate);
    const predictions: Prediction[] = [];
    for await (const prediction of decoderAnswers(model, request)) {
      predictions.push(prediction);
      onProgress?.(predictions.length, evaluation.length);
    }
    return predictions;
  } finally {
    await sandbox.dispose();
  }
}

/** What examples come from, if all say so. */
function originsOf(predictions: readonly Prediction[]): string[] | undefined {
  const origins = predictions.flatMap(({ group }) => (group === undefined ? [] : [group]));
  return origins.length === predictions.length ? origins : undefined;
}

function scoreParts(task: Task, predictions: readonly Prediction[], seed: number): Scores {
  const parts = new Map<string, Prediction[]>();
  for (const prediction of predictions) {
    const { breakdown = "" } = prediction;
    const part = parts.get(breakdown);
    if (part) part.push(prediction);
    else parts.set(breakdown, [prediction]);
  }
  const metric = TASK_METRICS.get(task.metrics[0]!)!;
  const named = [...parts].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(named.map(([name, part]) => [name, metric.measure(part, { seed })]));
}

function countStatuses(predictions: readonly Prediction[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of predictions.flatMap(({ programs = [] }) => programs)) {
    counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}
