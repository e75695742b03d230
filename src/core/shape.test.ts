import { describe, expect, test } from "vitest";
import { ShapeError } from "./errors.ts";
import { broadcastShapes, expectShape, normalizeAxis, sameShape, showShape, staticShape } from "./shape.ts";

describe("broadcasting, as NumPy documents it", () => {
  // https://numpy.org/doc/stable/user/basics.broadcasting.html
  test.each([
    [[256, 256, 3], [3], [256, 256, 3]],
    [
      [8, 1, 6, 1],
      [7, 1, 5],
      [8, 7, 6, 5],
    ],
    [[5, 4], [1], [5, 4]],
    [
      [15, 3, 5],
      [15, 1, 5],
      [15, 3, 5],
    ],
    [
      [15, 3, 5],
      [3, 1],
      [15, 3, 5],
    ],
    [[], [2], [2]],
    [[], [], []],
    [
      [0, 3],
      [1, 3],
      [0, 3],
    ],
    [
      ["batch", 1],
      ["batch", 4],
      ["batch", 4],
    ],
    [["batch", 4], [4], ["batch", 4]],
    [[1], ["tokens"], ["tokens"]],
  ])("%j with %j is %j, either way round", (a, b, joint) => {
    expect(broadcastShapes(a, b, "add")).toEqual(joint);
    expect(broadcastShapes(b, a, "add")).toEqual(joint);
  });

  test.each([
    [[3], [4]],
    [
      [2, 1],
      [8, 4, 3],
    ],
    [["batch"], ["tokens"]],
    [["batch"], [2]],
    [[0], [2]],
  ])("%j with %j is refused", (a, b) => {
    expect(() => broadcastShapes(a, b, "add")).toThrow(ShapeError);
    expect(() => broadcastShapes(a, b, "add")).toThrow(`got ${showShape(a)} and ${showShape(b)}.`);
  });
});

test("axes count from either end", () => {
  expect([0, 2, -1, -3].map((axis) => normalizeAxis(axis, 3, "sum"))).toEqual([0, 2, 2, 0]);
  for (const axis of [3, -4, 0.5, Number.NaN]) {
    expect(() => normalizeAxis(axis, 3, "sum")).toThrow(`sum: expected an axis in [-3, 3), got ${axis}.`);
  }
});

test("static shapes pass as numbers; names are refused", () => {
  expect(staticShape([2, 3], "pool")).toEqual([2, 3]);
  expect(() => staticShape([2, "tokens"], "pool")).toThrow(
    "pool: expected sizes that are all known, got [2, tokens].",
  );
});

test("shapes are the same when rank and every dimension are", () => {
  expect(sameShape([2, "b"], [2, "b"])).toBe(true);
  expect(sameShape([2], [2, 1])).toBe(false);
  expect(sameShape([2, "b"], [2, "c"])).toBe(false);
});

test("a contract accepts any size where it has none, and named dimensions anywhere", () => {
  expectShape("layer", [2, 7, 4], [2, undefined, 4]);
  expectShape("layer", ["batch", "tokens", 4], [2, undefined, 4]);
  expect(() => expectShape("layer", [2, 7, 5], [undefined, undefined, 4])).toThrow(
    "layer: expected [any, any, 4], got [2, 7, 5].",
  );
  expect(() => expectShape("layer", [7, 4], [undefined, undefined, 4])).toThrow("got [7, 4].");
});
