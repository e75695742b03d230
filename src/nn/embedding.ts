import type { Tensor } from "../tensor/tensor.ts";
import type { Initializer, Parameter, Scope } from "./scope.ts";

/** A table of vectors by index: ids `(…)` → `(…, width)`. */
export class Embedding {
  readonly weight: Parameter;

  constructor(scope: Scope, numRows: number, width: number, initialize: Initializer) {
    this.weight = scope.parameter("weight", [numRows, width], initialize, { sumAxis: 1 });
  }

  forward(ids: Tensor): Tensor {
    return this.weight.tensor.gatherRows(ids);
  }

  /** The same table read backwards, as an output head: x `(…, width)` → scores `(…, numRows)`. */
  attend(x: Tensor): Tensor {
    return x.linear(this.weight.tensor, undefined, true);
  }
}
