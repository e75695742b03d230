import type { LayerCaches } from "../nn/causal-attention.ts";
import type { Parameter } from "../nn/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The sizes of a decoder that everything around it needs. */
export interface DecoderShape {
  readonly vocabularySize: number;
  /** Most tokens the model can look at. */
  readonly contextLength: number;
  readonly width: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Heads of the cached keys and values. */
  readonly numKeyValueHeads: number;
  readonly headSize: number;
  /** No layer looks further back than that many tokens, its own included; absent where one looks at all before it. */
  readonly slidingWindow?: number;
}

/** What one cached step yields: hidden states, and the caches with the new tokens written in. */
export interface CachedStep {
  readonly hidden: Tensor;
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

/**
 * A decoder that predicts the next token. Training, generation, scoring and adaptation know models only by this.
 */
export interface CausalLM {
  /** Name of the family in the registry, such as `gpt2`. */
  readonly family: string;
  readonly shape: DecoderShape;
  readonly parameters: readonly Parameter[];
  /** Parameters that are only looked up, never multiplied with: they cost memory but no arithmetic. */
  readonly lookupPaths: readonly string[];
  /** Tokens `(B, T)` int32 → hidden states `(B, T, C)`, each from the tokens up to its own. */
  hidden(tokens: Tensor): Tensor;
  /** The same for tokens that continue a cache; positions `(B, T)` int32 are counted from the first token. */
  hiddenCached(tokens: Tensor, positions: Tensor, cache: LayerCaches): CachedStep;
  /** Hidden states `(…, C)` → scores of the next token `(…, V)`. */
  logits(hidden: Tensor): Tensor;
}
