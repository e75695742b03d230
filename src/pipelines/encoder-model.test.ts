import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { Engine } from "../engine/engine.ts";
import { classifySequence } from "./classify-sequence.ts";
import { embed } from "./embed.ts";
import { packBatches } from "./encoder-batch.ts";
import { EncoderModel, type EncoderModelOptions } from "./encoder-model.ts";
import { fillMask } from "./fill-mask.ts";
import { isNextSentence } from "./next-sentence.ts";

// Texts as ids, against the golden values of tools/golden/bert.py.

const FIXTURES = new URL("../../test/fixtures/bert/", import.meta.url).pathname;
const engine = new Engine();
const opened: EncoderModel[] = [];
afterAll(() => {
  for (const model of opened) model.dispose();
});

function open(name: string, options: EncoderModelOptions = {}): EncoderModel {
  const model = EncoderModel.load(FIXTURES + name, { engine, ...options });
  opened.push(model);
  return model;
}

/** The padded batch of a golden file as texts of their own lengths, and one of its outputs, row by row. */
function golden(name: string, output: string) {
  const { cases } = JSON.parse(readFileSync(`${FIXTURES}${name}/golden.json`, "utf8"));
  const { tokens, segments, mask, outputs } = cases[0];
  const lengths: number[] = mask.map((row: number[]) => row.reduce((sum, one) => sum + one, 0));
  const texts = lengths.map((length, row) => ({
    ids: (tokens[row] as number[]).slice(0, length),
    segmentIds: (segments[row] as number[]).slice(0, length),
  }));
  const packed = outputs[output] as { shape: number[]; float32: string };
  const values = new Float32Array(Uint8Array.from(Buffer.from(packed.float32, "base64")).buffer);
  const size = values.length / lengths.length;
  return { texts, rows: lengths.map((_, row) => Array.from(values.subarray(row * size, (row + 1) * size))) };
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) expect(Math.abs(actual[i]! - expected[i]!)).toBeLessThan(1e-5);
}

function expectRows(actual: readonly ArrayLike<number>[], expected: readonly ArrayLike<number>[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, row] of actual.entries()) expectClose(row, expected[i]!);
}

const scoresOf = (found: readonly { score: number }[]) => found.map(({ score }) => score);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const shares = (scores: readonly number[]) => {
  const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
  return scores.map((score) => Math.exp(score) / total);
};

describe("embeddings", () => {
  const { texts, rows } = golden("bare", "hidden.2");
  const width = 8;
  const states = texts.map(({ ids }, i) => ids.map((_, t) => rows[i]!.slice(t * width, (t + 1) * width)));
  const columns = (i: number) => states[i]![0]!.map((_, c) => states[i]!.map((state) => state[c]!));
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

  test.each([
    ["cls", (i: number) => states[i]![0]!],
    ["mean", (i: number) => columns(i).map((column) => sum(column) / column.length)],
    ["max", (i: number) => columns(i).map((column) => Math.max(...column))],
    ["mean-sqrt", (i: number) => columns(i).map((column) => sum(column) / Math.sqrt(column.length))],
  ] as const)("by %s", async (pooling, expected) => {
    const vectors = await embed(open("bare"), texts, { pooling, normalize: false });
    expectRows(
      vectors,
      texts.map((_, i) => expected(i)),
    );
  });

  test("of length 1 and by the mean if nothing is said, and cut before that", async () => {
    const model = open("bare");
    const [whole, cut] = [await embed(model, texts), await embed(model, texts, { dimensions: 3 })];
    texts.forEach((_, i) => {
      const mean = columns(i).map((column) => sum(column) / column.length);
      expectClose(
        whole[i]!,
        mean.map((value) => value / Math.hypot(...mean)),
      );
      const kept = mean.slice(0, 3);
      expectClose(
        cut[i]!,
        kept.map((value) => value / Math.hypot(...kept)),
      );
    });
  });

  test("do not depend on what goes along in the batch", async () => {
    const together = await embed(open("bare", { batchTokens: 64 }), texts);
    const alone = await embed(open("bare", { batchTokens: 1 }), texts);
    expectRows(together, alone);
  });

  test("none of no texts", async () => {
    expect(await embed(open("bare"), [])).toEqual([]);
  });
});

