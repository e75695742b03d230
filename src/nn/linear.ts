import type { Tensor } from "../tensor/tensor.ts";
import { filled, type Initializer, type Parameter, type Scope } from "./scope.ts";

export interface LinearOptions {
  readonly inSize: number;
  readonly outSize: number;
  readonly bias: boolean;
  /** How the published weight lies: `out-in` as in most checkpoints, `in-out` as in GPT-2's. */
  readonly layout: "out-in" | "in-out";
  readonly initialize: Initializer;
}

/** `y = x·W + b` over the last axis: x `(…, in)` → `(…, out)`. */
export class Linear {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  readonly options: LinearOptions;

  constructor(scope: Scope, options: LinearOptions) {
    const { inSize, outSize, layout } = options;
    const shape = layout === "out-in" ? [outSize, inSize] : [inSize, outSize];
    this.options = options;
    const sumAxis = layout === "out-in" ? 1 : 0;
    this.weight = scope.parameter("weight", shape, options.initialize, { sumAxis });
    this.bias = options.bias ? scope.parameter("bias", [outSize], filled(0)) : undefined;
  }

  forward(x: Tensor): Tensor {
    return x.linear(this.weight.tensor, this.bias?.tensor, this.options.layout === "out-in");
  }
}
