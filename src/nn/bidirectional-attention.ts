import type { Dim } from "../core/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { mergeHeads, splitHeads } from "./heads.ts";

// B batch · H heads · T tokens · D head width

/**
 * Self-attention in which every token sees every other one of its text: q, k, v `(B, T, H·D)`, heads side by side.
 *
 * `mask` `(B, T)` is 1 where there is a token and 0 at padding, which nobody sees. B and T may be mere names.
 */
export function attendBothWays(q: Tensor, k: Tensor, v: Tensor, numHeads: number, mask: Tensor): Tensor {
  const headSize = (q.shape[2] as number) / numHeads;
  const [B, T] = mask.shape as [Dim, Dim];
  const isToken = mask.greater(0).reshape([B, 1, 1, T]);
  const [queries, keys, values] = [q, k, v].map((x) => splitHeads(x, headSize)) as [Tensor, Tensor, Tensor];
  const scale = 1 / Math.sqrt(headSize);
  return mergeHeads(queries.attention(keys, values, { scale, causal: false }, isToken)); // (B, T, H·D)
}
