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

/** Stored floating-point types that `widenToFloat32` takes. */
export type WidenableDType = "F16" | "BF16" | "F64";

/** True for the types `widenToFloat32` takes. */
export function isWidenable(dtype: StoredDType): dtype is WidenableDType {
  return dtype === "F16" || dtype === "BF16" || dtype === "F64";
}

/** Converts `target.length` elements from the beginning of `source`; F64 rounds to nearest, ties to even. */
export function widenToFloat32(dtype: WidenableDType, source: ArrayBuffer, target: Float32Array): void {
  if (dtype === "F16") widenFloat16(new Uint16Array(source, 0, target.length), target);
  else if (dtype === "BF16") widenBfloat16(new Uint16Array(source, 0, target.length), target);
  else target.set(new Float64Array(source, 0, target.length));
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
