import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { allocate, type DType, type HostTensor } from "../src/core/dtype.ts";
import { constant, input, type Tensor } from "../src/tensor/tensor.ts";

// The test vectors of the ONNX project (../shared/data/onnx-op-vectors): what each operator gives for some inputs.

interface StoredTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}

export interface StoredVector {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  readonly attributes: Readonly<Record<string, number | string | readonly number[]>>;
  readonly inputs: readonly (StoredTensor | null)[];
  readonly outputs: readonly (StoredTensor | null)[];
}

const FILE = path.join(import.meta.dirname, "../../shared/data/onnx-op-vectors/vectors.jsonl.gz");

export const hasVectors: boolean = existsSync(FILE);

export function readVectors(): readonly StoredVector[] {
  const lines = gunzipSync(readFileSync(FILE)).toString("utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line) as StoredVector);
}

/** Thrown where a vector asks for something that Plinth's operators do not mean. */
export class OtherMeaning extends Error {}

const DTYPES: ReadonlySet<string> = new Set<DType>(["float32", "int32", "int64", "bool"]);

/** One vector as the translations see it: inputs as symbolic tensors or as plain numbers, attributes with their defaults. */
export class Vector {
  readonly stored: StoredVector;
  /** Values of the inputs that a translation took as tensors, by name. */
  readonly feeds = new Map<string, HostTensor>();

  constructor(stored: StoredVector) {
    this.stored = stored;
  }

  has(which: number): boolean {
    return Boolean(this.stored.inputs[which]);
  }

  /** An input as a tensor of the graph. */
  tensor(which: number): Tensor {
    const host = toHostTensor(this.stored.inputs[which]!);
    this.feeds.set(`x${which}`, host);
    return input(`x${which}`, host.dtype, host.shape);
  }

  tensors(): Tensor[] {
    return this.stored.inputs.map((_, which) => this.tensor(which));
  }

  /** An input that is a shape, an axis, a size: known when the graph is written. */
  numbers(which: number): number[] | undefined {
    return this.stored.inputs[which]?.data.map(Number);
  }

  shape(which: number): readonly number[] {
    return this.stored.inputs[which]!.shape;
  }

  outputShape(which: number): readonly number[] {
    return this.stored.outputs[which]!.shape;
  }

  number(name: string, fallback: number): number {
    return (this.stored.attributes[name] as number | undefined) ?? fallback;
  }

  list(name: string): readonly number[] | undefined {
    return this.stored.attributes[name] as readonly number[] | undefined;
  }

  text(name: string): string | undefined {
    return this.stored.attributes[name] as string | undefined;
  }

  /** Leaves the vector out when it asks for something else. */
  needs(condition: boolean, what: string): void {
    if (!condition) throw new OtherMeaning(what);
  }
}

/** @throws {OtherMeaning} for element types that Plinth does not compute with. */
export function toHostTensor({ dtype, shape, data }: StoredTensor): HostTensor {
  if (!DTYPES.has(dtype)) throw new OtherMeaning(`${dtype} elements`);
  const target = allocate(dtype as DType, data.length);
  data.forEach((value, i) => {
    target[i] = dtype === "int64" ? BigInt(value) : toNumber(value);
  });
  return { dtype: dtype as DType, shape, data: target };
}

function toNumber(value: number | string): number {
  if (typeof value === "number") return value;
  const special: Record<string, number> = { inf: Infinity, "-inf": -Infinity, nan: Number.NaN };
  return special[value]!;
}

export function booleans(shape: readonly number[], data: readonly boolean[]): Tensor {
  return constant({ dtype: "bool", shape, data: Uint8Array.from(data, Number) });
}

export function integers(shape: readonly number[], data: readonly number[]): Tensor {
  return constant({ dtype: "int64", shape, data: BigInt64Array.from(data, BigInt) });
}
