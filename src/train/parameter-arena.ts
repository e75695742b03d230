import { allocate, type HostTensor, numElements } from "../core/dtype.ts";
import type { Parameter } from "../nn/scope.ts";
import { allocateCoded, CODED_BLOCK_SIZE, type CodedArray, DynamicCode } from "./dynamic-code.ts";

/** Elements that one run of an optimizer program handles. */
export const BLOCK_SIZE = 131_072;

/** A stretch of the arena with one weight-decay rule. */
export interface ArenaBlock {
  readonly start: number;
  readonly decays: boolean;
}

/** Adam's running means of gradients and of their squares. */
export type MomentName = "firstMoments" | "secondMoments";

const MOMENTS = ["firstMoments", "secondMoments"] as const satisfies readonly MomentName[];

/** One block of each. */
export type Moments = Readonly<Record<MomentName, Float32Array>>;

/** The numbers kept for every parameter; `newGradients` only where several batches make one step. */
export type ArenaName = "weights" | "gradients" | "newGradients" | MomentName;

/** How moments are kept between steps: as they are, or as eight bits a number. */
export type MomentFormat = "float32" | "int8";

/**
 * All trainable numbers in flat arrays: weights, gradients, and Adam's two moments. Each parameter is a view at the
 * same place in each. Matrices, which decay, come first; norms and biases follow from the next block on. Moments may be
 * kept in coded form: then they are read and written a block at a time.
 */
export class ParameterArena {
  readonly parameters: readonly Parameter[];
  readonly blocks: readonly ArenaBlock[];
  readonly moments: MomentFormat;
  /** Allocated on first use. */
  readonly #arrays = new Map<ArenaName, Float32Array>();
  readonly #coded: Readonly<Record<MomentName, CodedMoments>> | undefined;
  readonly #size: number;
  /** Where matrices lie, and where the rest does. */
  readonly #stretches: readonly Stretch[];
  readonly #offsets = new Map<string, number>();

  constructor(parameters: readonly Parameter[], moments: MomentFormat = "float32") {
    this.parameters = parameters;
    this.moments = moments;
    const blocks: ArenaBlock[] = [];
    const stretches: Stretch[] = [];
    let end = 0;
    for (const decays of [true, false]) {
      let next = end;
      for (const { path, shape } of parameters) {
        if (decays !== decaysByShape(shape)) continue;
        this.#offsets.set(path, next);
        next += numElements(shape);
      }
      stretches.push({ name: decays ? "decaying" : "others", start: end, end: next });
      for (; end < next; end += BLOCK_SIZE) blocks.push({ start: end, decays });
    }
    this.blocks = blocks;
    this.#stretches = stretches;
    this.#size = end;
    if (moments === "int8") {
      // Squares are never negative.
      this.#coded = { firstMoments: codeMoments(end, true), secondMoments: codeMoments(end, false) };
    }
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

  /** Decodes a block's coded moments. */
  readMoments({ start }: ArenaBlock, target: Moments): void {
    for (const name of MOMENTS) {
      const { code, array } = this.#coded![name];
      code.decode(array, start, target[name]);
    }
  }

  /** Codes a block's moments. */
  writeMoments({ start }: ArenaBlock, moments: Moments): void {
    for (const name of MOMENTS) {
      const { code, array } = this.#coded![name];
      code.encode(moments[name], array, start);
    }
  }

  /**
   * Everything a checkpoint has to hold, under names like `weights.h.0.ln_1.weight`. Coded moments are whole stretches, such as
   * `firstMoments.decaying.codes` and `….scales`: their blocks do not end where parameters do.
   */
  *lasting(): Generator<readonly [string, HostTensor]> {
    for (const name of ["weights", ...MOMENTS] as const) {
      if (name !== "weights" && this.#coded) {
        for (const stretch of this.#stretches) yield* codedTensors(name, this.#coded[name].array, stretch);
        continue;
      }
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

/** Neighbouring parameters. */
interface Stretch {
  readonly name: "decaying" | "others";
  readonly start: number;
  readonly end: number;
}

/** The part of coded moments that belongs to a stretch. */
function* codedTensors(
  name: MomentName,
  array: CodedArray,
  stretch: Stretch,
): Generator<readonly [string, HostTensor]> {
  if (stretch.start === stretch.end) return;
  const [first, last] = [stretch.start, stretch.end].map((at) => Math.ceil(at / CODED_BLOCK_SIZE));
  const codes = array.codes.subarray(first! * CODED_BLOCK_SIZE, last! * CODED_BLOCK_SIZE);
  const scales = array.scales.subarray(first, last);
  yield [`${name}.${stretch.name}.codes`, { dtype: "uint8", shape: [codes.length], data: codes }];
  yield [`${name}.${stretch.name}.scales`, { dtype: "float32", shape: [scales.length], data: scales }];
}

interface CodedMoments {
  readonly code: DynamicCode;
  readonly array: CodedArray;
}

function codeMoments(count: number, isSigned: boolean): CodedMoments {
  const code = new DynamicCode(isSigned);
  return { code, array: allocateCoded(count, code) };
}

/** Bytes a parameter takes for both its moments. */
export const MOMENT_BYTES: Readonly<Record<MomentFormat, number>> = {
  float32: 8,
  int8: 2 * (1 + Float32Array.BYTES_PER_ELEMENT / CODED_BLOCK_SIZE),
};

/** Weight decay is for matrices: biases and norm parameters are left alone (Loshchilov & Hutter 2019; GPT-3, app. B). */
export function decaysByShape(shape: readonly number[]): boolean {
  return shape.length >= 2;
}
