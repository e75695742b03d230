// The package's door `plinth/train`: the loop, and the parts that make it.

export { AdamW, type AdamWOptions } from "./adamw.ts";
export { CheckpointStore, type CheckpointStoreOptions, type LoadedCheckpoint } from "./checkpoint.ts";
export { trainingFlops } from "./flops.ts";
export { type BatchShape, GradientProgram, languageModelLoss } from "./gradient-program.ts";
export { MetricsLog, readMetrics, type TimedEvent } from "./metrics-log.ts";
export { learningRateAt, type TrainOptions, trainOptions } from "./options.ts";
export { ParameterArena } from "./parameter-arena.ts";
export { type RunReport, renderReport } from "./report.ts";
export { acquireRunLock, type RunLock } from "./run-lock.ts";
export { type RunIdentity, type TrainResult, type TrainRun, train } from "./trainer.ts";
export { type HeldOut, Validation, type ValidationResult } from "./validation.ts";
