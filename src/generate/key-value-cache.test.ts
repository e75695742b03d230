import { describe, expect, test } from "vitest";
import { KeyValueCache, PIECE_TOKENS } from "./key-value-cache.ts";

// A cache whose values are the positions they were written at, so that what a row holds can be read off.

const SHAPE = {
  vocabularySize: 10,
  contextLength: 10_000,
  width: 16,
  numLayers: 2,
  numHeads: 2,
  numKeyValueHeads: 2,
  headSize: 8,
};

/** Writes tokens of a row as the runtime would: each head's numbers at the slot. */
function write(cache: KeyValueCache, row: number, count: number, mark = 0): void {
  const slot = cache.reserve(row, count);
  const start = cache.lengthOf(row);
  for (let plane = 0; plane < 2 * SHAPE.numLayers; plane++) {
    const { data, shape } = cache.plane(plane, row, 1);
    const [, heads, slots, size] = shape as [number, number, number, number];
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < count; i++) {
        const at = (head * slots + slot + i) * size;
        (data as Float32Array).fill(mark + start + i + plane / 8 + head / 16, at, at + size);
      }
    }
  }
  cache.commit(row, count);
}

/** Positions in the row's slots, checked to be the same in all layers, kinds and heads. */
function read(cache: KeyValueCache, row: number, count: number): number[] {
  const found = Array.from({ length: 2 * SHAPE.numLayers }, (_, plane) => {
    const { data, shape } = cache.plane(plane, row, 1);
    const [, heads, slots, size] = shape as [number, number, number, number];
    return Array.from({ length: heads }, (_, head) =>
      Array.from({ length: count }, (_, slot) => {
        const at = (head * slots + slot) * size;
        if (data[at + size - 1] !== data[at]) throw new Error(`head ${head}, slot ${slot} is torn`);
        return (data[at] as number) - plane / 8 - head / 16;
      }),
    );
  }).flat();
  for (const other of found) expect(other.join()).toBe(found[0]!.join());
  return found[0]!;
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe("without a window", () => {
  test("memory grows with what is read, and keeps it", () => {
    const cache = new KeyValueCache(SHAPE, 2, 1000);
    const first = cache.byteLength;
    write(cache, 0, 200);
    write(cache, 1, 3, 5000);
    expect(cache.byteLength).toBe(first);
    write(cache, 0, 100);
    expect(cache.byteLength).toBe(2 * first);
    expect(read(cache, 0, 300)).toEqual(range(0, 300));
    expect(read(cache, 1, 3)).toEqual([5000, 5001, 5002]);
    write(cache, 0, 500);
    write(cache, 0, 200);
    expect(cache.numSlots).toBe(1000);
    expect(read(cache, 0, 1000)).toEqual(range(0, 1000));
  });

  test("a small capacity is all there ever is", () => {
    expect(new KeyValueCache(SHAPE, 1, 7).numSlots).toBe(7);
  });

  test("rows are copied, and reordered in rings", () => {
    const cache = new KeyValueCache(SHAPE, 4, 64);
    for (const row of [0, 1, 2, 3]) write(cache, row, 3 + row, 100 * row);
    cache.reorder([1, 2, 0, 1]);
    const expected = [range(100, 104), range(200, 205), range(0, 3), range(100, 104)];
    for (const [row, tokens] of expected.entries()) {
      expect(cache.lengthOf(row)).toBe(tokens.length);
      expect(read(cache, row, tokens.length)).toEqual(tokens);
    }
    cache.copyRow(1, 2, 2);
    expect(cache.lengthOf(2)).toBe(2);
    expect(read(cache, 2, 2)).toEqual([200, 201]);
  });
});

describe("with a window", () => {
  const W = 40;
  const windowed = { ...SHAPE, slidingWindow: W };
  const bounded = W - 1 + PIECE_TOKENS;

  test("memory stays where the window and one piece fit, however much is read", () => {
    const cache = new KeyValueCache(windowed, 1, 10_000);
    let most = 0;
    for (const count of [1, 300, 511, 1, 200, 512, 512, ...Array(20).fill(1), 491, 1, 1]) {
      const slot = cache.reserve(0, count);
      const length = cache.lengthOf(0);
      // All that the first new token sees is there, ending at the slot before it.
      const seen = Math.min(length, W - 1);
      expect(read(cache, 0, slot).slice(slot - seen)).toEqual(range(length - seen, length));
      write(cache, 0, count);
      most = Math.max(most, cache.byteLength);
    }
    expect(cache.lengthOf(0)).toBe(2550);
    expect(cache.numSlots).toBe(bounded);
    expect(most).toBe(2 * SHAPE.numLayers * SHAPE.numKeyValueHeads * bounded * SHAPE.headSize * 4);
  });

  test("a row is cut only to where its window is still there", () => {
    const cache = new KeyValueCache(windowed, 1, 10_000);
    for (let i = 0; i < 3; i++) write(cache, 0, 512);
    write(cache, 0, 1);
    expect(cache.canTruncate(0, 1537)).toBe(true);
    const evicted = 1537 - (cache.reserve(0, 1) - 0);
    expect(cache.canTruncate(0, evicted + W - 1)).toBe(true);
    expect(cache.canTruncate(0, evicted + W - 2)).toBe(false);
    expect(() => cache.truncate(0, 100, "decoder")).toThrow(
      "decoder.truncate: expected 0 or a length whose window is still in the rolling cache, got 100.",
    );
    cache.truncate(0, 0, "decoder");
    write(cache, 0, 5);
    expect(read(cache, 0, 5)).toEqual(range(0, 5));
  });
});
