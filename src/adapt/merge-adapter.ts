// O outputs · I inputs · R rank

import type { HostTensor } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import { type HostWeights, isQuantized, type Weight, type Weights } from "../core/weights.ts";
import { readWeight } from "../engine/stored-tensor.ts";
import type { Adapter } from "./adapter.ts";
import { Ia3 } from "./ia3.ts";
import { JoinedAdapter } from "./joined-adapter.ts";
import type { LinearModule } from "./linear-modules.ts";
import { Lora } from "./lora.ts";

/** How far merging may go. */
export interface MergeOptions {
  /** A quantised matrix becomes float32; refused otherwise. */
  readonly dequantize?: boolean;
}

/** What merging makes of one tensor of the base, from its numbers. */
export type MergeStep = (tensor: HostTensor) => HostTensor;

/**
 * What merging does to which tensors of the base, by path. The others stay.
 *
 * @param weights the adapter's
 * @throws {ConfigError} if it is no adapter on layers: what comes before the text cannot become weights.
 */
export function mergeSteps(adapter: Adapter, weights: HostWeights): ReadonlyMap<string, MergeStep> {
  if (adapter instanceof JoinedAdapter) {
    return new Map(adapter.parts.flatMap((part) => [...mergeSteps(part, weights)]));
  }
  if (adapter instanceof Lora) return loraSteps(adapter, weights);
  if (adapter instanceof Ia3) return ia3Steps(adapter, weights);
  throw new ConfigError({
    where: "merge",
    expected: "an adapter on layers, such as LoRA",
    got: adapter.constructor.name,
    fix: "What is put before the text is no part of any weight: load it with the model.",
  });
}

/**
 * The weights of a model that computes what the base and the adapter compute, without the adapter. Nothing of the base is changed,
 * and what is not merged is shared with it: to undo the merger is to use the base's weights again.
 *
 * @param weights the adapter's, and those that are to stand in place of the base's
 * @throws {ConfigError} if the adapter cannot be merged, or a matrix is quantised and may not be dequantised.
 */
export function mergeAdapter(
  base: Weights,
  { adapter, weights }: { readonly adapter: Adapter; readonly weights: HostWeights },
  options: MergeOptions = {},
): Weights {
  const merged = new Map<string, Weight>(base);
  for (const [path, weight] of weights) if (base.has(path)) merged.set(path, weight);
  for (const [path, step] of mergeSteps(adapter, weights)) {
    const weight = merged.get(path);
    if (!weight) continue; // a bias that the layer has not
    checkDense(path, weight, options);
    merged.set(path, step(readWeight(weight)));
  }
  return merged;
}

/** @throws {ConfigError} if the weight is quantised and may not be dequantised. */
export function checkDense(path: string, weight: Weight, { dequantize = false }: MergeOptions): void {
  if (dequantize || !isQuantized(weight)) return;
  throw new ConfigError({
    where: `merge into ${path}`,
    expected: "a base with float weights",
    got: weight.scheme,
    fix: "Merge into the base that it was quantised from, or allow dequantising and quantise what comes out.",
  });
}

function loraSteps(lora: Lora, weights: HostWeights): ReadonlyMap<string, MergeStep> {
  return new Map(
    lora.modules.map((module) => {
      const of = (part: string) => weights.get(`${module.name}.${part}`)?.data as Float32Array | undefined;
      const factors = { down: of("lora_A.weight")!, up: of("lora_B.weight")!, scale: lora.scale };
      const lengths = of("lora_magnitude_vector");
      return [`${module.name}.weight`, (tensor) => addProduct(tensor, module, factors, lengths)] as const;
    }),
  );
}

interface Factors {
  /** `(R, I)` and `(O, R)`. */
  readonly down: Float32Array;
  readonly up: Float32Array;
  readonly scale: number;
}

/** `W + s·B·A`, and with DoRA each output's row of that made as long as `lengths` says; summed in float64, rounded once. */
function addProduct(
  { shape, data }: HostTensor,
  { inSize, outSize, isOutIn }: LinearModule,
  { down, up, scale }: Factors,
  lengths: Float32Array | undefined,
): HostTensor {
  const rank = down.length / inSize;
  const merged = new Float32Array(inSize * outSize);
  const row = new Float64Array(inSize);
  const [rowStride, columnStride] = isOutIn ? [inSize, 1] : [1, outSize];
  for (let o = 0; o < outSize; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = scale * up[o * rank + r]!;
      for (let i = 0; i < inSize; i++) row[i]! += factor * down[r * inSize + i]!;
    }
    let squares = 0;
    for (let i = 0; i < inSize; i++) {
      const sum = row[i]! + (data[o * rowStride + i * columnStride] as number);
      row[i] = sum;
      squares += sum * sum;
    }
    const stretch = lengths ? lengths[o]! / Math.sqrt(squares) : 1;
    for (let i = 0; i < inSize; i++) merged[o * rowStride + i * columnStride] = stretch * row[i]!;
  }
  return { dtype: "float32", shape, data: merged };
}

function ia3Steps(ia3: Ia3, weights: HostWeights): ReadonlyMap<string, MergeStep> {
  return new Map(
    ia3.modules.flatMap(({ name, inSize, outSize, isOutIn }) => {
      const factors = weights.get(`${name}.ia3_l`)!.data as Float32Array;
      const isInside = ia3.feedForward.has(name);
      const rowSize = isOutIn ? inSize : outSize;
      // Scaled outputs run along rows of a matrix (out, in), scaled inputs along its columns; of one (in, out) the other way round.
      const isByRow = isInside !== isOutIn;
      const scaleWeight: MergeStep = (tensor) =>
        scaled(tensor, (at) => factors[isByRow ? Math.floor(at / rowSize) : at % rowSize]!);
      const scaleBias: MergeStep = (tensor) => scaled(tensor, (at) => factors[at]!);
      const steps: [string, MergeStep][] = [[`${name}.weight`, scaleWeight]];
      if (!isInside) steps.push([`${name}.bias`, scaleBias]);
      return steps;
    }),
  );
}

function scaled({ shape, data }: HostTensor, factor: (at: number) => number): HostTensor {
  const values = Float32Array.from(data as Float32Array, (value, at) => value * factor(at));
  return { dtype: "float32", shape, data: values };
}
