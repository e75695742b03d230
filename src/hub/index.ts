// The package's door `plinth/hub`: model files of the Hugging Face layout, byte by byte.

export {
  type ModelDirectory,
  type ModelDirectoryContents,
  openModelDirectory,
  writeModelDirectory,
  writeModelDirectoryLater,
} from "./model-directory.ts";
export { type ModelId, parseModelId } from "./model-id.ts";
export { type ModelWeights, openModelWeights } from "./model-weights.ts";
export {
  type DownloadProgress,
  type ResolvedModel,
  type ResolveModelOptions,
  resolveModel,
} from "./resolve-model.ts";
export { SafetensorsFile } from "./safetensors.ts";
export {
  type NamedTensor,
  type PlannedTensor,
  streamSafetensors,
  writeSafetensors,
} from "./safetensors-writer.ts";
export { ShardedWriter } from "./sharded-writer.ts";
