// The package's door `plinth/adapt`: adapters, what they are put on, and the objectives of adaptation.

export {
  AdaptedDecoder,
  AdaptedEncoder,
  type Adapter,
  firstAdapterWeights,
  type Reading,
} from "./adapter.ts";
export { type Conversation, chatRow } from "./chat-row.ts";
export { addMasks, DROPOUT_INPUT, Dropout, type DropoutCursor, dropInTraining } from "./dropout.ts";
export { Ia3, type Ia3Options } from "./ia3.ts";
export { type Instruction, instructionRow } from "./instruction-row.ts";
export { JoinedAdapter } from "./joined-adapter.ts";
export { type LinearModule, linearModules, selectModules, type Targets } from "./linear-modules.ts";
export { type Drop, Lora, type LoraOptions } from "./lora.ts";
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
export { numLearnt, rowTargets, type TrainingRow } from "./training-row.ts";
