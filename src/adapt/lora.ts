// LoRA: "LoRA: Low-Rank Adaptation of Large Language Models", Hu et al. 2021, §4.1, eq. 3.
// N rows · r rank

import { ConfigError } from "../core/errors.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import { filled, type Initializer, type Parameter, Scope } from "../nn/scope.ts";
import type { Rule } from "../tensor/rewrite.ts";
import { apply, type Node, type Tensor } from "../tensor/tensor.ts";
import type { Adapter } from "./adapter.ts";
import {
  type LinearModule,
  linearModules,
  readLinear,
  selectModules,
  type Targets,
} from "./linear-modules.ts";

/** How large the correction is, and what it is put on. */
export interface LoraOptions {
  /** Columns of the two factors. */
  readonly rank: number;
  /** The correction is multiplied by alpha / rank; so the learning rate need not follow the rank. */
  readonly alpha: number;
  readonly targets: Targets;
  /** Multiplies by alpha / √rank instead (Kalajdzievski 2023), which keeps high ranks from fading. */
  readonly rankStabilized?: boolean;
}

/** The two factors of one module: A `(r, in)` and B `(out, r)`. */
interface Factors {
  readonly down: Parameter;
  readonly up: Parameter;
}

/**
 * A low-rank correction to linear layers: `y = x·Wᵀ + b + s · (x·Aᵀ)·Bᵀ`, with A `(r, in)`, B `(out, r)` and s = alpha / r.
 *
 * B starts at zero, so that the model starts as it is; A as in the paper's code, uniform within ±1/√in.
 *
 * @throws {ConfigError} if a target names no linear layer, or the rank is not an integer from 1 to the smaller side of each.
 */
export class Lora implements Adapter {
  readonly options: LoraOptions;
  readonly modules: readonly LinearModule[];
  readonly parameters: readonly Parameter[];
  readonly rule: Rule = (node, inputs) => this.#rewrite(node, inputs);
  readonly #factors = new Map<string, Factors>();

  constructor(model: CausalLM | Encoder, options: LoraOptions) {
    this.options = options;
    this.modules = selectModules(linearModules(model), options.targets);
    const scope = new Scope();
    for (const module of this.modules)
      this.#factors.set(module.name, declareFactors(scope, module, options.rank));
    this.parameters = scope.parameters;
  }

  /** s, the factor on the correction. */
  get scale(): number {
    const { alpha, rank, rankStabilized } = this.options;
    return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
  }

  #rewrite(node: Node, inputs: readonly Tensor[]): readonly Tensor[] | undefined {
    const linear = readLinear(node);
    const factors = linear && this.#factors.get(linear.module.name);
    if (!factors) return undefined;
    const base = apply(node.op!, inputs, node.attributes)[0]!; // (N, out)
    const narrow = inputs[0]!.matmul(factors.down.tensor, { transposeB: true }); // (N, r)
    return [base.add(narrow.matmul(factors.up.tensor, { transposeB: true, scale: this.scale }))];
  }
}

function declareFactors(scope: Scope, { name, inSize, outSize }: LinearModule, rank: number): Factors {
  if (!Number.isInteger(rank) || rank < 1 || rank > Math.min(inSize, outSize)) {
    throw new ConfigError({
      where: `LoRA on ${name}`,
      expected: `a rank from 1 to ${Math.min(inSize, outSize)}`,
      got: `${rank}`,
    });
  }
  const at = scope.at(name);
  return {
    down: at.parameter("lora_A.weight", [rank, inSize], uniform(1 / Math.sqrt(inSize)), { sumAxis: 1 }),
    up: at.parameter("lora_B.weight", [outSize, rank], filled(0), { sumAxis: 1 }),
  };
}

/** Kaiming's uniform with a = √5 comes to ±1/√in. */
function uniform(bound: number): Initializer {
  return (values, random) => {
    for (let i = 0; i < values.length; i++) values[i] = bound * (2 * random.uniform() - 1);
  };
}
