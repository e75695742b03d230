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
  /**
   * Places before every text that learned vectors take, as prompt tuning has them. `hidden` puts them there and leaves them
   * out of its result; a cache begins with so many tokens of any id. Absent: none.
   */
  readonly virtualTokens?: number;
  /** Tokens `(B, T)` int32 → hidden states `(B, T, C)`, each from the tokens up to its own. */
  hidden(tokens: Tensor): Tensor;
  /** The same for tokens that continue a cache; positions `(B, T)` int32 are counted from the first token. */
  hiddenCached(tokens: Tensor, positions: Tensor, cache: LayerCaches): CachedStep;
  /** Hidden states `(…, C)` → scores of the next token `(…, V)`. */
  logits(hidden: Tensor): Tensor;
}

/** The sizes of an encoder that everything around it needs. */
export interface EncoderShape {
  readonly vocabularySize: number;
  /** Most tokens the model can look at. */
  readonly contextLength: number;
  readonly width: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Kinds of segment: 2 where pairs of texts are told apart. */
  readonly numSegments: number;
}

/** A padded batch as an encoder takes it, all int32 `(B, T)`; either size may be a mere name. */
export interface EncoderInput {
  readonly tokens: Tensor;
  /** Which text of a pair each token is of, from 0. */
  readonly segments: Tensor;
  /** 1 where there is a token, 0 at padding, which no token looks at. */
  readonly mask: Tensor;
  /** Int32 `(T)`: 0, 1, 2 …; needed only where T is a mere name. */
  readonly positions?: Tensor;
}

/** What the scores of a classification mean. */
export type ClassificationProblem = "regression" | "single-label" | "multi-label";

/** What a head on a base is to tell: the class of a text, of each token, or where an answer begins and ends. */
export type TaskHead =
  | {
      readonly kind: "sequence";
      readonly labels: readonly string[];
      readonly problem: ClassificationProblem;
    }
  | { readonly kind: "tokens"; readonly labels: readonly string[] }
  | { readonly kind: "answers" };

/** A head that sorts whole texts. */
export interface SequenceClassifier {
  readonly labels: readonly string[];
  readonly problem: ClassificationProblem;
  /** Hidden states `(B, T, C)` → scores `(B, labels)`. */
  logits(hidden: Tensor): Tensor;
}

/** A head that sorts tokens. */
export interface TokenClassifier {
  readonly labels: readonly string[];
  /** Hidden states `(…, C)` → scores `(…, labels)`. */
  logits(hidden: Tensor): Tensor;
}

/** The heads that an encoder may have on its hidden states; those it lacks are absent. */
export interface EncoderHeads {
  /** Hidden states `(…, C)` → scores of the token behind a mask `(…, V)`. */
  maskedLogits?(hidden: Tensor): Tensor;
  /** Hidden states `(B, T, C)` → one vector a text, from its first token: `(B, C)`. */
  pooled?(hidden: Tensor): Tensor;
  /** Pooled `(B, C)` → `(B, 2)`: that the second text follows the first, that it does not. */
  nextSentenceLogits?(pooled: Tensor): Tensor;
  /** Hidden states `(B, T, C)` → scores `(B, T)` of the answer's first and last token. */
  answerLogits?(hidden: Tensor): { readonly start: Tensor; readonly end: Tensor };
  readonly sequenceClassifier?: SequenceClassifier;
  readonly tokenClassifier?: TokenClassifier;
}

/** A model that reads whole texts in both directions. Pretraining and the encoder tasks know models only by this. */
export interface Encoder {
  /** Name of the family in the registry, such as `bert`. */
  readonly family: string;
  readonly shape: EncoderShape;
  readonly heads: EncoderHeads;
  readonly parameters: readonly Parameter[];
  /** Parameters that are only looked up, never multiplied with: they cost memory but no arithmetic. */
  readonly lookupPaths: readonly string[];
  /** A padded batch → hidden states `(B, T, C)`, each from all tokens of its text. */
  hidden(input: EncoderInput): Tensor;
}
