// The package's door `plinth/eval`: metrics, their intervals, tasks, baselines, and a sandbox for programs.

export { Bm25 } from "./baselines/bm25.ts";
export { type TaskBaseline, type TaskBaselineOptions, taskBaselines } from "./baselines/task-baselines.ts";
export { bitsPerByte } from "./bits-per-byte.ts";
export { answerF1, answerMatches, normalizeAnswer } from "./metrics/answer-match.ts";
export { type BleuCounts, bleu, bleuCounts, bleuWords } from "./metrics/bleu.ts";
export {
  type BootstrapOptions,
  bootstrap,
  bootstrapDifference,
  type Interval,
  percentile,
} from "./metrics/bootstrap.ts";
export { brierScore, calibrationError, logLoss, type ProbabilityRecord } from "./metrics/calibration.ts";
export { type ChrfCounts, chrf, chrfCounts } from "./metrics/chrf.ts";
export {
  type Average,
  accuracy,
  binaryF1,
  type ConfusionMatrix,
  confusionMatrix,
  f1,
  type LabelPair,
  type LabelQuality,
  labelQualities,
  matthews,
} from "./metrics/classification.ts";
export { passAtK } from "./metrics/pass-at-k.ts";
export {
  meanAbsoluteError,
  meanSquaredError,
  type NumberPair,
  pearson,
  spearman,
} from "./metrics/regression.ts";
export { type RougeKind, type RougeOptions, type RougeScore, rouge } from "./metrics/rouge.ts";
export {
  type SpanQuality,
  spanQuality,
  type TaggedSpan,
  type TagPair,
  taggedSpans,
} from "./metrics/spans.ts";
export { type NgramModel, type NgramOptions, trainNgram } from "./ngram.ts";
export {
  type Isolation,
  type Program,
  type ProgramOutcome,
  type ProgramStatus,
  Sandbox,
  type SandboxOptions,
} from "./sandbox/sandbox.ts";
export { BUILT_IN_TASKS } from "./tasks/built-in-tasks.ts";
export { type DrawnProgram, makePrediction, type Prediction } from "./tasks/prediction.ts";
export { type AnswerMethod, defineTask, findTask, type Task, type TaskInput } from "./tasks/task.ts";
export { TASK_METRICS, type TaskMetric } from "./tasks/task-metrics.ts";
export { loadTaskRows, type TaskExample, type TaskExamples, type TaskRowOptions } from "./tasks/task-rows.ts";
