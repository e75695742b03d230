// (IA)³: "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning", Liu et al. 2022, §3.3.

import type { CausalLM, Encoder } from "../models/contracts.ts";
import { filled, type Parameter, Scope } from "../nn/scope.ts";
import type { Rule } from "../tensor/rewrite.ts";
import { apply, type Node } from "../tensor/tensor.ts";
import type { Adapter } from "./adapter.ts";
import {
  type LinearModule,
  linearModules,
  readLinear,
  selectModules,
  type Targets,
} from "./linear-modules.ts";

/** What is scaled. */
export interface Ia3Options {
  /** Layers whose output is scaled: keys and values, in the paper. */
  readonly targets: Targets;
  /** Layers whose input is scaled instead: those that lead back from the feed-forward layer's inside. */
  readonly feedForward: readonly string[];
}

/**
 * One learned factor for each output of some linear layers, and for each input of others. All start at one.
 *
 * @throws {ConfigError} if a name is that of no linear layer.
 */
export class Ia3 implements Adapter {
  readonly options: Ia3Options;
  readonly modules: readonly LinearModule[];
  /** Names of those modules whose input is scaled. */
  readonly feedForward: ReadonlySet<string>;
  readonly parameters: readonly Parameter[];
  readonly #factors: ReadonlyMap<string, Parameter>;

  constructor(model: CausalLM | Encoder, options: Ia3Options) {
    const scope = new Scope();
    const all = linearModules(model);
    const inside = options.feedForward.length > 0 ? selectModules(all, options.feedForward) : [];
    this.options = options;
    this.feedForward = new Set(inside.map(({ name }) => name));
    const outside = selectModules(all, options.targets).filter(({ name }) => !this.feedForward.has(name));
    this.modules = [...outside, ...inside];
    this.#factors = new Map(
      this.modules.map(({ name, inSize, outSize }) => {
        // The shapes in which PEFT has them: as they broadcast against a weight (out, in).
        const shape = this.feedForward.has(name) ? [1, inSize] : [outSize, 1];
        return [name, scope.at(name).parameter("ia3_l", shape, filled(1))];
      }),
    );
    this.parameters = scope.parameters;
  }

  rule(): Rule {
    return (node, inputs) => {
      const name = readLinear(node)?.module.name ?? biasedModule(node) ?? "";
      const factor = this.#factors.get(name)?.tensor;
      if (!factor) return undefined;
      const row = factor.reshape([factor.shape[0] === 1 ? factor.shape[1]! : factor.shape[0]!]);
      if (node.op!.name === "add")
        return this.feedForward.has(name) ? undefined : [inputs[0]!.add(inputs[1]!.mul(row))];
      if (!this.feedForward.has(name)) return [apply(node.op!, inputs, node.attributes)[0]!.mul(row)];
      const [x, ...rest] = inputs;
      return apply(node.op!, [x!.mul(row), ...rest], node.attributes);
    };
  }
}

/** The module whose bias the node adds: where shapes are mere names, a linear layer is a product and a sum. */
function biasedModule({ op, inputs }: Node): string | undefined {
  const leaf = inputs[1]?.node.leaf;
  const isBias = op?.name === "add" && leaf?.kind === "parameter" && leaf.path.endsWith(".bias");
  return isBias ? leaf.path.slice(0, -".bias".length) : undefined;
}
