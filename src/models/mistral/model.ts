// Mistral: "Mistral 7B", Jiang et al. 2023. With the properties of its configuration also Llama (Touvron et al. 2023) and
// Qwen2 (Yang et al. 2024).
// B batch · T tokens · C width · H query heads · G key/value heads · D head width · F feed-forward width · V vocabulary

import { expectShape } from "../../core/shape.ts";
import { type Attend, attendCached, attendCausally, type LayerCaches } from "../../nn/causal-attention.ts";
import { Embedding } from "../../nn/embedding.ts";
import { Linear } from "../../nn/linear.ts";
import { RmsNorm } from "../../nn/rms-norm.ts";
import { Rotary } from "../../nn/rotary.ts";
import { normal, type Parameter, Scope } from "../../nn/scope.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { CachedStep, CausalLM, DecoderShape } from "../contracts.ts";
import { type MistralConfig, windowOf } from "./config.ts";

/** Deviation of the first weights, as in the published configurations (`initializer_range`). */
const WEIGHT_DEVIATION = 0.02;

interface LinearSizes {
  readonly inSize: number;
  readonly outSize: number;
  readonly bias: boolean;
  readonly deviation?: number;
}

function linear(scope: Scope, { deviation = WEIGHT_DEVIATION, ...sizes }: LinearSizes): Linear {
  return new Linear(scope, { ...sizes, layout: "out-in", initialize: normal(deviation) });
}

/** Each of the 2L additions to the residual stream starts smaller, so that their sum does not grow with depth. */
function residualDeviation({ numLayers }: MistralConfig): number {
  return WEIGHT_DEVIATION / Math.sqrt(2 * numLayers);
}

/** Causal self-attention whose keys and values are shared by groups of query heads (Ainslie et al. 2023, §2.2). */
class Attention {
  readonly #query: Linear;
  readonly #key: Linear;
  readonly #value: Linear;
  readonly #output: Linear;

  constructor(scope: Scope, config: MistralConfig) {
    const { width, numHeads, numKeyValueHeads, headSize, queryKeyValueBias: bias, outputBias } = config;
    const [querySize, keySize] = [numHeads * headSize, numKeyValueHeads * headSize];
    this.#query = linear(scope.at("q_proj"), { inSize: width, outSize: querySize, bias });
    this.#key = linear(scope.at("k_proj"), { inSize: width, outSize: keySize, bias });
    this.#value = linear(scope.at("v_proj"), { inSize: width, outSize: keySize, bias });
    this.#output = linear(scope.at("o_proj"), {
      ...{ inSize: querySize, outSize: width, bias: outputBias },
      deviation: residualDeviation(config),
    });
  }

  forward(x: Tensor, attend: Attend): Tensor {
    const q = this.#query.forward(x); // (B, T, H·D)
    const [k, v] = [this.#key.forward(x), this.#value.forward(x)]; // (B, T, G·D)
    return this.#output.forward(attend(q, k, v)); // (B, T, C)
  }
}

/** SwiGLU (Shazeer 2020): one projection gates the other. */
class FeedForward {
  readonly #gate: Linear;
  readonly #up: Linear;
  readonly #down: Linear;

  constructor(scope: Scope, config: MistralConfig) {
    const { width, feedForwardSize, feedForwardBias: bias } = config;
    this.#gate = linear(scope.at("gate_proj"), { inSize: width, outSize: feedForwardSize, bias });
    this.#up = linear(scope.at("up_proj"), { inSize: width, outSize: feedForwardSize, bias });
    this.#down = linear(scope.at("down_proj"), {
      ...{ inSize: feedForwardSize, outSize: width, bias },
      deviation: residualDeviation(config),
    });
  }

  forward(x: Tensor): Tensor {
    const gated = this.#gate.forward(x).silu().mul(this.#up.forward(x)); // (B, T, F)
    return this.#down.forward(gated); // (B, T, C)
  }
}

/** One pre-norm layer: attention and feed-forward, each added to the residual stream. */
class Block {
  readonly #attentionNorm: RmsNorm;
  readonly #attention: Attention;
  readonly #feedForwardNorm: RmsNorm;
  readonly #feedForward: FeedForward;

