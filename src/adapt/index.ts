// The package's door `plinth/adapt`: adapters, what they are put on, and the objectives of adaptation.

export { AdaptedDecoder, AdaptedEncoder, type Adapter } from "./adapter.ts";
export { type Conversation, chatRow } from "./chat-row.ts";
export { type Instruction, instructionRow } from "./instruction-row.ts";
export { type LinearModule, linearModules, selectModules, type Targets } from "./linear-modules.ts";
export { Lora, type LoraOptions } from "./lora.ts";
export { numLearnt, rowTargets, type TrainingRow } from "./training-row.ts";
