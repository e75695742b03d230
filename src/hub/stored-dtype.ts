import type { DType } from "../core/dtype.ts";

/** Bytes per element of every dtype a safetensors file may name, in the file format's own spelling. */
export const STORED_BYTES = {
  U64: 8,
  I64: 8,
  F64: 8,
  F32: 4,
  U32: 4,
  I32: 4,
  BF16: 2,
  F16: 2,
  U16: 2,
  I16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

/** Element types as they lie in safetensors files; wider than `DType`, which programs can hold. */
export type StoredDType = keyof typeof STORED_BYTES;

/**
 * Stored dtypes in the order the reference writer lays tensors out: widest first, so that every tensor
 * begins at a multiple of its own element size.
 */
export const STORED_ORDER: readonly StoredDType[] = Object.keys(STORED_BYTES) as StoredDType[];

const STORED: Readonly<Record<DType, StoredDType>> = {
  float64: "F64",
  float32: "F32",
  float16: "F16",
  int64: "I64",
  int32: "I32",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};

const HELD = new Map(Object.entries(STORED).map(([held, stored]) => [stored, held as DType]));

/** How a program's dtype is spelled in a file. */
export function toStoredDType(dtype: DType): StoredDType {
  return STORED[dtype];
}

/** The dtype that holds a stored one unconverted, if there is one. */
export function toHeldDType(stored: StoredDType): DType | undefined {
  return HELD.get(stored);
}

/** True if `name` is a dtype of the file format. */
export function isStoredDType(name: string): name is StoredDType {
  return Object.hasOwn(STORED_BYTES, name);
}
