import type { Emitter } from "../op.ts";

/** A one-dimensional int64 constant: how ONNX takes axes, sizes and shapes. */
export function int64s(emitter: Emitter, values: readonly number[]): string {
  const data = BigInt64Array.from(values, BigInt);
  return emitter.constant({ dtype: "int64", shape: [values.length], data });
}

/** A float32 scalar constant. */
export function float32(emitter: Emitter, value: number): string {
  return emitter.constant({ dtype: "float32", shape: [], data: Float32Array.of(value) });
}
