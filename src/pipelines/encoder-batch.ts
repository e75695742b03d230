import type { HostTensor } from "../core/dtype.ts";

// B texts · T tokens of the longest

/** A text as ids, ready for an encoder. */
export interface EncoderItem {
  readonly ids: ArrayLike<number>;
  readonly segmentIds: ArrayLike<number>;
}

/** Texts that go through together. */
export interface EncoderBatch {
  /** Which texts these are, by their place in the whole list. */
  readonly places: readonly number[];
  /** Tokens of the longest, to which the others are padded. */
  readonly length: number;
  readonly feeds: Readonly<Record<"tokens" | "segments" | "mask" | "positions", HostTensor>>;
}

/**
 * Sorts texts by length and packs neighbours together, so that little is computed on padding.
 *
 * @param maxTokens padding included; a longer text goes alone
 */
export function* packBatches(items: readonly EncoderItem[], maxTokens: number): Generator<EncoderBatch> {
  const byLength = items
    .map((_, i) => i)
    .sort((a, b) => items[b]!.ids.length - items[a]!.ids.length || a - b);
  for (let from = 0; from < byLength.length; ) {
    const length = items[byLength[from]!]!.ids.length;
    const places = byLength.slice(from, from + Math.max(1, Math.floor(maxTokens / length)));
    yield {
      places,
      length,
      feeds: padded(
        places.map((place) => items[place]!),
        length,
      ),
    };
    from += places.length;
  }
}

function padded(items: readonly EncoderItem[], length: number): EncoderBatch["feeds"] {
  const shape = [items.length, length];
  const [tokens, segments, mask] = [0, 0, 0].map(() => new Int32Array(items.length * length));
  items.forEach(({ ids, segmentIds }, row) => {
    const start = row * length;
    tokens!.set(Array.from(ids), start);
    segments!.set(Array.from(segmentIds), start);
    mask!.fill(1, start, start + ids.length);
  });
  return {
    tokens: { dtype: "int32", shape, data: tokens! },
    segments: { dtype: "int32", shape, data: segments! },
    mask: { dtype: "int32", shape, data: mask! },
    positions: { dtype: "int32", shape: [length], data: Int32Array.from({ length }, (_, i) => i) },
  };
}
