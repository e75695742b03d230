import type { Dim } from "../core/shape.ts";
import type { CachedResults, Tensor } from "../tensor/tensor.ts";
import { mergeHeads, splitHeads } from "./heads.ts";

// B batch · H query heads · G key/value heads · T tokens · D head width

/** Mixes values by queries and keys: q `(B, T, H·D)`, k and v `(B, T, G·D)` → `(B, T, H·D)`. */
export type Attend = (q: Tensor, k: Tensor, v: Tensor) => Tensor;

export interface CausalAttentionOptions {
  /** A query sees that many keys, itself included; default: all before it. */
  readonly window?: number;
  /** Queries handled together. Smaller blocks waste less work on hidden keys and pay more for slicing. */
  readonly blockSize?: number;
}

/** At T 256, blocks of 64 were no faster in the training step of bench `step`. */
const DEFAULT_BLOCK = 128;

/**
 * Causal self-attention over whole sequences: q `(B, H, T, D)`, k and v `(B, G, T, D)` → `(B, H, T, D)`.
 *
 * Queries go in blocks, and each block meets only the keys it can see, so that about half of the square of scores is
 * never computed. Exactly the same sums otherwise.
 */
export function causalAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { window, blockSize = DEFAULT_BLOCK }: CausalAttentionOptions = {},
): Tensor {
  const [T, D] = q.shape.slice(2) as [number, number];
  const attributes = { scale: 1 / Math.sqrt(D), causal: true, ...(window !== undefined && { window }) };
  const blocks: Tensor[] = [];
  for (let start = 0; start < T; start += blockSize) {
    const end = Math.min(start + blockSize, T);
    const first = window === undefined ? 0 : Math.max(0, start - window + 1);
    const [keys, values] = [k, v].map((x) => x.slice(2, first, end)) as [Tensor, Tensor];
    blocks.push(q.slice(2, start, end).attention(keys, values, attributes)); // (B, H, block, D)
  }
  const [head, ...rest] = blocks as [Tensor, ...Tensor[]];
  return head.concat(rest, 2); // (B, H, T, D)
}

/** Causal self-attention over whole sequences, heads side by side: the {@link Attend} of training. */
export function attendCausally(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  numHeads: number,
  options: CausalAttentionOptions = {},
): Tensor {
  const headSize = (q.shape[2] as number) / numHeads;
  const [queries, keys, values] = [q, k, v].map((x) => splitHeads(x, headSize)) as [Tensor, Tensor, Tensor];
  return mergeHeads(causalAttention(queries, keys, values, options));
}

/** Cached heads are a multiple of that many numbers wide, as the runtime's kernel wants them. */
const CACHED_WIDTH_UNIT = 8;

/** The width of a head in the cache: the head's own, filled up with zeros to what the runtime's kernel takes. */
export function cachedHeadSize(headSize: number): number {
  return Math.ceil(headSize / CACHED_WIDTH_UNIT) * CACHED_WIDTH_UNIT;
}

/** The heads of one layer, for attention over a cache. */
export interface CachedHeads {
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  readonly headSize: number;
  /** A query sees that many keys, itself included; absent: all before it. */
  readonly window?: number;
}

/** Causal self-attention that continues a cache: the {@link Attend} of generation, for one layer. */
export function attendCached(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  cache: LayerCaches,
  layer: number,
  shape: CachedHeads,
): CachedResults {
  const { lengths, totalLength } = cache;
  const { numHeads, numKeyValueHeads, headSize, window } = shape;
  const fill = cachedHeadSize(headSize) - headSize;
  // Zeros add nothing to the products of queries and keys, and what they add to the values is cut off again.
  const [query, key, value] = [q, k, v].map((x) =>
    resizeHeads(x, headSize, (heads) => heads.pad(3, 0, fill)),
  );
  const attended = query!.cachedAttention(
    {
      key: key!,
      value: value!,
      pastKey: cache.keys[layer]!,
      pastValue: cache.values[layer]!,
      lengths,
      totalLength,
    },
    { numHeads, numKeyValueHeads, scale: 1 / Math.sqrt(headSize), ...(window !== undefined && { window }) },
  );
  const cut = (heads: Tensor) => heads.slice(3, 0, headSize);
  return { ...attended, result: resizeHeads(attended.result, headSize + fill, cut) };
}

/** Keys and values of every layer that a decoder has seen so far, as a program takes them. */
export interface LayerCaches {
  /** Per layer: `(B, G, capacity, cachedHeadSize(D))`. */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** Tokens in sight of each row's last one, minus one: int32 `(B)`. */
  readonly lengths: Tensor;
  /** The largest of `lengths`, plus one: int32 `(1)`. */
  readonly totalLength: Tensor;
}

/** x `(B, T, H·D)` with its heads of another width; T may be a name. */
function resizeHeads(x: Tensor, headSize: number, resize: (heads: Tensor) => Tensor): Tensor {
  const [B, T, C] = x.shape as [Dim, Dim, number];
  const heads = x.reshape([B, T, C / headSize, headSize]);
  const resized = resize(heads);
  return resized === heads ? x : resized.reshape([B, T, (C / headSize) * (resized.shape[3] as number)]);
}
