// The package's door `plinth/data`: text to documents, documents to shards of tokens, shards to batches; rows of files to
// examples of a task.

export { type Batch, type BatchCursor, BatchSampler, type BatchSamplerOptions } from "./batches.ts";
export { type Corpus, type CorpusManifest, openCorpus, type WeightedDataset } from "./corpus.ts";
export {
  type MaskedCursor,
  type MaskedOptions,
  MaskedSampler,
  type MaskedSamplerOptions,
} from "./masked-sampler.ts";
export { chooseMasked, type MaskingRules, type MaskingVocabulary } from "./masking.ts";
export { type PreparedCorpus, type PrepareOptions, prepareCorpus } from "./prepare.ts";
export { CHAT, PREFERENCE } from "./rows/chat-kinds.ts";
export type { ExampleKind } from "./rows/example-kind.ts";
export type {
  AnswerSpan,
  Chat,
  Classification,
  Instruction,
  MultiLabel,
  Preference,
  QuestionAnswer,
  Regression,
  Text,
  TextOrMessages,
  Tokens,
} from "./rows/examples.ts";
export { type Fit, fitContext, type LongRows, type TokenRow } from "./rows/fit-context.ts";
export { CLASSIFICATION, MULTI_LABEL, REGRESSION, TOKENS } from "./rows/labelled-kinds.ts";
export {
  checkLabels,
  classWeights,
  collectLabels,
  type Labelled,
  type LabelSet,
  positiveWeights,
} from "./rows/labels.ts";
export { type BucketOptions, chooseBuckets } from "./rows/length-buckets.ts";
export {
  countRepeats,
  dropRepeats,
  type LoadOptions,
  loadExamples,
  type Repeats,
  type Row,
} from "./rows/load-examples.ts";
export type { RawRow } from "./rows/raw-row.ts";
export { type RowSource, readRows } from "./rows/read-rows.ts";
export {
  batchAll,
  type RowBatch,
  RowBatches,
  type RowBatchOptions,
  type RowCursor,
} from "./rows/row-batches.ts";
export { type FieldMapping, parseFieldMapping, type RowFields } from "./rows/row-fields.ts";
export { type RowSplitOptions, type Split, splitRows } from "./rows/split-rows.ts";
export { INSTRUCTION, QUESTION_ANSWER, TEXT } from "./rows/text-kinds.ts";
export { sampleTraining } from "./sample.ts";
export { type Document, parseSource, readDocuments, type SourceSpec } from "./sources.ts";
export type { SplitOptions } from "./split-reader.ts";
export { TokenDataset } from "./token-dataset.ts";
export {
  IGNORED_TARGET,
  type ValidationBatch,
  type ValidationOptions,
  validationWindows,
} from "./validation-windows.ts";
