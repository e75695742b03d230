import { ShapeError } from "./errors.ts";

/** Element types a program can hold. `float64` exists for the reference interpreter only. */
export type DType = "float32" | "float64" | "float16" | "int64" | "int32" | "int8" | "uint8" | "bool";

/** Typed arrays that can carry those elements; float16 travels as its raw bits. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Uint16Array
  | BigInt64Array
  | Int32Array
  | Int8Array
  | Uint8Array;

/** Bytes per element. */
export const BYTES_PER_ELEMENT: Readonly<Record<DType, number>> = {
  float64: 8,
  int64: 8,
  float32: 4,
  int32: 4,
  float16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

/** A dense row-major tensor in ordinary memory, as it goes to and from files and programs. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** A view of `buffer` as elements of `dtype`. The byte offset must suit the element size. */
export function viewAs(
  dtype: DType,
  buffer: ArrayBuffer,
  byteOffset: number,
  numElements: number,
): TypedArray {
  switch (dtype) {
    case "float32":
      return new Float32Array(buffer, byteOffset, numElements);
    case "float64":
      return new Float64Array(buffer, byteOffset, numElements);
    case "float16":
      return new Uint16Array(buffer, byteOffset, numElements);
    case "int64":
      return new BigInt64Array(buffer, byteOffset, numElements);
    case "int32":
      return new Int32Array(buffer, byteOffset, numElements);
    case "int8":
      return new Int8Array(buffer, byteOffset, numElements);
    case "uint8":
    case "bool":
      return new Uint8Array(buffer, byteOffset, numElements);
  }
}

/** Zero-filled storage. Always backed by its own `ArrayBuffer`, so native code may keep its address. */
export function allocate(dtype: DType, numElements: number): TypedArray {
  return viewAs(dtype, new ArrayBuffer(numElements * BYTES_PER_ELEMENT[dtype]), 0, numElements);
}

/** Product of the dimensions: how many elements a tensor of that shape holds. */
export function numElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * Checks that data and shape agree and returns the tensor.
 *
 * @throws {ShapeError} if the data does not hold exactly the shape's elements.
 */
export function hostTensor(dtype: DType, shape: readonly number[], data: TypedArray): HostTensor {
  if (data.length !== numElements(shape)) {
    throw new ShapeError({
      where: "hostTensor",
      expected: `${numElements(shape)} elements for shape [${shape}]`,
      got: `${data.length}`,
    });
  }
  return { dtype, shape, data };
}
