// GPT-2: "Language Models are Unsupervised Multitask Learners", Radford et al. 2019.
// B batch · T tokens · C width · H heads · D head width · V vocabulary

import { expectShape } from "../../core/shape.ts";
import { causalAttention, mergeHeads, splitHeads } from "../../nn/causal-attention.ts";
import { Embedding } from "../../nn/embedding.ts";
import { LayerNorm } from "../../nn/layer-norm.ts";
import { Linear } from "../../nn/linear.ts";
import { normal, type Parameter, Scope } from "../../nn/scope.ts";
import type { Tensor } from "../../tensor/tensor.ts";
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
  readonly #numHeads: number;

  constructor(scope: Scope, { width, numHeads }: Gpt2Config, residualDeviation: number) {
    this.#project = linear(scope.at("c_attn"), width, 3 * width);
    this.#output = linear(scope.at("c_proj"), width, width, residualDeviation);
    this.#numHeads = numHeads;
  }

  forward(x: Tensor): Tensor {
    const C = x.shape[2] as number;
    const [q, k, v] = this.#project // (B, T, 3C)
      .forward(x)
      .split([C, C, C], 2)
      .map((part) => splitHeads(part, this.#numHeads)) as [Tensor, Tensor, Tensor]; // (B, H, T, D)
    return this.#output.forward(mergeHeads(causalAttention(q, k, v))); // (B, T, C)
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

  forward(x: Tensor): Tensor {
    const attended = x.add(this.#attention.forward(this.#attentionNorm.forward(x)));
    return attended.add(this.#feedForward.forward(this.#feedForwardNorm.forward(attended)));
  }
}

/** The GPT-2 decoder with its tied output head. */
export class Gpt2 {
  readonly family = "gpt2";
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

  hidden(tokens: Tensor): Tensor {
    expectShape("Gpt2.hidden", tokens.shape, [undefined, undefined]);
    const T = tokens.shape[1] as number;
    const positions = this.#positions.weight.tensor.slice(0, 0, T); // (T, C)
    let x = this.#tokens.forward(tokens).add(positions); // (B, T, C)
    for (const block of this.#blocks) x = block.forward(x);
    return this.#finalNorm.forward(x);
  }

  logits(hidden: Tensor): Tensor {
    return this.#tokens.attend(hidden); // (B, T, V)
  }
}
