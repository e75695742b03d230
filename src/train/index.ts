// The package's door `plinth/train`: the loop, and the parts that make it.

export { AdamW, type AdamWOptions } from "./adamw.ts";
export { CheckpointStore, type CheckpointStoreOptions, type LoadedCheckpoint } from "./checkpoint.ts";
export { flopsOf, trainingFlops, trainingFlopsOf } from "./flops.ts";
export { type GradientOptions, GradientProgram } from "./gradient-program.ts";
export { languageModelLoss } from "./language-model-loss.ts";
export { MaskedLM, maskedExamples, maskedStream } from "./masked-lm.ts";
export { MaskedValidation } from "./masked-validation.ts";
export { MetricsLog, readMetrics, type TimedEvent } from "./metrics-log.ts";
export { NextToken, nextTokenExamples, nextTokenStream } from "./next-token.ts";
export type {
  BatchShape,
  ExampleStream,
  Examples,
  Measure,
  Objective,
  TrainedModel,
  ValidationResult,
} from "./objective.ts";
export { learningRateAt, type TrainOptions, trainOptions } from "./options.ts";
export { type MomentFormat, ParameterArena } from "./parameter-arena.ts";
export {
  type MaskedQuality,
  type Quality,
  showQuality,
  type TaskQuality,
  type TextQuality,
} from "./quality.ts";
export { type RunReport, renderReport } from "./report.ts";
export { acquireRunLock, type RunLock } from "./run-lock.ts";
export { trainOnly } from "./train-only.ts";
export type { BestResult, RunIdentity, TrainResult, TrainRun } from "./train-run.ts";
export { train } from "./trainer.ts";
export { type HeldOut, Validation } from "./validation.ts";
