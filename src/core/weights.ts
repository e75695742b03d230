import { BYTES_PER_ELEMENT, type DType, type HostTensor, numElements } from "./dtype.ts";

/** A file as it was when it was opened: one that has changed since holds other weights. */
export interface WeightFile {
  /** Absolute, and with no symbolic link in it. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/** A tensor that lies in a file, row-major and little-endian, so that a program can map it instead of reading it. */
export interface FileTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly file: WeightFile;
  /** A multiple of the element size. */
  readonly byteOffset: number;
}

/** A dense tensor, wherever it lies. */
export type StoredTensor = HostTensor | FileTensor;

/**
 * How numbers of a block are coded, next to one float32 scale a block: `int4` and `int8` as whole steps of the scale from a
 * zero point, `nf4` as one of 16 levels that suit normally distributed numbers, times the scale.
 */
export type QuantizationScheme = "int4" | "int8" | "nf4";

/**
 * A matrix in blocks of few bits a number. Blocks run along the axis that a product sums over, and lie one after the other:
 *
 * | part         | shape                                    | element                                                     |
 * | ------------ | ---------------------------------------- | ----------------------------------------------------------- |
 * | `values`     | `(rows, blocks, blockSize · bits / 8)`   | uint8; of two int4 the first is the low half, of two nf4 the high |
 * | `scales`     | `(rows, blocks)`                         | float32                                                     |
 * | `zeroPoints` | `(rows, ⌈blocks · bits / 8⌉)`            | uint8, packed as the values; absent: 8 or 128               |
 */
export interface QuantizedTensor {
  readonly scheme: QuantizationScheme;
  /** Numbers that share a scale; divides the axis that blocks run along. */
  readonly blockSize: number;
  /** Of the matrix it stands for. */
  readonly shape: readonly number[];
  /** Which axis of that matrix blocks run along; `rows` is the other one. */
  readonly axis: 0 | 1;
  readonly values: StoredTensor;
  readonly scales: StoredTensor;
  readonly zeroPoints?: StoredTensor;
}

/** A parameter's numbers in any of the forms a program takes as a constant. */
export type Weight = StoredTensor | QuantizedTensor;

/** A model's parameters by path. */
export type Weights = ReadonlyMap<string, Weight>;

/** A model's parameters by path, all in memory. */
export type HostWeights = ReadonlyMap<string, HostTensor>;

/** Bits a number takes in its block. */
export const SCHEME_BITS: Readonly<Record<QuantizationScheme, 4 | 8>> = { int4: 4, int8: 8, nf4: 4 };

/** True for weights in blocks of few bits. */
export function isQuantized(weight: Weight): weight is QuantizedTensor {
  return "scheme" in weight;
}

/** True for a tensor that lies in a file. */
export function isInFile(tensor: StoredTensor): tensor is FileTensor {
  return "file" in tensor;
}

/** The dense tensors that a weight is made of: itself, or its parts. */
export function storedParts(weight: Weight): readonly StoredTensor[] {
  if (!isQuantized(weight)) return [weight];
  const { values, scales, zeroPoints } = weight;
  return zeroPoints ? [values, scales, zeroPoints] : [values, scales];
}

/** Bytes that a weight takes as it is stored. */
export function sizeInBytes(weight: Weight): number {
  return storedParts(weight).reduce(
    (total, { dtype, shape }) => total + numElements(shape) * BYTES_PER_ELEMENT[dtype],
    0,
  );
}
