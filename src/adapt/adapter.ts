import type {
  CachedStep,
  CausalLM,
  DecoderShape,
  Encoder,
  EncoderHeads,
  EncoderInput,
  EncoderShape,
} from "../models/contracts.ts";
import type { LayerCaches } from "../nn/causal-attention.ts";
import type { Parameter } from "../nn/scope.ts";
import { type Rule, rewrite } from "../tensor/rewrite.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** A change to what a model computes, made from outside: parameters of its own, and a rule on the operators of the model's graph. */
export interface Adapter {
  /** All of them are trained, and none of them is the model's. */
  readonly parameters: readonly Parameter[];
  readonly rule: Rule;
}

/** A decoder with an adapter on it: a decoder again, whose parameters are the base's and then the adapter's. */
export class AdaptedDecoder implements CausalLM {
  readonly base: CausalLM;
  readonly adapter: Adapter;
  readonly parameters: readonly Parameter[];

  constructor(base: CausalLM, adapter: Adapter) {
    this.base = base;
    this.adapter = adapter;
    this.parameters = [...base.parameters, ...adapter.parameters];
  }

  get family(): string {
    return this.base.family;
  }

  get shape(): DecoderShape {
    return this.base.shape;
  }

  get lookupPaths(): readonly string[] {
    return this.base.lookupPaths;
  }

  hidden(tokens: Tensor): Tensor {
    return rewrite([this.base.hidden(tokens)], this.adapter.rule, [tokens])[0]!;
  }

  hiddenCached(tokens: Tensor, positions: Tensor, cache: LayerCaches): CachedStep {
    const { hidden, keys, values } = this.base.hiddenCached(tokens, positions, cache);
    const given = [tokens, positions, cache.lengths, cache.totalLength, ...cache.keys, ...cache.values];
    const [rewritten, ...caches] = rewrite([hidden, ...keys, ...values], this.adapter.rule, given);
    return { hidden: rewritten!, keys: caches.slice(0, keys.length), values: caches.slice(keys.length) };
  }

  logits(hidden: Tensor): Tensor {
    return rewrite([this.base.logits(hidden)], this.adapter.rule, [hidden])[0]!;
  }
}

/** An encoder with an adapter on it: an encoder again, whose parameters are the base's and then the adapter's. */
export class AdaptedEncoder implements Encoder {
  readonly base: Encoder;
  readonly adapter: Adapter;
  readonly heads: EncoderHeads;
  readonly parameters: readonly Parameter[];

  constructor(base: Encoder, adapter: Adapter) {
    this.base = base;
    this.adapter = adapter;
    this.heads = adaptHeads(base.heads, adapter.rule);
    this.parameters = [...base.parameters, ...adapter.parameters];
  }

  get family(): string {
    return this.base.family;
  }

  get shape(): EncoderShape {
    return this.base.shape;
  }

  get lookupPaths(): readonly string[] {
    return this.base.lookupPaths;
  }

  hidden(input: EncoderInput): Tensor {
    const given = [input.tokens, input.segments, input.mask, ...(input.positions ? [input.positions] : [])];
    return rewrite([this.base.hidden(input)], this.adapter.rule, given)[0]!;
  }
}

function adaptHeads(heads: EncoderHeads, rule: Rule): EncoderHeads {
  const adapt = (of: (x: Tensor) => Tensor) => (x: Tensor) => rewrite([of(x)], rule, [x])[0]!;
  const { maskedLogits, pooled, nextSentenceLogits, answerLogits, sequenceClassifier, tokenClassifier } =
    heads;
  return {
    ...(maskedLogits && { maskedLogits: adapt(maskedLogits) }),
    ...(pooled && { pooled: adapt(pooled) }),
    ...(nextSentenceLogits && { nextSentenceLogits: adapt(nextSentenceLogits) }),
    ...(answerLogits && {
      answerLogits: (hidden: Tensor) => {
        const { start, end } = answerLogits(hidden);
        const [first, last] = rewrite([start, end], rule, [hidden]);
        return { start: first!, end: last! };
      },
    }),
    ...(sequenceClassifier && {
      sequenceClassifier: { ...sequenceClassifier, logits: adapt((x) => sequenceClassifier.logits(x)) },
    }),
    ...(tokenClassifier && {
      tokenClassifier: { ...tokenClassifier, logits: adapt((x) => tokenClassifier.logits(x)) },
    }),
  };
}
