import type { StoredDType } from "./stored-dtype.ts";

/**
 * Half-precision bits as float32 bits, exactly: subnormals become normal numbers, NaN keeps its sign and payload.
 *
 * @see IEEE 754-2019 §3.4: binary16 has 5 exponent bits (bias 15) and 10 fraction bits.
 * @example
 * float16ToFloat32Bits(0x3c00).toString(16); // => "3f800000"
 */
export function float16ToFloat32Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  // fraction · 2^-24: shift its leading one out of the fraction, and lower the exponent as much.
  const shift = Math.clz32(fraction) - 21;
  return (sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)) >>> 0;
}

/**
 * A byte of E4M3 as float32 bits, exactly: 4 exponent bits (bias 7), 3 fraction bits, no infinities, and NaN only where all
 * of them are set.
 *
 * @see Micikevicius et al. 2022, "FP8 Formats for Deep Learning", §3.
 * @example
 * float8E4M3ToFloat32Bits(0x38).toString(16); // => "3f800000"
 */
export function float8E4M3ToFloat32Bits(byte: number): number {
  const sign = (byte & 0x80) << 24;
  const magnitude = byte & 0x7f;
  if (magnitude === 0x7f) return (sign | 0x7fc00000) >>> 0;
  const exponent = magnitude >>> 3;
  const fraction = magnitude & 0x7;
  if (exponent !== 0) return (sign | ((exponent + 120) << 23) | (fraction << 20)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  // fraction · 2^-9: shift its leading one out of the fraction, and lower the exponent as much.
  const shift = Math.clz32(fraction) - 28;
  return (sign | ((121 - shift) << 23) | (((fraction << shift) & 0x7) << 20)) >>> 0;
}

const WIDENABLE = ["F16", "BF16", "F64", "F8_E4M3", "F8_E5M2"] as const satisfies readonly StoredDType[];

/** Stored floating-point types that `widenToFloat32` takes. */
export type WidenableDType = (typeof WIDENABLE)[number];

/** True for the types `widenToFloat32` takes. */
export function isWidenable(dtype: StoredDType): dtype is WidenableDType {
  return (WIDENABLE as readonly StoredDType[]).includes(dtype);
}

/** Converts `target.length` elements from the beginning of `source`; F64 rounds to nearest, ties to even. */
export function widenToFloat32(dtype: WidenableDType, source: ArrayBuffer, target: Float32Array): void {
  if (dtype === "F16") widenFloat16(new Uint16Array(source, 0, target.length), target);
  else if (dtype === "BF16") widenBfloat16(new Uint16Array(source, 0, target.length), target);
  else if (dtype === "F64") target.set(new Float64Array(source, 0, target.length));
  else widenFloat8(dtype, new Uint8Array(source, 0, target.length), target);
}

/** Widens 8-bit floats into float32. E5M2 is the upper half of a binary16. */
export function widenFloat8(dtype: "F8_E4M3" | "F8_E5M2", source: Uint8Array, target: Float32Array): void {
  const toBits =
    dtype === "F8_E4M3" ? float8E4M3ToFloat32Bits : (byte: number) => float16ToFloat32Bits(byte << 8);
  const table = Uint32Array.from({ length: 256 }, (_, byte) => toBits(byte));
  const bits = bitsOf(target);
  for (let i = 0; i < source.length; i++) bits[i] = table[source[i]!]!;
}

/** Widens binary16 bits into float32. Writes bits, not numbers, so that NaN payloads survive. */
export function widenFloat16(source: Uint16Array, target: Float32Array): void {
  const bits = bitsOf(target);
  for (let i = 0; i < source.length; i++) bits[i] = float16ToFloat32Bits(source[i]!);
}

/** Widens bfloat16 bits, the upper half of a float32, into float32. */
export function widenBfloat16(source: Uint16Array, target: Float32Array): void {
  const bits = bitsOf(target);
  for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
}

function bitsOf(array: Float32Array): Uint32Array {
  return new Uint32Array(array.buffer, array.byteOffset, array.length);
}
