import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Random } from "../core/random.ts";
import { trainNgram } from "./ngram.ts";

describe("against figures worked by hand", () => {
  // a b a b a: unigrams a 3, b 2 (n 5, k 2); after a: b twice (n 2, k 1); after b: a twice (n 2, k 1).
  const model = trainNgram([0, 1, 0, 1, 0], { order: 2, vocabularySize: 4 });

  test.each([
    { context: [], id: 0, probability: (3 + 2 / 4) / 7 },
    { context: [], id: 3, probability: 2 / 4 / 7 },
    { context: [0], id: 1, probability: (2 + (2 + 2 / 4) / 7) / 3 },
    { context: [1], id: 1, probability: (2 + 2 / 4) / 7 / 3 },
    { context: [3], id: 0, probability: (3 + 2 / 4) / 7 }, // unseen context: the shorter one alone
    { context: [1, 3, 0], id: 1, probability: (2 + (2 + 2 / 4) / 7) / 3 }, // only order − 1 symbols count
  ])("P($id | $context)", ({ context, id, probability }) => {
    expect(Math.exp(model.logProbability(context, id))).toBeCloseTo(probability, 12);
  });

  test("counts distinct n-grams of all orders", () => {
    expect(model.numNgrams).toBe(4); // a, b, ab, ba
  });
});

describe("over a random text", () => {
  const random = new Random(3);
  const ids = Uint32Array.from({ length: 5000 }, () => random.integer(5) * random.integer(4));
  const model = trainNgram(ids, { order: 4, vocabularySize: 16 });

  test("probabilities after any context sum to 1", () => {
    const unseen = [15, 14, 13];
    const contexts = [[], unseen, [0], ...Array.from({ length: 200 }, (_, i) => ids.slice(i, i + 3))];
    contexts.push(ids.slice(-3)); // the end of the training text may have no follower
    for (const context of contexts) {
      let sum = 0;
      for (let id = 0; id < 16; id++) sum += Math.exp(model.logProbability(context, id));
      expect(sum).toBeCloseTo(1, 12);
    }
  });

  test("agrees with counting substrings naively", () => {
    const naive = (context: number[], id: number): number => {
      if (context.length > 3) return naive(context.slice(-3), id);
      let [count, total] = [0, 0];
      const kinds = new Set<number>();
      for (let i = context.length; i < ids.length; i++) {
        if (!context.every((symbol, k) => ids[i - context.length + k] === symbol)) continue;
        total++;
        kinds.add(ids[i]!);
        if (ids[i] === id) count++;
      }
      const shorter = context.length === 0 ? 1 / 16 : naive(context.slice(1), id);
      return total === 0 ? shorter : (count + kinds.size * shorter) / (total + kinds.size);
    };
    for (let i = 0; i < 60; i++) {
      const context = Array.from({ length: i % 5 }, () => random.integer(16));
      const seen = i % 2 ? context : [...ids.slice(i, i + (i % 5))];
      expect(Math.exp(model.logProbability(seen, i % 16))).toBeCloseTo(naive(seen, i % 16), 12);
    }
  });

  test("scoring a text equals summing its symbols", () => {
    const text = Uint32Array.from({ length: 400 }, () => random.integer(16));
    let nats = 0;
    for (let i = 0; i < text.length; i++) nats -= model.logProbability(text.subarray(0, i), text[i]!);
    expect(model.totalNats(text)).toBeCloseTo(nats, 8);
    expect(model.bitsPerSymbol(text)).toBeCloseTo(nats / Math.LN2 / 400, 10);
    const head = text.subarray(0, 100);
    expect(model.totalNats(text, 100)).toBeCloseTo(nats - model.totalNats(head), 8);
  });
});

test.each([
  {
    name: "an order of 0",
    ids: [0],
    order: 0,
    vocabularySize: 1,
    message: "order: expected an integer ≥ 1, got 0",
  },
  { name: "an empty text", ids: [], order: 2, vocabularySize: 1, message: "at least one symbol, got none" },
  { name: "an id outside", ids: [0, 7], order: 2, vocabularySize: 7, message: "ids in [0, 7), got 7" },
])("refuses $name", ({ ids, order, vocabularySize, message }) => {
  expect(() => trainNgram(ids, { order, vocabularySize })).toThrow(message);
});

test("refuses to score an id outside the vocabulary, or nothing", () => {
  const model = trainNgram([0, 1], { order: 1, vocabularySize: 2 });
  expect(() => model.logProbability([], 2)).toThrow("ids in [0, 2), got 2");
  expect(() => model.bitsPerSymbol([0, -1])).toThrow("ids in [0, 2), got -1");
  expect(() => model.bitsPerSymbol([])).toThrow("at least one symbol");
});

const shakespeare = new URL("../../../shared/data/tinyshakespeare/input.txt", import.meta.url);

describe.skipIf(!existsSync(shakespeare))("tinyshakespeare (skipped if ../shared/data is absent)", () => {
  // Bits per character measured by others: shared/specs/systems.md §2.4, first 90 % → last 10 %.
  test.each([
    { order: 1, bits: 4.829 },
    { order: 2, bits: 3.586 },
    { order: 3, bits: 2.956 },
    { order: 4, bits: 2.559 },
    { order: 5, bits: 2.408 },
    { order: 6, bits: 2.45 },
  ])("order $order reaches $bits bits a character", ({ order, bits }) => {
    const characters = Uint8Array.from(readFileSync(shakespeare)); // all ASCII
    const known = [...new Set(characters)].sort((a, b) => a - b);
    const ids = characters.map((character) => known.indexOf(character));
    const cut = Math.floor(0.9 * ids.length);
    const model = trainNgram(ids.subarray(0, cut), { order, vocabularySize: known.length });
    const got = model.bitsPerSymbol(ids.subarray(cut));
    expect(Math.abs(got - bits)).toBeLessThan(0.001);
  });
});
