// The package's door `plinth/adapt`: adapters, what they are put on, and the objectives of adaptation.

export {
  AdaptedDecoder,
  AdaptedEncoder,
  type Adapter,
  firstAdapterWeights,
  type Reading,
} from "./adapter.ts";
export { chatRow } from "./chat-row.ts";
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
export { type Drop, Lora, type LoraOptions } from "./lora.ts";
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
export { PrefixTuning, type PrefixTuningOptions } from "./prefix-tuning.ts";
export { PromptTuning, type PromptTuningOptions } from "./prompt-tuning.ts";
export { RowMeasure, type RowMeasureOptions, type RowMetric } from "./row-measure.ts";
export { eachRow, type RowBatching, rowStream } from "./row-stream.ts";
export { Teacher, teachingStream } from "./teacher.ts";
export { numLearnt, rowTargets, type TrainingRow } from "./training-row.ts";
