import type { Parameter } from "../nn/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Keys and values of every layer that a decoder has seen so far, as a program takes and returns them. */
export interface CacheTensors {
  /** Per layer: `(B, G, capacity, D)`. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** Tokens in sight after this step minus one, per row `(B)`, int32. */
  readonly lastPosition: Tensor;
  /** The same plus one, for the longest row: a scalar `(1)`, int32. */
  readonly totalLength: Tensor;
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
  readonly vocabularySize: number;
  readonly contextLength: number;
  readonly width: number;
  readonly numLayers: number;
  /** Heads and width of the cached keys and values. */
  readonly numKeyValueHeads: number;
  readonly headSize: number;
  readonly parameters: readonly Parameter[];
  /** Tokens `(B, T)` int32 → hidden states `(B, T, C)`, each from the tokens up to its own. */
  hidden(tokens: Tensor): Tensor;
  /** The same for tokens that continue a cache; positions `(B, T)` int32 are counted from the first token. */
  hiddenCached(tokens: Tensor, positions: Tensor, cache: CacheTensors): CachedStep;
  /** Hidden states `(…, C)` → scores of the next token `(…, V)`. */
  logits(hidden: Tensor): Tensor;
}
