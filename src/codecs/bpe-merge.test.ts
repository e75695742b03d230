import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type MergeRule, MergeRules } from "./bpe-merge.ts";

/** The definition: join the leftmost pair of lowest rank, until there is none. */
function mergeNaively(rules: readonly MergeRule[], symbols: readonly number[]): number[] {
  const result = [...symbols];
  for (;;) {
    const at = rules
      .map((rule) => result.findIndex((left, i) => left === rule.left && result[i + 1] === rule.right))
      .map((found, rank) => ({ found, rank }))
      .find(({ found }) => found >= 0);
    if (at === undefined) return result;
    result.splice(at.found, 2, rules[at.rank]!.result);
  }
}

const alphabetSize = 3;
/** Rules in any order, also ones that use the results of later rules, as a hostile file may have them. */
const anyRules = fc
  .uniqueArray(fc.tuple(fc.nat(8), fc.nat(8)), { maxLength: 8, selector: ([a, b]) => `${a},${b}` })
  .map((pairs) => pairs.map(([left, right], rank) => ({ left, right, result: alphabetSize + rank })));

describe("MergeRules", () => {
  it.each([
    { what: "short words (scan)", minLength: 0, maxLength: 20, numRuns: 1000 },
    { what: "long words (heap)", minLength: 49, maxLength: 120, numRuns: 200 },
  ])("merges $what by the definition", ({ minLength, maxLength, numRuns }) => {
    fc.assert(
      fc.property(anyRules, fc.array(fc.nat(2), { minLength, maxLength }), (rules, symbols) => {
        const merged = Int32Array.from(symbols);
        const length = new MergeRules(rules).apply(merged, merged.length);
        expect([...merged.subarray(0, length)]).toEqual(mergeNaively(rules, symbols));
      }),
      { numRuns },
    );
  });

  it("merges only the symbols it is told about", () => {
    const symbols = Int32Array.of(0, 0, 0, 0);
    expect(new MergeRules([{ left: 0, right: 0, result: 1 }]).apply(symbols, 3)).toBe(2);
    expect([...symbols.subarray(0, 2)]).toEqual([1, 0]);
    expect(symbols[3]).toBe(0);
  });
});
