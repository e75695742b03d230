// Prefix tuning: "Prefix-Tuning: Optimizing Continuous Prompts for Generation", Li & Liang 2021, §4.2.
// B batch · T tokens · P virtual tokens · L layers · G key/value heads · D head width

import type { CausalLM, DecoderShape } from "../models/contracts.ts";
import { cachedHeadSize } from "../nn/causal-attention.ts";
import { normal, type Parameter, Scope } from "../nn/scope.ts";
import type { Rule } from "../tensor/rewrite.ts";
import { apply, type Node, type Tensor } from "../tensor/tensor.ts";
import type { Adapter, Reading } from "./adapter.ts";
import { checkVirtualTokens, overlayVirtual } from "./prompt-tuning.ts";

export interface PrefixTuningOptions {
  readonly virtualTokens: number;
}

/**
 * Learned keys and values of P tokens before every text, in every layer.
 *
 * They are one matrix `(P, L · 2 · G · D)`, keys before values in each layer, as PEFT keeps them; there is no network that makes
 * them (§4.3), whose use is to train in long runs and which is gone afterwards.
 *
 * @throws {ConfigError} if that many tokens are not fewer than the context has.
 */
export class PrefixTuning implements Adapter {
  readonly options: PrefixTuningOptions;
  readonly parameters: readonly Parameter[];
  readonly virtualTokens: number;
  readonly #shape: DecoderShape;
  readonly #prefix: Parameter;

  constructor(model: CausalLM, options: PrefixTuningOptions) {
    this.options = options;
    this.#shape = model.shape;
    this.virtualTokens = checkVirtualTokens(options.virtualTokens, model);
    const { numLayers, numKeyValueHeads, headSize } = model.shape;
    const scope = new Scope();
    const shape = [this.virtualTokens, numLayers * 2 * numKeyValueHeads * headSize];
    this.#prefix = scope.parameter("prompt_embeddings", shape, normal(0.02));
    this.parameters = scope.parameters;
  }

  rule(reading?: Reading): Rule {
    // Queries go in blocks that look at slices of a layer's keys: layers are told apart by what is sliced.
    const layers: Tensor[] = [];
    return (node, inputs) => {
      if (!reading) return undefined;
      if (node.op?.name === "cachedAttention") return this.#continueCache(node, inputs, reading, layers);
      return node.op?.name === "attention" ? this.#replaceFirst(node, inputs, layers) : undefined;
    };
  }

  #replaceFirst(node: Node, inputs: readonly Tensor[], layers: Tensor[]): readonly Tensor[] {
    const [q, k, v, ...rest] = inputs as [Tensor, Tensor, Tensor];
    const { whole, start } = sliceOf(node.inputs[1]!);
    const layer = layerOf(whole, layers);
    const [keys, values] = [k, v].map((x, kind) => {
      const [B, G, S, D] = x.shape as [number, number, number, number];
      const end = Math.min(this.virtualTokens, start + S);
      if (start >= end) return x;
      const learned = this.#part(layer, kind).slice(0, start, end); // (P', G·D)
      const own = learned
        .reshape([1, end - start, G, D])
        .transpose([0, 2, 1, 3])
        .broadcastTo([B, G, end - start, D]);
      return end === start + S ? own : own.concat([x.slice(2, end - start, S)], 2);
    }) as [Tensor, Tensor];
    return apply(node.op!, [q, keys, values, ...rest], node.attributes);
  }

  #continueCache(
    node: Node,
    inputs: readonly Tensor[],
    reading: Reading,
    layers: Tensor[],
  ): readonly Tensor[] {
    const [query, key, value, ...rest] = inputs as [Tensor, Tensor, Tensor];
    const layer = layerOf(node.inputs[1]!, layers);
    const { numKeyValueHeads: G, headSize: D } = this.#shape;
    const cached = cachedHeadSize(D);
    const [keys, values] = [key, value].map((x, kind) => {
      const heads = this.#part(layer, kind)
        .reshape([this.virtualTokens, G, D])
        .pad(2, 0, cached - D);
      return overlayVirtual(x, heads.reshape([this.virtualTokens, G * cached]), reading);
    }) as [Tensor, Tensor];
    return apply(node.op!, [query, keys, values, ...rest], node.attributes);
  }

  /** The keys (kind 0) or values (kind 1) of a layer: `(P, G·D)`. */
  #part(layer: number, kind: number): Tensor {
    const size = this.#shape.numKeyValueHeads * this.#shape.headSize;
    const first = (2 * layer + kind) * size;
    return this.#prefix.tensor.slice(1, first, first + size);
  }
}

/** What a tensor of keys `(B, G, S, D)` is a slice of along S, and from where. */
function sliceOf(keys: Tensor): { readonly whole: Tensor; readonly start: number } {
  const { op, inputs, attributes } = keys.node;
  const { axis, start } = attributes as { axis: number; start: number };
  return op?.name === "slice" && axis === 2 ? { whole: inputs[0]!, start } : { whole: keys, start: 0 };
}

/** Which layer it is, as layers are met in order. */
function layerOf(keys: Tensor, layers: Tensor[]): number {
  const known = layers.indexOf(keys);
  return known >= 0 ? known : layers.push(keys) - 1;
}
