// Prompt tuning: "The Power of Scale for Parameter-Efficient Prompt Tuning", Lester et al. 2021, §2.
// B batch · T tokens · P virtual tokens · C width

import { ConfigError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { HostWeights, Weights } from "../core/weights.ts";
import { readWeight } from "../engine/stored-tensor.ts";
import type { CausalLM } from "../models/contracts.ts";
import { normal, type Parameter, Scope } from "../nn/scope.ts";
import { reachableNodes } from "../tensor/graph.ts";
import type { Rule } from "../tensor/rewrite.ts";
import { apply, input, type Node, type Tensor } from "../tensor/tensor.ts";
import type { Adapter, Reading } from "./adapter.ts";

/** How long the learned prompt is, and what it starts as. */
export interface PromptTuningOptions {
  readonly virtualTokens: number;
  /** Tokens whose embeddings it starts as, repeated as often as needed; default: tokens drawn from the vocabulary (§3.1). */
  readonly firstTokens?: readonly number[];
}

/**
 * Learned vectors in place of the embeddings of P tokens before every text.
 *
 * @throws {ConfigError} if that many tokens are not fewer than the context has.
 */
export class PromptTuning implements Adapter {
  readonly options: PromptTuningOptions;
  readonly parameters: readonly Parameter[];
  readonly virtualTokens: number;
  readonly #prompt: Parameter;
  readonly #tablePath: string;

  constructor(model: CausalLM, options: PromptTuningOptions) {
    this.options = options;
    this.virtualTokens = checkVirtualTokens(options.virtualTokens, model);
    const tokens = input("tokens", "int32", [1, 1]);
    const lookup = reachableNodes([model.hidden(tokens)]).find((node) => readsTokens(node, tokens));
    this.#tablePath = (lookup!.inputs[0]!.node.leaf as { path: string }).path;
    const scope = new Scope();
    const shape = [this.virtualTokens, model.shape.width];
    this.#prompt = scope.parameter("prompt_embeddings", shape, normal(0.02));
    this.parameters = scope.parameters;
  }

  rule(reading?: Reading): Rule {
    return (node, inputs) => {
      if (!reading || !readsTokens(node, reading.tokens)) return undefined;
      const looked = apply(node.op!, inputs, node.attributes)[0]!; // (B, T, C)
      return [overlayVirtual(looked, this.#prompt.tensor, reading)];
    };
  }

  firstWeights(base: Weights, random: Random): HostWeights {
    const { path, shape } = this.#prompt;
    const table = readWeight(base.get(this.#tablePath)!);
    const [rows, width] = table.shape as [number, number];
    const { firstTokens = Array.from({ length: this.virtualTokens }, () => random.integer(rows)) } =
      this.options;
    const data = new Float32Array(this.virtualTokens * width);
    for (let i = 0; i < this.virtualTokens; i++) {
      const token = firstTokens[i % firstTokens.length]!;
      data.set((table.data as Float32Array).subarray(token * width, (token + 1) * width), i * width);
    }
    return new Map([[path, { dtype: "float32", shape, data }]]);
  }
}

/** Whether the node looks the tokens up in a table of the model's. */
function readsTokens({ op, inputs }: Node, tokens: Tensor): boolean {
  return op?.name === "gatherRows" && inputs[1] === tokens && inputs[0]!.node.leaf?.kind === "parameter";
}

/** @throws {ConfigError} unless it is an integer that leaves the text some of the context. */
export function checkVirtualTokens(count: number, { shape }: CausalLM): number {
  if (Number.isInteger(count) && count >= 1 && count < shape.contextLength) return count;
  throw new ConfigError({
    where: "virtual tokens",
    expected: `an integer in [1, ${shape.contextLength - 1}], within the model's context`,
    got: `${count}`,
  });
}

/** x `(B, T, C)` with what is learned `(P, C)` at the virtual tokens: the first ones, or those whose positions say so. */
export function overlayVirtual(x: Tensor, learned: Tensor, { positions }: Reading): Tensor {
  const [P, C] = learned.shape as [number, number];
  const [B, T] = x.shape;
  if (!positions) {
    return learned
      .reshape([1, P, C])
      .broadcastTo([B!, P, C])
      .concat([x.slice(1, P, T as number)], 1);
  }
  const isVirtual = positions.less(P).reshape([...positions.shape, 1]);
  return isVirtual.where(learned.gatherRows(positions.minimum(P - 1)), x);
}
