import { describe, expect, test } from "vitest";
import { Random } from "../core/random.ts";
import { fillByCounts, type Gap } from "./neighbour-counts.ts";

const V = 6;

/** The rule in so many words: most neighbours first, equal numbers of them added up, ties to the first seen. */
function fillByDefinition(gap: Gap, text: readonly number[]): Map<number, number> {
  for (let total = gap.left.length + gap.right.length; total >= 0; total--) {
    const votes = new Map<number, number>();
    for (let l = 0; l <= Math.min(total, gap.left.length); l++) {
      const r = total - l;
      if (r > gap.right.length) continue;
      text.forEach((token, at) => {
        const left = gap.left.slice(0, l).every((id, i) => text[at - 1 - i] === id);
        const right = gap.right.slice(0, r).every((id, i) => text[at + 1 + i] === id);
        if (left && right) votes.set(token, (votes.get(token) ?? 0) + 1);
      });
    }
    if (votes.size > 0) return votes;
  }
  return new Map();
}

describe("fillByCounts", () => {
  test("counts by hand", () => {
    // 1 _ 2 was 3 twice and 4 once; 5 _ was 0.
    const text = Int32Array.from([1, 3, 2, 1, 3, 2, 1, 4, 2, 5, 0]);
    const gap = (left: number[], right: number[], token: number): Gap => ({ left, right, token });
    const right = (...gaps: Gap[]) => fillByCounts(gaps, [text], V);
    expect(right(gap([1], [2], 3)).right).toBe(1);
    expect(right(gap([1], [2], 4)).right).toBe(0);
    // Never seen so far to the left, so the longest part that was decides.
    expect(right(gap([1, 5, 5], [2], 3)).right).toBe(1);
    // After 5 only 0, once; before 1 twice 2: together 2.
    expect(right(gap([5], [1], 2)).right).toBe(1);
    // Nothing visible: the most common token. 1 and 2 are seen three times.
    expect(right(gap([], [], 1), gap([], [], 2))).toEqual({ right: 1, mostCommonRight: 1 });
  });

  test("agrees with the definition on random text", () => {
    const random = new Random(4);
    const draw = (n: number) => Array.from({ length: n }, () => random.integer(V));
    const text = draw(300);
    for (let i = 0; i < 200; i++) {
      const [left, right] = [draw(random.integer(4)), draw(random.integer(4))];
      const votes = fillByDefinition({ left, right, token: 0 }, text);
      const most = Math.max(...votes.values());
      const winners = [...votes].filter(([, count]) => count === most).map(([token]) => token);
      const guessed = Array.from(
        { length: V },
        (_, token) => fillByCounts([{ left, right, token }], [Int32Array.from(text)], V).right,
      );
      expect(guessed.reduce((sum, one) => sum + one, 0)).toBe(1);
      expect(winners).toContain(guessed.indexOf(1));
    }
  });

  test("a text in pieces is not joined", () => {
    const gap = { left: [1], right: [2], token: 3 };
    expect(fillByCounts([gap], [Int32Array.of(1, 3), Int32Array.of(2, 5, 5)], V).right).toBe(1);
    const other = { left: [3, 1], right: [2, 5], token: 3 };
    expect(fillByCounts([other], [Int32Array.of(3, 1, 5), Int32Array.of(2, 5, 3)], V).right).toBe(0);
  });
});
