import { allocate, type HostTensor, numElements } from "../core/dtype.ts";
import type { Parameter } from "../nn/scope.ts";

/** Elements that one run of an optimizer program handles. */
export const BLOCK_SIZE = 131_072;

/** A stretch of the arena with one weight-decay rule. */
export interface ArenaBlock {
  readonly start: number;
  readonly decays: boolean;
}

/** The numbers kept for every parameter; `newGradients` only where several batches make one step. */
export type ArenaName = "weights" | "gradients" | "newGradients" | "firstMoments" | "secondMoments";

/** What has to survive between steps. */
const LASTING: readonly ArenaName[] = ["weights", "firstMoments", "secondMoments"];

/**
 * All trainable numbers in flat arrays: weights, gradients, and Adam's two moments. Each parameter is a view at the
 * same place in each. Matrices, which decay, come first; norms and biases follow from the next block on.
 */
export class ParameterArena {
  readonly parameters: readonly Parameter[];
  readonly blocks: readonly ArenaBlock[];
  /** Allocated on first use. */
  readonly #arrays = new Map<ArenaName, Float32Array>();
  readonly #size: number;
  readonly #offsets = new Map<string, number>();

  constructor(parameters: readonly Parameter[]) {
    this.parameters = parameters;
    const blocks: ArenaBlock[] = [];
    let end = 0;
    for (const decays of [true, false]) {
      let next = end;
      for (const { path, shape } of parameters) {
        if (decays !== decaysByShape(shape)) continue;
        this.#offsets.set(path, next);
        next += numElements(shape);
      }
      for (; end < next; end += BLOCK_SIZE) blocks.push({ start: end, decays });
    }
    this.blocks = blocks;
    this.#size = end;
  }

  /** One parameter's numbers, in place. */
  view(name: ArenaName, { path, shape }: Parameter): HostTensor {
    const start = this.#offsets.get(path)!;
    const data = this.#array(name).subarray(start, start + numElements(shape));
    return { dtype: "float32", shape, data };
  }

  /** One block's numbers, in place. */
  block(name: ArenaName, { start }: ArenaBlock): HostTensor {
    const data = this.#array(name).subarray(start, start + BLOCK_SIZE);
    return { dtype: "float32", shape: [BLOCK_SIZE], data };
  }

  /** Everything a checkpoint has to hold, under names like `weights.h.0.ln_1.weight`. */
  *lasting(): Generator<readonly [string, HostTensor]> {
    for (const name of LASTING) {
      for (const parameter of this.parameters)
        yield [`${name}.${parameter.path}`, this.view(name, parameter)];
    }
  }

  /** The weights by parameter path, in place. */
  weights(): Map<string, HostTensor> {
    return new Map(this.parameters.map((parameter) => [parameter.path, this.view("weights", parameter)]));
  }

  #array(name: ArenaName): Float32Array {
    const array = this.#arrays.get(name) ?? (allocate("float32", this.#size) as Float32Array);
    this.#arrays.set(name, array);
    return array;
  }
}

/** Weight decay is for matrices: biases and norm parameters are left alone (Loshchilov & Hutter 2019; GPT-3, app. B). */
export function decaysByShape(shape: readonly number[]): boolean {
  return shape.length >= 2;
}
