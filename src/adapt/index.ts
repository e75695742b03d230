// The package's door `plinth/adapt`: adapters, what they are put on, and the objectives of adaptation.

export {
  AdaptedDecoder,
  AdaptedEncoder,
  type Adapter,
  firstAdapterWeights,
  type Reading,
} from "./adapter.ts";
export { AdapterShelf, type Variant } from "./adapter-shelf.ts";
export { chatRow } from "./chat-row.ts";
export { combineLoras, type WeightedLora } from "./combine-loras.ts";
export {
  checkSameVocabulary,
  Distillation,
  type DistillationOptions,
  TEACHER_IDS,
  TEACHER_LOGITS,
} from "./distillation.ts";
export { distillationLoss, type TeacherScores } from "./distillation-loss.ts";
export { addMasks, DROPOUT_INPUT, Dropout, type DropoutCursor, dropInTraining } from "./dropout.ts";
export { type EncodedRows, type EncodeRowsOptions, encodeRows } from "./encode-rows.ts";
export { Ia3, type Ia3Options } from "./ia3.ts";
export { instructionRow } from "./instruction-row.ts";
export { JoinedAdapter } from "./joined-adapter.ts";
export { type LinearModule, linearModules, selectModules, type Targets } from "./linear-modules.ts";
export { loadAdapted } from "./load-adapted.ts";
export { type Drop, Lora, type LoraOptions } from "./lora.ts";
export { type MergeOptions, mergeAdapter } from "./merge-adapter.ts";
export { type MergeReport, mergeModel } from "./merge-model.ts";
export { joinRows, type PackedRow, packBins } from "./pack-rows.ts";
export { type PackedLayout, packedHidden } from "./packed-decoder.ts";
export { PackedNextToken } from "./packed-next-token.ts";
export {
  type AdapterBase,
  type LoadAdapterOptions,
  type LoadedAdapter,
  loadAdapter,
  type SavedAdapter,
  saveAdapter,
} from "./peft/adapter-file.ts";
export { type AdvantageScale, groupAdvantages } from "./preference/advantages.ts";
export { Dpo, type DpoOptions, dpoOptions } from "./preference/dpo.ts";
export type { DpoLossOptions } from "./preference/dpo-loss.ts";
export { Grpo, type GrpoOptions, grpoOptions } from "./preference/grpo.ts";
export type { Aggregation, GrpoLossOptions } from "./preference/grpo-loss.ts";
export {
  type GrpoCursor,
  GrpoStream,
  type GrpoStreamOptions,
  type RoundOptions,
  type RoundReport,
} from "./preference/grpo-stream.ts";
export {
  type DpoMeasureOptions,
  dpoMeasure,
  judgePairs,
  type PairJudgement,
  rewardMeasure,
} from "./preference/pair-measure.ts";
export {
  type PairObjective,
  type PreferenceStreamOptions,
  preferenceStream,
  sidesOf,
} from "./preference/preference-examples.ts";
export {
  type PreferenceRowOptions,
  type PreferenceRows,
  preferenceRow,
  preferenceRows,
  type WeighedPreference,
} from "./preference/preference-rows.ts";
export {
  BIAS_PATH,
  centringBias,
  RewardModel,
  RewardModelling,
  type RewardOptions,
} from "./preference/reward-model.ts";
export {
  type ExactAnswerOptions,
  exactAnswer,
  matchesPattern,
  type RewardFunction,
  sumRewards,
  type Task,
  validJson,
} from "./preference/reward-rules.ts";
export type { RowProgram } from "./preference/row-program.ts";
export { completionScores, logProbProgram, type WeightedModel } from "./preference/score-rows.ts";
export {
  type Divergence,
  measureDivergence,
  type TaskMeasureOptions,
  taskMeasure,
} from "./preference/task-measure.ts";
export { type Completion, type WritingOptions, writeCompletions } from "./preference/write-completions.ts";
export { PrefixTuning, type PrefixTuningOptions } from "./prefix-tuning.ts";
export { PromptTuning, type PromptTuningOptions } from "./prompt-tuning.ts";
export { RowMeasure, type RowMeasureOptions, type RowMetric } from "./row-measure.ts";
export { eachRow, type RowBatching, rowStream } from "./row-stream.ts";
export {
  type AnswerReading,
  type AnswerTarget,
  type AskedQuestion,
  answerSpans,
  type WindowAnswer,
} from "./tasks/answer-kind.ts";
export { FrozenBody } from "./tasks/frozen-body.ts";
export { LabelMeasure, type LabelMeasureOptions } from "./tasks/label-measure.ts";
export { decoderWithHead, encoderWithHead, type Weighted, type WithHead } from "./tasks/new-head.ts";
export { decoderScores, encoderScores, type ScoringModel, type TextIds } from "./tasks/scoring-model.ts";
export { Supervised, type TaskBatching, taskStream } from "./tasks/supervised.ts";
export { type TagTarget, wordTags } from "./tasks/tag-kind.ts";
export type { TaskKind, TaskOutcome, TaskPrediction, TaskRow } from "./tasks/task-kind.ts";
export { answerRows, type EncodeTaskOptions, tagRows, textRows } from "./tasks/task-rows.ts";
export { type Choice, multiLabel, regression, singleLabel } from "./tasks/text-kinds.ts";
export { Teacher, teachingStream } from "./teacher.ts";
export { numLearnt, rowTargets, type TrainingRow } from "./training-row.ts";
