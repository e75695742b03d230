import { ConfigError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { HostWeights, Weights } from "../core/weights.ts";
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
import { initializeParameters, type Parameter } from "../nn/scope.ts";
import { type Rule, rewrite } from "../tensor/rewrite.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What a model is given where an adapter's rule is asked for. */
export interface Reading {
  /** Int32 `(B, T)`, virtual tokens included. */
  readonly tokens: Tensor;
  /** Int32 `(B, T)`, where the tokens continue a cache. */
  readonly positions?: Tensor;
}

/** A change to what a model computes, made from outside: parameters of its own, and a rule on the operators of the model's graph. */
export interface Adapter {
  /** All of them are trained, and none of them is the model's. */
  readonly parameters: readonly Parameter[];
  /** Places that it takes before every text; see `CausalLM.virtualTokens`. */
  readonly virtualTokens?: number;
  /** The rule for one graph; of heads on hidden states, where there is nothing read. */
  rule(reading?: Reading): Rule;
  /** Its first values, where they depend on the base's; default: those that its parameters declare. */
  firstWeights?(base: Weights, random: Random): HostWeights;
}

/** First values of an adapter on a base with these weights. */
export function firstAdapterWeights(adapter: Adapter, base: Weights, random: Random): HostWeights {
  return adapter.firstWeights?.(base, random) ?? initializeParameters(adapter.parameters, random);
}

/** A decoder with an adapter on it: a decoder again, whose parameters are the base's and then the adapter's. */
export class AdaptedDecoder implements CausalLM {
  readonly base: CausalLM;
  readonly adapter: Adapter;
  readonly parameters: readonly Parameter[];

  /** @throws {ConfigError} if both the base and the adapter take places before the text. */
  constructor(base: CausalLM, adapter: Adapter) {
    if (adapter.virtualTokens && base.virtualTokens) {
      throw new ConfigError({
        where: "adapter",
        expected: "one that puts virtual tokens before the text",
        got: "a second one",
      });
    }
    this.base = base;
    this.adapter = adapter;
    this.parameters = [...base.parameters, ...adapter.parameters];
  }

  get family(): string {
    return this.base.family;
  }

  get shape(): DecoderShape {
    const { shape } = this.base;
    return { ...shape, contextLength: shape.contextLength - this.#ownTokens };
  }

  get virtualTokens(): number {
    return this.#ownTokens + (this.base.virtualTokens ?? 0);
  }

  get lookupPaths(): readonly string[] {
    return this.base.lookupPaths;
  }

  hidden(tokens: Tensor): Tensor {
    const [B, T] = tokens.shape;
    const numOwn = this.#ownTokens;
    const read = numOwn === 0 ? tokens : tokens.zero().broadcastTo([B!, numOwn]).concat([tokens], 1);
    const rule = this.adapter.rule({ tokens: read });
    const [hidden] = rewrite([this.base.hidden(read)], rule, [read]);
    return numOwn === 0 ? hidden! : hidden!.slice(1, numOwn, numOwn + (T as number)); // (B, T, C)
  }

  hiddenCached(tokens: Tensor, positions: Tensor, cache: LayerCaches): CachedStep {
    const { hidden, keys, values } = this.base.hiddenCached(tokens, positions, cache);
    const given = [tokens, positions, cache.lengths, cache.totalLength, ...cache.keys, ...cache.values];
    const rule = this.adapter.rule({ tokens, positions });
    const [rewritten, ...caches] = rewrite([hidden, ...keys, ...values], rule, given);
    return { hidden: rewritten!, keys: caches.slice(0, keys.length), values: caches.slice(keys.length) };
  }

  logits(hidden: Tensor): Tensor {
    return rewrite([this.base.logits(hidden)], this.adapter.rule(), [hidden])[0]!;
  }

  get #ownTokens(): number {
    return this.adapter.virtualTokens ?? 0;
  }
}

/** An encoder with an adapter on it: an encoder again, whose parameters are the base's and then the adapter's. */
export class AdaptedEncoder implements Encoder {
  readonly base: Encoder;
  readonly adapter: Adapter;
  readonly heads: EncoderHeads;
  readonly parameters: readonly Parameter[];

  /** @throws {ConfigError} if the adapter takes places before the text, which encoders do not leave it. */
  constructor(base: Encoder, adapter: Adapter) {
    if (adapter.virtualTokens) {
      throw new ConfigError({
        where: "adapter of an encoder",
        expected: "one that changes layers, such as LoRA",
        got: "one that puts virtual tokens before the text",
      });
    }
    this.base = base;
    this.adapter = adapter;
    this.heads = adaptHeads(base.heads, adapter);
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
    return rewrite([this.base.hidden(input)], this.adapter.rule(input), given)[0]!;
  }
}

function adaptHeads(heads: EncoderHeads, adapter: Adapter): EncoderHeads {
  const adapt = (of: (x: Tensor) => Tensor) => (x: Tensor) => rewrite([of(x)], adapter.rule(), [x])[0]!;
  const { maskedLogits, pooled, nextSentenceLogits, answerLogits, sequenceClassifier, tokenClassifier } =
    heads;
  return {
    ...(maskedLogits && { maskedLogits: adapt(maskedLogits) }),
    ...(pooled && { pooled: adapt(pooled) }),
    ...(nextSentenceLogits && { nextSentenceLogits: adapt(nextSentenceLogits) }),
    ...(answerLogits && {
      answerLogits: (hidden: Tensor) => {
        const { start, end } = answerLogits(hidden);
        const [first, last] = rewrite([start, end], adapter.rule(), [hidden]);
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
