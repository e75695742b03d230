// The package's door `plinth/data`: text to documents, documents to shards of tokens, shards to batches.

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
