// The package `plinth`: what using and training models takes. Parts to build with have doors of their own: `plinth/nn`,
// `plinth/data`, `plinth/eval`, `plinth/train`, `plinth/adapt`, `plinth/hub`. Nothing inside `src` imports from here.

export { type AssistantSpanOptions, type AssistantTurns, assistantSpans } from "./codecs/assistant-spans.ts";
export { type CharTokenizerOptions, trainCharTokenizer } from "./codecs/char-tokenizer.ts";
export type { ChatContent, ChatMessage, ToolCall } from "./codecs/chat-messages.ts";
export {
  type ChatRenderOptions,
  ChatTemplate,
  type ChatTemplateSpec,
  loadChatTemplate,
} from "./codecs/chat-template.ts";
export type { EncodedInput, InputOptions, Truncation, WindowOptions } from "./codecs/encoded-input.ts";
export { plainChatSource, plainChatTemplate } from "./codecs/plain-chat-template.ts";
export { parseSentencePiece, type Surround } from "./codecs/sentencepiece.ts";
export type { SpecialIds, SpecialRole } from "./codecs/special-ids.ts";
export type { MarkedText } from "./codecs/template/template.ts";
export { parseTiktoken, TIKTOKEN_ENCODINGS, type TiktokenEncoding } from "./codecs/tiktoken.ts";
export {
  type DecodeOptions,
  type Decoding,
  loadTokenizer,
  parseTokenizer,
  StreamDecoder,
  saveTokenizer,
  type Tokenizer,
} from "./codecs/tokenizer.ts";
export { type TrainByteBpeOptions, trainByteBpe } from "./codecs/train-byte-bpe.ts";
export { type TrainWordPieceOptions, trainWordPiece } from "./codecs/train-word-piece.ts";
export { type DType, type HostTensor, hostTensor, type TypedArray } from "./core/dtype.ts";
export {
  ConfigError,
  DataError,
  EnvironmentError,
  type Failure,
  FormatError,
  PlinthError,
  ShapeError,
} from "./core/errors.ts";
export { Random, type RandomState } from "./core/random.ts";
export { type Dim, expectShape, type Shape } from "./core/shape.ts";
export type {
  FileTensor,
  HostWeights,
  QuantizationScheme,
  QuantizedTensor,
  StoredTensor,
  Weight,
  WeightFile,
  Weights,
} from "./core/weights.ts";
export { parseSource, type SourceSpec } from "./data/sources.ts";
export { Engine, type EngineOptions, exportOnnx } from "./engine/engine.ts";
export type { Program, ProgramOptions } from "./engine/program.ts";
export { readWeight, readWeights } from "./engine/stored-tensor.ts";
export { bitsPerByte } from "./eval/bits-per-byte.ts";
export { type NgramModel, type NgramOptions, trainNgram } from "./eval/ngram.ts";
export { Perplexity } from "./eval/perplexity.ts";
export { Scorer, scoredBitsPerByte, scoreTokens, type TokenScores } from "./eval/score.ts";
export { findTask, type Task, type TaskInput } from "./eval/tasks/task.ts";
export {
  type BeamOptions,
  type BeamResult,
  type BeamSearchOptions,
  beamSearch,
} from "./generate/beam-search.ts";
export { type ConstraintSpec, compileConstraint } from "./generate/constraint/compile-constraint.ts";
export {
  type ConstraintState,
  type TokenConstraint,
  tokenMask,
} from "./generate/constraint/token-constraint.ts";
export { TokenVocabulary } from "./generate/constraint/token-vocabulary.ts";
export { Decoder, type DecoderOptions } from "./generate/decoder.ts";
export {
  type GenerateBatchOptions,
  type GenerateCallbacks,
  type GenerateOptions,
  generate,
  generateBatch,
  stream,
} from "./generate/generate.ts";
export {
  JsonValidator,
  type ValidateOptions,
  type ValidationError,
  validateJson,
} from "./generate/json-schema/validate.ts";
export { topLogProbabilities } from "./generate/sampling.ts";
export { type SamplingOptions, samplingOptions } from "./generate/sampling-options.ts";
export type { FinishReason, GenerateEvent, GenerateResult } from "./generate/sequence.ts";
export {
  type DownloadProgress,
  type ResolvedModel,
  type ResolveModelOptions,
  resolveModel,
} from "./hub/resolve-model.ts";
export { type BertConfig, type BertHeads, bertConfig } from "./models/bert/config.ts";
export { Bert } from "./models/bert/model.ts";
export type {
  CausalLM,
  ClassificationProblem,
  DecoderShape,
  Encoder,
  EncoderHeads,
  EncoderInput,
  EncoderShape,
  SequenceClassifier,
  TokenClassifier,
} from "./models/contracts.ts";
export { DecoderClassifier, type DecoderClassifierOptions } from "./models/decoder-classifier.ts";
export { describeModel, type ModelDescription, type TensorFootprint } from "./models/describe-model.ts";
export { type Gpt2Config, gpt2Config } from "./models/gpt2/config.ts";
export { Gpt2 } from "./models/gpt2/model.ts";
export {
  type LoadedClassifier,
  type LoadedEncoder,
  type LoadedModel,
  loadClassifier,
  loadEncoder,
  loadModel,
} from "./models/load-model.ts";
export { type MistralConfig, mistralConfig } from "./models/mistral/config.ts";
export { Mistral } from "./models/mistral/model.ts";
export { type QuantizeOptions, type QuantizeReport, quantizeModel } from "./models/quantize-model.ts";
export {
  type SavedClassifier,
  type SavedEncoder,
  type SavedModel,
  saveClassifier,
  saveEncoder,
  saveModel,
} from "./models/save-model.ts";
export { countParameters, initializeParameters } from "./nn/scope.ts";
export {
  type Answer,
  type AnswerOptions,
  answerQuestion,
  type Question,
} from "./pipelines/answer-question.ts";
export { type ChatOptions, type ChatReply, chat } from "./pipelines/chat.ts";
export { ClassifierModel, type ClassifierModelOptions } from "./pipelines/classifier-model.ts";
export {
  classifyByLikelihood,
  type LabelledText,
  type LabelProbability,
  type LikelihoodOptions,
} from "./pipelines/classify-by-likelihood.ts";
export {
  type ClassificationActivation,
  type ClassifySequenceOptions,
  classifySequence,
  type LabelScore,
} from "./pipelines/classify-sequence.ts";
export { type ClassifyTokensOptions, classifyTokens } from "./pipelines/classify-tokens.ts";
export { type CodeCompletion, type CompleteCodeOptions, completeCode } from "./pipelines/complete-code.ts";
export { type EmbedOptions, embed } from "./pipelines/embed.ts";
export {
  EncoderModel,
  type EncoderModelOptions,
  type EncoderText,
  type TokenIds,
} from "./pipelines/encoder-model.ts";
export {
  type BaselineScores,
  type EvaluateOptions,
  type EvaluationResult,
  evaluateTask,
  type Scores,
} from "./pipelines/evaluation/evaluate-task.ts";
export {
  type FilledMask,
  type FillMaskOptions,
  fillMask,
  type MaskCandidate,
} from "./pipelines/fill-mask.ts";
export type { Entity, Grouping } from "./pipelines/group-entities.ts";
export { LanguageModel, type LanguageModelOptions } from "./pipelines/language-model.ts";
export { isNextSentence, type NextSentenceOptions } from "./pipelines/next-sentence.ts";
export {
  type Embeddings,
  type Pipeline,
  type PipelineOptions,
  type PipelineProgress,
  type PipelineTask,
  pipeline,
} from "./pipelines/pipeline.ts";
export type { Pooling } from "./pipelines/sentence-config.ts";
export { type SummarizeOptions, type Summary, summarize } from "./pipelines/summarize.ts";
export {
  type GeneratedText,
  generateTexts,
  type TextGenerationOptions,
  type TextPrompt,
} from "./pipelines/text-generation.ts";
export { availableMemory } from "./plan/available-memory.ts";
export { checkMemory } from "./plan/check-memory.ts";
export {
  checkTrainingMemory,
  describeForecast,
  type TrainingAlternative,
  type TrainingMemoryCheck,
} from "./plan/check-training-memory.ts";
export { forecastMemory, type MemoryForecast, type MemoryRequest } from "./plan/memory-forecast.ts";
export {
  forecastTraining,
  type MemoryOptions,
  type TrainingForecast,
  type TrainingMemoryRequest,
} from "./plan/training-forecast.ts";
export { type AdaptOptions, type AdaptResult, adapt } from "./recipes/adapt/adapt.ts";
export type { AdaptRecipe } from "./recipes/adapt/adapt-recipe.ts";
export type { Costs } from "./recipes/adapt/costs.ts";
export { METHODS } from "./recipes/adapt/methods.ts";
export { type GridPoint, parseGrid, runSweep, type SweepEntry, sweepTable } from "./recipes/adapt/sweep.ts";
export type { DataSources } from "./recipes/adapt/task.ts";
export { TASKS } from "./recipes/adapt/tasks.ts";
export { type PretrainOptions, type PretrainResult, pretrain } from "./recipes/pretrain.ts";
export { type QuickstartOptions, type QuickstartResult, quickstart } from "./recipes/quickstart.ts";
export { applySettings, type Recipe, type RecipeInput, readRecipe } from "./recipes/recipe.ts";
export { findRecipe, type NamedRecipe, RECIPES } from "./recipes/table.ts";
export { grad, gradients, valueAndGrad } from "./tensor/gradient.ts";
export { type Rule, rewrite } from "./tensor/rewrite.ts";
export { constant, input, parameter, scalar, Tensor } from "./tensor/tensor.ts";
export type { TrainEvent } from "./train/events.ts";
export {
  type MaskedQuality,
  type Quality,
  showQuality,
  type TaskQuality,
  type TextQuality,
} from "./train/quality.ts";
