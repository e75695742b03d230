// The package's door `plinth/nn`: layers, and the scope in which models declare their parameters.

export { attendBothWays } from "./bidirectional-attention.ts";
export {
  type Attend,
  attendCached,
  attendCausally,
  type CachedHeads,
  type CausalAttentionOptions,
  causalAttention,
  type LayerCaches,
} from "./causal-attention.ts";
export { Embedding } from "./embedding.ts";
export { LayerNorm } from "./layer-norm.ts";
export { Linear, type LinearOptions } from "./linear.ts";
export { RmsNorm } from "./rms-norm.ts";
export {
  type DynamicScaling,
  type LinearScaling,
  type Llama3Scaling,
  type RopeScaling,
  type RopeSettings,
  rotaryFrequencies,
  rotaryScale,
  type YarnScaling,
} from "./rope-scaling.ts";
export { Rotary, type Turn } from "./rotary.ts";
export { filled, type Initializer, normal, type Parameter, Scope, truncatedNormal } from "./scope.ts";
