import type { Tensor } from "../tensor/tensor.ts";
import { filled, type Parameter, type Scope } from "./scope.ts";

/** Root-mean-square normalisation with learned scale over the last axis (Zhang & Sennrich 2019). */
export class RmsNorm {
  readonly weight: Parameter;
  readonly epsilon: number;

  constructor(scope: Scope, width: number, epsilon: number) {
    this.weight = scope.parameter("weight", [width], filled(1));
    this.epsilon = epsilon;
  }

  forward(x: Tensor): Tensor {
    return x.rmsNorm(this.weight.tensor, this.epsilon);
  }
}
