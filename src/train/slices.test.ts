import { describe, expect, test } from "vitest";
import { tinyModel } from "../../test/tiny-run.ts";
import { hostTensor } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import type { Examples } from "./objective.ts";
import { cutExamples, sliceSize } from "./slices.ts";

describe("sliceSize", () => {
  test("divides the batch, and keeps a slice's widest activation within 8 MiB", () => {
    const sizes = { width: 1024, numLayers: 1, numHeads: 8 };
    const model = new Gpt2(gpt2Config({ ...sizes, vocabularySize: 24, contextLength: 512 }));
    // One sequence of 512: 512 × 4 × 1024 × 4 bytes = 8 MiB.
    expect(sliceSize(model, { batchSize: 6, contextLength: 512 })).toBe(1);
    expect(sliceSize(model, { batchSize: 6, contextLength: 256 })).toBe(2);
    expect(sliceSize(model, { batchSize: 6, contextLength: 128 })).toBe(3);
    expect(sliceSize(model, { batchSize: 6, contextLength: 64 })).toBe(6);
    expect(sliceSize(model, { batchSize: 7, contextLength: 128 })).toBe(1);
    expect(sliceSize(tinyModel(), { batchSize: 8, contextLength: 16 })).toBe(8);
  });

  test("never parts a group, even one that is larger than the cache", () => {
    const sized = { shape: { width: 1024 } };
    expect(sliceSize(sized, { batchSize: 12, contextLength: 128 })).toBe(4);
    expect(sliceSize(sized, { batchSize: 12, contextLength: 128 }, 2)).toBe(4);
    expect(sliceSize(sized, { batchSize: 12, contextLength: 128 }, 3)).toBe(3);
    expect(sliceSize(sized, { batchSize: 10, contextLength: 128 }, 2)).toBe(2);
    expect(sliceSize(sized, { batchSize: 12, contextLength: 512 }, 6)).toBe(6);
  });
});

describe("cutExamples", () => {
  const [B, T] = [6, 128];
  const tokens = hostTensor(
    "int32",
    [B, T],
    Int32Array.from({ length: B * T }, (_, i) => i),
  );
  const scores = hostTensor(
    "float32",
    [B],
    Float32Array.from({ length: B }, (_, i) => i / 2),
  );
  const batch: Examples = {
    inputs: { tokens, scores },
    numTargets: { a: [1, 2, 3, 4, 5, 6], b: [0.5, 0, 0, 0, 0, 0.25] },
    contextLength: T,
    group: 2,
  };
  const sized = { shape: { width: 2048 } }; // two sequences a slice

  test("every sequence is in one slice, with its targets", () => {
    const slices = cutExamples(batch, sized);
    expect(slices.map(({ shape }) => shape)).toEqual(Array(3).fill({ batchSize: 2, contextLength: T }));
    expect(slices.flatMap(({ inputs }) => [...(inputs.tokens!.data as Int32Array)])).toEqual([
      ...(tokens.data as Int32Array),
    ]);
    expect(slices.map(({ inputs }) => [...(inputs.scores!.data as Float32Array)])).toEqual([
      [0, 0.5],
      [1, 1.5],
      [2, 2.5],
    ]);
    expect(slices.map(({ numTargets }) => numTargets)).toEqual([
      { a: 3, b: 0.5 },
      { a: 7, b: 0 },
      { a: 11, b: 0.25 },
    ]);
  });

  test("uneven inputs, targets and groups are refused by name", () => {
    const attempt = (changes: Partial<Examples>) => () => cutExamples({ ...batch, ...changes }, sized);
    const five = hostTensor("float32", [5], new Float32Array(5));
    expect(attempt({ inputs: { tokens, scores: five } })).toThrow(ShapeError);
    expect(attempt({ inputs: { tokens, scores: five } })).toThrow(
      "batch, scores: expected 6 sequences, as tokens has, got 5.",
    );
    expect(attempt({ numTargets: { a: [1] } })).toThrow(
      "batch, targets of a: expected 6 sequences, as tokens has, got 1.",
    );
    expect(attempt({ group: 4 })).toThrow("batch: expected sequences in groups of 4, got 6.");
    const none = hostTensor("int32", [0, T], new Int32Array(0));
    expect(attempt({ inputs: { tokens: none }, numTargets: {} })).toThrow(
      "batch: expected sequences in groups of 2, got 0.",
    );
  });
});