  constructor(scope: Scope, config: MistralConfig) {
    const norm = (name: string) => new RmsNorm(scope.at(name), config.width, config.rmsNormEpsilon);
    this.#attentionNorm = norm("input_layernorm");
    this.#attention = new Attention(scope.at("self_attn"), config);
    this.#feedForwardNorm = norm("post_attention_layernorm");
    this.#feedForward = new FeedForward(scope.at("mlp"), config);
  }

  forward(x: Tensor, attend: Attend): Tensor {
    const attended = x.add(this.#attention.forward(this.#attentionNorm.forward(x), attend));
    return attended.add(this.#feedForward.forward(this.#feedForwardNorm.forward(attended)));
  }
}

/** A decoder of the Mistral family. */
export class Mistral implements CausalLM {
  readonly config: MistralConfig;
  readonly parameters: readonly Parameter[];
  readonly lookupPaths: readonly string[];
  readonly #tokens: Embedding;
  readonly #rotary: Rotary;
  readonly #blocks: readonly Block[];
  readonly #finalNorm: RmsNorm;
  /** Absent where the token table is the head. */
  readonly #head: Linear | undefined;

  constructor(config: MistralConfig) {
    const root = new Scope();
    const scope = root.at("model");
    const { vocabularySize, width, numLayers, headSize, ropeTheta: theta, ropeScaling } = config;
    this.config = config;
    this.#tokens = new Embedding(scope.at("embed_tokens"), vocabularySize, width, normal(WEIGHT_DEVIATION));
    this.#rotary = new Rotary({ headSize, theta, ...(ropeScaling && { scaling: ropeScaling }) });
    this.#blocks = Array.from({ length: numLayers }, (_, i) => new Block(scope.at(`layers.${i}`), config));
    this.#finalNorm = new RmsNorm(scope.at("norm"), width, config.rmsNormEpsilon);
    const head = { inSize: width, outSize: vocabularySize, bias: false };
    this.#head = config.tiedHead ? undefined : linear(root.at("lm_head"), head);
    this.parameters = root.parameters;
    this.lookupPaths = config.tiedHead ? [] : [this.#tokens.weight.path];
  }

  get family(): string {
    return this.config.publishedType;
  }

  get shape(): DecoderShape {
    const { config } = this;
    const { vocabularySize, contextLength, width, numLayers, numHeads, numKeyValueHeads, headSize } = config;
    const sizes = { vocabularySize, contextLength, width, numLayers, numHeads, numKeyValueHeads, headSize };
    const isBounded = config.slidingWindow !== undefined && config.fullAttentionLayers.length === 0;
    return isBounded ? { ...sizes, slidingWindow: config.slidingWindow! } : sizes;
  }

  hidden(tokens: Tensor): Tensor {
    expectShape("Mistral.hidden", tokens.shape, [undefined, undefined]);
    const turn = this.#rotary.whole(tokens.shape[1] as number);
    const { numHeads } = this.config;
    return this.#run(tokens, (layer) => {
      const window = windowOf(this.config, layer);
      const options = window === undefined ? {} : { window };
      return (q, k, v) => attendCausally(turn(q), turn(k), v, numHeads, options);
    });
  }

  hiddenCached(tokens: Tensor, positions: Tensor, cache: LayerCaches): CachedStep {
    const turn = this.#rotary.at(positions, this.config.contextLength);
    const [keys, values]: [Tensor[], Tensor[]] = [[], []];
    const hidden = this.#run(tokens, (layer) => (q, k, v) => {
      const window = windowOf(this.config, layer);
      const shape = { ...this.shape, ...(window !== undefined && { window }) };
      // Keys are turned before they are kept, so that a cache may hold them in any place.
      const attended = attendCached(turn(q), turn(k), v, cache, layer, shape);
      keys.push(attended.presentKey);
      values.push(attended.presentValue);
      return attended.result;
    });
    return { hidden, keys, values };
  }

  logits(hidden: Tensor): Tensor {
    return this.#head ? this.#head.forward(hidden) : this.#tokens.attend(hidden); // (B, T, V)
  }

  #run(tokens: Tensor, attendIn: (layer: number) => Attend): Tensor {
    let x = this.#tokens.forward(tokens); // (B, T, C)
    this.#blocks.forEach((block, layer) => {
      x = block.forward(x, attendIn(layer));
    });
    return this.#finalNorm.forward(x);
  }
}
