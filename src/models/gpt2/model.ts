// GPT-2: "Language Models are Unsupervised Multitask Learners", Radford et al. 2019.
// B batch · T tokens · C width · H heads · D head width · V vocabulary

import { expectShape } from "../../core/shape.ts";
import { type Attend, attendCached, attendCausally, type LayerCaches } from "../../nn/causal-attention.ts";
import { Embedding } from "../../nn/embedding.ts";
import { LayerNorm } from "../../nn/layer-norm.ts";
import { Linear } from "../../nn/linear.ts";
import { normal, type Parameter, Scope } from "../../nn/scope.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { CachedStep, CausalLM, DecoderShape } from "../contracts.ts";
import type { Gpt2Config } from "./config.ts";

/** Deviations of the first weights, from OpenAI's released code; the residual scaling is §2.3 of the paper. */
const WEIGHT_DEVIATION = 0.02;
const POSITION_DEVIATION = 0.01;

function linear(scope: Scope, inSize: number, outSize: number, deviation = WEIGHT_DEVIATION): Linear {
  return new Linear(scope, { inSize, outSize, bias: true, layout: "in-out", initialize: normal(deviation) });
}

/** Multi-head causal self-attention with one joint projection to queries, keys and values. */
class Attention {
  readonly #project: Linear;
  readonly #output: Linear;

  constructor(scope: Scope, { width }: Gpt2Config, residualDeviation: number) {
    this.#project = linear(scope.at("c_attn"), width, 3 * width);
    this.#output = linear(scope.at("c_proj"), width, width, residualDeviation);
  }

  forward(x: Tensor, attend: Attend): Tensor {
    const C = x.shape[2] as number;
    const [q, k, v] = this.#project.forward(x).split([C, C, C], 2) as [Tensor, Tensor, Tensor]; // 3 × (B, T, C)
    return this.#output.forward(attend(q, k, v));
  }
}

/** Two linear layers with GELU between them. */
class FeedForward {
  readonly #expand: Linear;
  readonly #contract: Linear;

  constructor(scope: Scope, { width, feedForwardSize }: Gpt2Config, residualDeviation: number) {
    this.#expand = linear(scope.at("c_fc"), width, feedForwardSize);
    this.#contract = linear(scope.at("c_proj"), feedForwardSize, width, residualDeviation);
  }

  forward(x: Tensor): Tensor {
    return this.#contract.forward(this.#expand.forward(x).geluTanh());
  }
}

/** One pre-norm layer: attention and feed-forward, each added to the residual stream. */
class Block {
  readonly #attentionNorm: LayerNorm;
  readonly #attention: Attention;
  readonly #feedForwardNorm: LayerNorm;
  readonly #feedForward: FeedForward;

  constructor(scope: Scope, config: Gpt2Config) {
    // Each of the 2L additions to the residual stream starts smaller, so that their sum does not grow with depth.
    const residualDeviation = WEIGHT_DEVIATION / Math.sqrt(2 * config.numLayers);
    this.#attentionNorm = new LayerNorm(scope.at("ln_1"), config.width, config.layerNormEpsilon);
    this.#attention = new Attention(scope.at("attn"), config, residualDeviation);
    this.#feedForwardNorm = new LayerNorm(scope.at("ln_2"), config.width, config.layerNormEpsilon);
    this.#feedForward = new FeedForward(scope.at("mlp"), config, residualDeviation);
  }

  forward(x: Tensor, attend: Attend): Tensor {
    const attended = x.add(this.#attention.forward(this.#attentionNorm.forward(x), attend));
    return attended.add(this.#feedForward.forward(this.#feedForwardNorm.forward(attended)));
  }
}

/** The GPT-2 decoder with its tied output head. */
export class Gpt2 implements CausalLM {
  readonly family = "gpt2";
  readonly lookupPaths: readonly string[] = ["wpe.weight"];
  readonly config: Gpt2Config;
  readonly parameters: readonly Parameter[];
  readonly #tokens: Embedding;
  readonly #positions: Embedding;
  readonly #blocks: readonly Block[];
  readonly #finalNorm: LayerNorm;

  constructor(config: Gpt2Config) {
    const scope = new Scope();
    const { vocabularySize, contextLength, width } = config;
    this.config = config;
    this.#tokens = new Embedding(scope.at("wte"), vocabularySize, width, normal(WEIGHT_DEVIATION));
    this.#positions = new Embedding(scope.at("wpe"), contextLength, width, normal(POSITION_DEVIATION));
    this.#blocks = Array.from({ length: config.numLayers }, (_, i) => new Block(scope.at(`h.${i}`), config));
    this.#finalNorm = new LayerNorm(scope.at("ln_f"), width, config.layerNormEpsilon);
    this.parameters = scope.parameters;
  }

  get shape(): DecoderShape {
    const { numHeads, width, ...rest } = this.config;
    return { ...rest, width, numHeads, numKeyValueHeads: numHeads, headSize: width / numHeads };
  }

  hidden(tokens: Tensor): Tensor {
    expectShape("Gpt2.hidden", tokens.shape, [undefined, undefined]);
    const { numHeads } = this.config;
    const positions = this.#positions.weight.tensor.slice(0, 0, tokens.shape[1] as number); // (T, C)
    return this.#run(tokens, positions, () => (q, k, v) => attendCausally(q, k, v, numHeads));
  }

  hiddenCached(tokens: Tensor, positions: Tensor, cache: LayerCaches): CachedStep {
    const [keys, values]: [Tensor[], Tensor[]] = [[], []];
    const hidden = this.#run(tokens, this.#positions.forward(positions), (layer) => (q, k, v) => {
      const { result, presentKey, presentValue } = attendCached(q, k, v, cache, layer, this.shape);
      keys.push(presentKey);
      values.push(presentValue);
      return result;
    });
    return { hidden, keys, values };
  }

  logits(hidden: Tensor): Tensor {
    return this.#tokens.attend(hidden); // (B, T, V)
  }

  #run(tokens: Tensor, positions: Tensor, attendIn: (layer: number) => Attend): Tensor {
    let x = this.#tokens.forward(tokens).add(positions); // (B, T, C)
    this.#blocks.forEach((block, layer) => {
      x = block.forward(x, attendIn(layer));
    });
    return this.#finalNorm.forward(x);
  }
}
