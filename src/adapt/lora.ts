// LoRA: "LoRA: Low-Rank Adaptation of Large Language Models", Hu et al. 2021, §4.1, eq. 3.
// DoRA: "DoRA: Weight-Decomposed Low-Rank Adaptation", Liu et al. 2024, §4.1, eq. 5.
// N rows · r rank

import { allocate } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import type { HostWeights, Weights } from "../core/weights.ts";
import { readWeight } from "../engine/stored-tensor.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import { filled, type Initializer, initializeParameters, type Parameter, Scope } from "../nn/scope.ts";
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
  /** Rows of the first factor, columns of the second. */
  readonly rank: number;
  /** The correction is multiplied by alpha / rank, so that the learning rate need not follow the rank. */
  readonly alpha: number;
  readonly targets: Targets;
  /** Multiplies by alpha / √rank instead (Kalajdzievski 2023), which keeps high ranks from fading. */
  readonly rankStabilized?: boolean;
  /** DoRA: the length of each row of the weight is a parameter too, and the correction turns it. */
  readonly decomposed?: boolean;
}

/** Zeros some of a layer's input in training; see `Dropout`. */
export type Drop = (x: Tensor) => Tensor;

/** The factors of one module, A `(r, in)` and B `(out, r)`, and with DoRA the lengths of its rows `(out)`. */
interface Factors {
  readonly down: Parameter;
  readonly up: Parameter;
  readonly magnitude: Parameter | undefined;
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
  readonly #factors: ReadonlyMap<string, Factors>;

  constructor(model: CausalLM | Encoder, options: LoraOptions) {
    const scope = new Scope();
    this.options = options;
    this.modules = selectModules(linearModules(model), options.targets);
    this.#factors = new Map(
      this.modules.map((module) => [module.name, declareFactors(scope, module, options)]),
    );
    this.parameters = scope.parameters;
  }

  /** s, the factor on the correction. */
  get scale(): number {
    const { alpha, rank, rankStabilized } = this.options;
    return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
  }

  rule(): Rule {
    return this.#ruleWith(undefined);
  }

  /** The same adapter, parameters and all, as it is in training with dropout. */
  dropping(drop: Drop): Adapter {
    return { parameters: this.parameters, rule: () => this.#ruleWith(drop) };
  }

  /** DoRA's lengths start as those of the base's rows. */
  firstWeights(base: Weights, random: Random): HostWeights {
    const values = initializeParameters(this.parameters, random);
    for (const { name, isOutIn } of this.modules) {
      const magnitude = this.#factors.get(name)!.magnitude;
      if (!magnitude) continue;
      const { shape, data } = readWeight(base.get(`${name}.weight`)!);
      values.set(magnitude.path, {
        dtype: "float32",
        shape: magnitude.shape,
        data: rowLengths(data as Float32Array, shape, isOutIn),
      });
    }
    return values;
  }

  #ruleWith(drop: Drop | undefined): Rule {
    return (node, inputs) => {
      const linear = readLinear(node);
      const factors = linear && this.#factors.get(linear.module.name);
      if (!factors) return undefined;
      const dropped = drop?.(inputs[0]!);
      if (factors.magnitude) return [this.#turn(node, inputs, factors, dropped)];
      const base = apply(node.op!, inputs, node.attributes)[0]!; // (N, out)
      return [base.add(this.#correct(dropped ?? inputs[0]!, factors))];
    };
  }

  /** `m / ‖W + s·B·A‖ · (W + s·B·A)·x + b`; no gradient passes the norm (§4.3), and what is dropped is dropped of the change only. */
  #turn(node: Node, inputs: readonly Tensor[], factors: Factors, dropped: Tensor | undefined): Tensor {
    const [x, weight, bias] = inputs as [Tensor, Tensor, Tensor?];
    const { isOutIn } = readLinear(node)!.module;
    const product = (of: Tensor) => of.matmul(weight, { transposeB: isOutIn });
    const { down, up, magnitude } = factors;
    const change = isOutIn
      ? up.tensor.matmul(down.tensor, { scale: this.scale })
      : down.tensor.matmul(up.tensor, { transposeA: true, transposeB: true, scale: this.scale });
    const merged = weight.add(change);
    const lengths = merged
      .mul(merged)
      .sum(isOutIn ? 1 : 0)
      .sqrt()
      .detach(); // (out)
    const factor = magnitude!.tensor.div(lengths);
    const base = product(x);
    const turned = dropped
      ? base.add(product(dropped).mul(factor.sub(1))).add(this.#correct(dropped, factors).mul(factor))
      : base.add(this.#correct(x, factors)).mul(factor);
    return bias ? turned.add(bias) : turned;
  }

  #correct(x: Tensor, { down, up }: Factors): Tensor {
    const narrow = x.matmul(down.tensor, { transposeB: true }); // (N, r)
    return narrow.matmul(up.tensor, { transposeB: true, scale: this.scale }); // (N, out)
  }
}

function declareFactors(
  scope: Scope,
  { name, inSize, outSize }: LinearModule,
  { rank, decomposed }: LoraOptions,
): Factors {
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
    magnitude: decomposed ? at.parameter("lora_magnitude_vector", [outSize], filled(1)) : undefined,
  };
}

/** Kaiming's uniform with a = √5 comes to ±1/√in. */
function uniform(bound: number): Initializer {
  return (values, random) => {
    for (let i = 0; i < values.length; i++) values[i] = bound * (2 * random.uniform() - 1);
  };
}

/** Euclidean length of what each output sums over. */
function rowLengths(
  weight: Float32Array,
  shape: readonly number[],
  isOutIn: boolean,
): Float32Array<ArrayBuffer> {
  const [rows, columns] = shape as [number, number];
  const squares = new Float64Array(isOutIn ? rows : columns);
  weight.forEach((value, i) => {
    squares[isOutIn ? Math.floor(i / columns) : i % columns]! += value * value;
  });
  const lengths = allocate("float32", squares.length) as Float32Array<ArrayBuffer>;
  lengths.set(squares.map(Math.sqrt));
  return lengths;
}
