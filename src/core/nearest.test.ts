import { expect, test } from "vitest";
import { nearest, suggest } from "./nearest.ts";

test.each([
  ["learningrate", ["learningRate", "width"], "learningRate"],
  ["lerningRate", ["learningRate", "width"], "learningRate"],
  ["widht", ["learningRate", "width"], "width"],
  ["num_heads", ["numHeads", "numLayers"], "numHeads"],
  ["zzzz", ["learningRate", "width"], undefined],
  ["ab", ["xb", "xy"], "xb"],
  ["x", [], undefined],
  ["", ["width"], undefined],
])("nearest to %j in %j is %j", (word, candidates, expected) => {
  expect(nearest(word, candidates)).toBe(expected);
});

test("of two as near, the first", () => {
  expect(nearest("cat", ["bat", "hat"])).toBe("bat");
});

test("suggests the nearest name, or lists the known ones", () => {
  expect(suggest("wdith", ["width", "depth"])).toBe('Did you mean "width"?');
  expect(suggest("zzz", new Set(["width", "depth"]))).toBe("Known: width, depth.");
});
