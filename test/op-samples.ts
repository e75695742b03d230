import { allocate, type DType, type HostTensor } from "../src/core/dtype.ts";
import type { Random } from "../src/core/random.ts";
import { type NdArray, ndArray } from "../src/tensor/nd-array.ts";
import type { Draw, Op, Sample, TensorSpec } from "../src/tensor/op.ts";
import { apply, input, type Tensor } from "../src/tensor/tensor.ts";

/** One sample of an operator, drawn: float64 values, and the operator applied to symbolic inputs of a float type. */
export interface DrawnSample {
  readonly values: readonly NdArray[];
  /** Inputs a gradient can be taken by. */
  readonly isReal: readonly boolean[];
  build(float: "float32" | "float64"): { inputs: readonly Tensor[]; outputs: readonly Tensor[] };
}

export function drawSample(op: Op, sample: Sample, random: Random): DrawnSample {
  const draws = sample.shapes.map((_, i) => sample.draw?.[i] ?? "signed");
  const values = sample.shapes.map((shape, i) => drawValues(shape, draws[i]!, random));
  return {
    values,
    isReal: draws.map((draw) => dtypeOf(draw, "float32") === "float32"),
    build: (float) => {
      const inputs = sample.shapes.map((shape, i) => input(`x${i}`, dtypeOf(draws[i]!, float), shape));
      return { inputs, outputs: apply(op, inputs, sample.attributes) };
    },
  };
}

function dtypeOf(draw: Draw, float: DType): DType {
  if (draw === "boolean") return "bool";
  if (typeof draw === "object") return ("values" in draw && draw.dtype) || "int32";
  return float;
}

function drawValues(shape: readonly number[], draw: Draw, random: Random): NdArray {
  if (draw === "apart") {
    const count = ndArray(shape).data.length;
    const order = random.permutation(count);
    // Neither two elements nor an element and zero come closer than a finite-difference step could confuse.
    return ndArray(shape, (i) => (order[i]! - count / 2 + 0.25 + 0.25 * random.uniform()) * 0.4);
  }
  return ndArray(shape, (i) => drawOne(draw, i, random));
}

function drawOne(draw: Exclude<Draw, "apart">, i: number, random: Random): number {
  if (draw === "signed") return 2 * random.uniform() - 1;
  if (draw === "positive") return 0.5 + 1.5 * random.uniform();
  if (draw === "boolean") return random.integer(2);
  return "below" in draw ? random.integer(draw.below) : draw.values[i % draw.values.length]!;
}

/** Values in the element type a program takes. */
export function toHost({ shape, data }: NdArray, { dtype }: TensorSpec): HostTensor {
  const target = allocate(dtype, data.length);
  data.forEach((value, i) => {
    target[i] = dtype === "int64" ? BigInt(value) : value;
  });
  return { dtype, shape, data: target };
}