describe("classes of texts", () => {
  test("single label: probabilities that add up to 1, best first", async () => {
    const { texts, rows } = golden("single-label", "logits");
    const found = await classifySequence(open("single-label"), texts);
    const labels = ["weather", "sport", "politics", "music"];
    found.forEach((scores, i) => {
      const expected = shares(rows[i]!);
      const order = labels.toSorted((a, b) => expected[labels.indexOf(b)]! - expected[labels.indexOf(a)]!);
      expect(scores.map(({ label }) => label)).toEqual(order);
      expectClose(
        scores.map(({ score }) => score),
        order.map((label) => expected[labels.indexOf(label)]!),
      );
    });
    const best = await classifySequence(open("single-label"), texts, { topK: 1 });
    expect(best).toEqual(found.map((scores) => scores.slice(0, 1)));
  });

  test("several labels: one probability each; regression: the value; or as asked", async () => {
    const several = golden("multi-label", "logits");
    const found = await classifySequence(open("multi-label"), several.texts);
    expectRows(
      found.map(scoresOf),
      several.rows.map((row) => row.map(sigmoid).toSorted((a, b) => b - a)),
    );
    const value = golden("regression", "logits");
    const values = await classifySequence(open("regression"), value.texts);
    expectRows(values.map(scoresOf), value.rows);
    const squashed = await classifySequence(open("regression"), value.texts, { activation: "sigmoid" });
    expectRows(
      squashed.map(scoresOf),
      value.rows.map((row) => row.map(sigmoid)),
    );
  });
});

test("next sentence: the share of BERT's label 0", async () => {
  const { texts, rows } = golden("next-sentence", "logits");
  expectClose(
    await isNextSentence(open("next-sentence"), texts),
    rows.map((scores) => shares(scores)[0]!),
  );
});

describe("batches", () => {
  const item = (length: number) => ({ ids: Array(length).fill(7), segmentIds: Array(length).fill(1) });

  test("hold texts of like length, each once, and no more tokens than allowed unless a text is longer", () => {
    const lengths = [3, 9, 1, 4, 12, 4];
    const batches = [...packBatches(lengths.map(item), 8)];
    expect(batches.map(({ places }) => places)).toEqual([[4], [1], [3, 5], [0, 2]]);
    expect(batches.at(-1)!.feeds.mask).toEqual({
      dtype: "int32",
      shape: [2, 3],
      data: Int32Array.of(1, 1, 1, 1, 0, 0),
    });
    expect(batches.at(-1)!.feeds.tokens.data).toEqual(Int32Array.of(7, 7, 7, 7, 0, 0));
  });
});

describe("bad input", () => {
  const bad = (name: string, ids: number[], segmentIds?: number[]) =>
    embed(open(name), [{ ids: [1] }, { ids, ...(segmentIds && { segmentIds }) }]);

  test.each([
    [[1, 26], undefined, "text 2, token 2: expected an id in [0, 26), got 26"],
    [[1, -1], undefined, "token 2: expected an id ≥ 0, got -1"],
    [[1, 0.5], undefined, "token 2: expected an id ≥ 0, got 0.5"],
    [[], undefined, "text 2: expected at least one token, got none"],
    [
      Array(11).fill(1),
      undefined,
      'text 2: expected at most 10 tokens, got 11. Shorten it, or set "truncate".',
    ],
    [[1, 2], [0, 2], "text 2, segment 2: expected an id in [0, 2), got 2"],
    [[1, 2], [0], "text 2: expected 2 segments, one a token, got 1"],
  ])("ids %j, segments %j", async (ids, segments, message) => {
    await expect(bad("bare", ids, segments)).rejects.toThrow(message);
  });

  test("a task without its head, a text without a tokenizer, options out of range", async () => {
    const model = open("bare");
    await expect(classifySequence(model, ["a"])).rejects.toThrow(
      "bare: expected a model with a head for classes of texts, got one with pooled only",
    );
    await expect(isNextSentence(model, [["a", "b"]])).rejects.toThrow("a head for next sentences");
    await expect(fillMask(open("masked-lm"), ["a"])).rejects.toThrow(
      "expected a model with a tokenizer, got one without",
    );
    await expect(embed(model, ["a"])).rejects.toThrow(
      "Put its tokenizer.json beside the weights, or give token ids.",
    );
    await expect(embed(model, [], { dimensions: 9 })).rejects.toThrow(
      "dimensions: expected an integer in [1, 8], got 9",
    );
    await expect(embed(model, [], { pooling: "sum" as "max" })).rejects.toThrow(
      "pooling: expected one of cls, mean",
    );
    await expect(classifySequence(open("regression"), [], { topK: 0 })).rejects.toThrow(
      "topK: expected an integer ≥ 1",
    );
    expect(() => new EncoderModel(model.loaded, { batchTokens: 0 })).toThrow(
      "batchTokens: expected an integer ≥ 1",
    );
  });

  test("a signal ends the work between batches", async () => {
    const stop = AbortSignal.abort(new Error("enough"));
    await expect(embed(open("bare"), [{ ids: [1] }], { signal: stop })).rejects.toThrow("enough");
  });
});
