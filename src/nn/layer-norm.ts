import type { Tensor } from "../tensor/tensor.ts";
import { filled, type Parameter, type Scope } from "./scope.ts";

/** Layer normalisation with learned scale and shift over the last axis (Ba et al. 2016). */
export class LayerNorm {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly epsilon: number;

  constructor(scope: Scope, width: number, epsilon: number) {
    this.weight = scope.parameter("weight", [width], filled(1));
    this.bias = scope.parameter("bias", [width], filled(0));
    this.epsilon = epsilon;
  }

  forward(x: Tensor): Tensor {
    return x.layerNorm(this.weight.tensor, this.bias.tensor, this.epsilon);
  }
}
