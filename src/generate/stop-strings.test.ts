import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StopStrings } from "./stop-strings.ts";

function run(stops: readonly string[], pieces: readonly string[]) {
  const filter = new StopStrings(stops);
  const passed = pieces.map((piece) => filter.push(piece));
  return { passed, flushed: filter.flush(), isStopped: filter.isStopped };
}

describe("stop strings", () => {
  test("within a piece", () => {
    expect(run(["END"], ["one END two"])).toEqual({ passed: ["one "], flushed: "", isStopped: true });
  });

  test("across pieces: what could begin one is held back", () => {
    expect(run(["END"], ["a E", "N", "D b"])).toEqual({
      passed: ["a ", "", ""],
      flushed: "",
      isStopped: true,
    });
  });

  test("held back text comes out when it turns out otherwise", () => {
    expect(run(["END"], ["a EN", "d"])).toEqual({ passed: ["a ", "ENd"], flushed: "", isStopped: false });
    expect(run(["END"], ["a EN"])).toEqual({ passed: ["a "], flushed: "EN", isStopped: false });
  });

  test("a false beginning may hide a true one", () => {
    expect(run(["aab"], ["aa", "ab"])).toEqual({ passed: ["", "a"], flushed: "", isStopped: true });
  });

  test("of several, the one complete first counts, the longer one when they end together", () => {
    expect(run(["abcdef", "cd"], ["abcdef"]).passed).toEqual(["ab"]);
    expect(run(["d", "bcd"], ["abcd"]).passed).toEqual(["a"]);
  });

  test("nothing passes after a stop, and nothing is held without stops", () => {
    expect(run(["x"], ["ax", "b"]).passed).toEqual(["a", ""]);
    expect(run([], ["a", "b"])).toEqual({ passed: ["a", "b"], flushed: "", isStopped: false });
  });

  test("how the text is cut into pieces makes no difference", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 12 });
    const stops = fc.array(
      letters.filter(({ length }) => length > 0 && length < 5),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(stops, fc.array(letters, { maxLength: 6 }), (stops, pieces) => {
        const whole = pieces.join("");
        const ends = [...Array(whole.length + 1).keys()];
        const end = ends.find((at) => stops.some((stop) => whole.slice(0, at).endsWith(stop)));
        const before = stops
          .filter((stop) => end !== undefined && whole.slice(0, end).endsWith(stop))
          .reduce((longest, { length }) => Math.max(longest, length), 0);
        const { passed, flushed, isStopped } = run(stops, pieces);
        expect(isStopped).toBe(end !== undefined);
        expect(passed.join("") + flushed).toBe(end === undefined ? whole : whole.slice(0, end - before));
      }),
      { seed: 3, numRuns: 2000 },
    );
  });
});
