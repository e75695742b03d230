import { describe, expect, test } from "vitest";
import { Random } from "../core/random.ts";
import { chooseMasked, disguise, type MaskingRules, type MaskingVocabulary, numChosen } from "./masking.ts";

const specialIds = new Set([0, 1, 2, 3, 4]);
const vocabulary: MaskingVocabulary = { size: 30, padId: 0, clsId: 2, sepId: 3, maskId: 4, specialIds };
const rules: MaskingRules = { vocabulary, fraction: 0.15 };

/** `[CLS] … [SEP] … [SEP]` with n ordinary tokens. */
function sequence(n: number): Int32Array {
  const text = Array.from({ length: n }, (_, i) => 5 + (i % 25));
  return Int32Array.from([2, ...text.slice(0, n >> 1), 3, ...text.slice(n >> 1), 3]);
}

describe("chooseMasked", () => {
  test.each([
    [0, 0],
    [1, 1],
    [3, 1],
    [9, 1],
    [10, 2], // 1.5 rounds up
    [100, 15],
    [126, 19],
  ])("of %i tokens %i are chosen, never a special one", (n, wanted) => {
    expect(numChosen(n, 0.15)).toBe(wanted);
    const tokens = sequence(n);
    const chosen = chooseMasked(tokens, rules, new Random(n));
    expect(chosen.length).toBe(wanted);
    expect([...chosen].sort((a, b) => a - b)).toEqual(chosen);
    expect(new Set(chosen).size).toBe(wanted);
    expect(chosen.filter((at) => specialIds.has(tokens[at]!))).toEqual([]);
  });

  test("every place is as likely: 4000 draws of 3 of 20", () => {
    const tokens = sequence(20);
    const hits = new Map<number, number>();
    const random = new Random(5);
    for (let i = 0; i < 4000; i++) {
      for (const at of chooseMasked(tokens, rules, random)) hits.set(at, (hits.get(at) ?? 0) + 1);
    }
    // 12,000 hits on 20 places: 600 each, standard deviation √(4000 · 0.15 · 0.85) = 22.6.
    expect(hits.size).toBe(20);
    for (const count of hits.values()) expect(Math.abs(count - 600)).toBeLessThan(5 * 22.6);
  });

  test("the same generator, the same choice; it is all the chance there is", () => {
    const tokens = sequence(50);
    const choose = (seed: number) => chooseMasked(tokens, rules, new Random(seed));
    expect(choose(1)).toEqual(choose(1));
    expect(choose(1)).not.toEqual(choose(2));
  });

  test("whole words: all pieces of a word or none, and never more than the share", () => {
    // Even ids from 6 on continue the word of the token before.
    const continuesWord = (_: number, id: number) => id % 2 === 0;
    const tokens = Int32Array.from([2, 5, 6, 8, 7, 9, 10, 11, 13, 14, 16, 18, 15, 17, 19, 20, 3]);
    const words = [[1, 2, 3], [4], [5, 6], [7], [8, 9, 10, 11], [12], [13], [14, 15]];
    const random = new Random(9);
    const seen = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const chosen = chooseMasked(tokens, { vocabulary, fraction: 0.3, continuesWord }, random);
      expect(chosen.length).toBeLessThanOrEqual(Math.round(0.3 * 15));
      for (const word of words) {
        const hidden = word.filter((at) => chosen.includes(at)).length;
        expect([0, word.length]).toContain(hidden);
        if (hidden > 0) seen.add(word.join());
      }
    }
    expect(seen.size).toBe(words.length);
  });

  test("a special token ends a word", () => {
    const continuesWord = () => true;
    const tokens = Int32Array.from([2, 5, 5, 3, 5, 5, 3]);
    const chosen = chooseMasked(tokens, { vocabulary, fraction: 0.5, continuesWord }, new Random(1));
    expect([
      [1, 2],
      [4, 5],
    ]).toContainEqual(chosen);
  });
});

test("disguise: 8 of 10 hidden, 1 kept, 1 replaced by an ordinary token, uniformly", () => {
  const n = 60_000;
  const tokens = new Int32Array(n).fill(17);
  disguise(
    tokens,
    Array.from({ length: n }, (_, at) => at),
    vocabulary,
    new Random(3),
  );
  const counts = new Int32Array(30);
  for (const id of tokens) counts[id]!++;
  const near = (count: number, share: number) => {
    const deviation = Math.sqrt(n * share * (1 - share));
    expect(Math.abs(count - n * share), `${count} of ${n}`).toBeLessThan(4.5 * deviation);
  };
  near(counts[4]!, 0.8);
  near(counts[17]!, 0.1 + 0.1 / 25);
  for (let id = 5; id < 30; id++) if (id !== 17) near(counts[id]!, 0.1 / 25);
  expect([0, 1, 2, 3].map((id) => counts[id])).toEqual([0, 0, 0, 0]);
});
