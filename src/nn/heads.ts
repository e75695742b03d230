import type { Dim } from "../core/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

// B batch · H heads · T tokens · D head width

/** x `(B, T, H·D)` → `(B, H, T, D)`. */
export function splitHeads(x: Tensor, headSize: number): Tensor {
  const [B, T, C] = x.shape as [Dim, Dim, number];
  return x.reshape([B, T, C / headSize, headSize]).transpose([0, 2, 1, 3]);
}

/** x `(B, H, T, D)` → `(B, T, H·D)`. */
export function mergeHeads(x: Tensor): Tensor {
  const [B, H, T, D] = x.shape as [Dim, number, Dim, number];
  return x.transpose([0, 2, 1, 3]).reshape([B, T, H * D]);
}
