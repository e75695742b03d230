import { describe, expect, it } from "vitest";
import { ConfigError, DataError } from "../core/errors.ts";
import { type EncodedInput, joinInput, joinWindows, type Pieces } from "./encoded-input.ts";
import { NO_TEMPLATE, PostProcessor } from "./post-processor.ts";

const CLS = 1;
const SEP = 2;
const bert = new PostProcessor(
  [
    { kind: "added", id: CLS, segment: 0 },
    { kind: "text", segment: 0 },
    { kind: "added", id: SEP, segment: 0 },
  ],
  [
    { kind: "added", id: CLS, segment: 0 },
    { kind: "text", segment: 0 },
    { kind: "added", id: SEP, segment: 0 },
    { kind: "pair", segment: 1 },
    { kind: "added", id: SEP, segment: 1 },
  ],
);

/** Tokens `first`, `first + 1` …, one character each. */
function pieces(first: number, count: number): Pieces {
  const at = Array.from({ length: count }, (_, i) => i);
  return { ids: at.map((i) => first + i), starts: at, ends: at.map((i) => i + 1) };
}

const idsOf = ({ ids }: EncodedInput): number[] => [...ids];

describe("joinInput", () => {
  it("puts added tokens around and between, with segments, offsets and sources", () => {
    const joined = joinInput(bert, pieces(10, 2), pieces(20, 1), {});
    expect(idsOf(joined)).toEqual([1, 10, 11, 2, 20, 2]);
    expect([...joined.segmentIds]).toEqual([0, 0, 0, 0, 1, 1]);
    expect([...joined.specialMask]).toEqual([1, 0, 0, 1, 0, 1]);
    expect([...joined.sources]).toEqual([-1, 0, 0, -1, 1, -1]);
    expect(joined.offsets[2]).toEqual([1, 2]);
    expect(joined.offsets[3]).toEqual([0, 0]);
    expect(idsOf(joinInput(bert, pieces(10, 2), undefined, { addSpecial: false }))).toEqual([10, 11]);
    expect(idsOf(joinInput(NO_TEMPLATE, pieces(10, 2), pieces(20, 1), {}))).toEqual([10, 11, 20]);
  });

  it("cuts nothing unless asked to", () => {
    expect(() => joinInput(bert, pieces(10, 9), undefined, { maxLength: 10 })).toThrow(DataError);
    expect(() => joinInput(bert, pieces(10, 9), undefined, { maxLength: 10 })).toThrow(
      "expected at most 10 tokens, got 11",
    );
    expect(joinInput(bert, pieces(10, 8), undefined, { maxLength: 10 }).ids).toHaveLength(10);
    expect(() => joinInput(bert, pieces(10, 8), undefined, { maxLength: 0.5 })).toThrow(ConfigError);
  });

  // Lengths as the Hugging Face library cuts them (`enable_truncation` of each strategy).
  it.each([
    [9, 3, 10, "longest-first", 4, 3],
    [3, 9, 10, "longest-first", 3, 4],
    [9, 9, 10, "longest-first", 3, 4],
    [9, 9, 3, "longest-first", 0, 0],
    [9, 3, 10, "text", 4, 3],
    [3, 9, 10, "pair", 3, 4],
  ] as const)("cuts %d and %d tokens to %d, %s", (first, second, maxLength, truncate, text, pair) => {
    const joined = joinInput(bert, pieces(10, first), pieces(50, second), { maxLength, truncate });
    expect(joined.sources.filter((source) => source === 0)).toHaveLength(text);
    expect(joined.sources.filter((source) => source === 1)).toHaveLength(pair);
  });

  it("says when the text to cut is too short", () => {
    const cut = { maxLength: 4, truncate: "text" } as const;
    expect(() => joinInput(bert, pieces(10, 2), pieces(50, 9), cut)).toThrow(
      'expected a text to cut 10 tokens from, as "text" says, got 2 tokens',
    );
  });
});

describe("joinWindows", () => {
  it("covers the pair, repeating the text and `stride` tokens", () => {
    const windows = joinWindows(bert, pieces(10, 1), pieces(20, 7), { maxLength: 8, stride: 2 });
    expect(windows.map(idsOf)).toEqual([
      [1, 10, 2, 20, 21, 22, 23, 2],
      [1, 10, 2, 22, 23, 24, 25, 2],
      [1, 10, 2, 24, 25, 26, 2],
    ]);
    expect(windows[2]!.offsets[3]).toEqual([4, 5]);
  });

  it("gives one window for what fits, and for nothing", () => {
    expect(joinWindows(bert, pieces(10, 6), undefined, { maxLength: 8, stride: 2 })).toHaveLength(1);
    expect(joinWindows(bert, pieces(10, 0), undefined, { maxLength: 8, stride: 2 }).map(idsOf)).toEqual([
      [1, 2],
    ]);
  });

  it("refuses a stride that never ends, and a text that leaves no room", () => {
    const windows = (stride: number, maxLength: number) => () =>
      joinWindows(bert, pieces(10, 3), pieces(20, 9), { maxLength, stride });
    expect(windows(2, 8)).toThrow(
      "stride: expected less than the 2 tokens that a window has room for, got 2",
    );
    expect(windows(0, 6)).toThrow(DataError);
    expect(windows(-1, 9)).toThrow(ConfigError);
  });
});
