import { expect, test } from "vitest";
import { Random } from "../core/random.ts";
import { ShuffledIndices } from "./shuffled-indices.ts";

test.each([1, 2, 3, 4, 5, 16, 17, 1000, 4097, 70_000])("is a permutation of %d", (length) => {
  const order = new ShuffledIndices(length, new Random(length));
  const seen = new Uint8Array(length);
  for (let place = 0; place < length; place++) seen[order.at(place)]!++;
  expect(seen.every((count) => count === 1)).toBe(true);
});

test("stays inside a length beyond 32 bits", () => {
  const length = 2 ** 40 + 12_345;
  const order = new ShuffledIndices(length, new Random(1));
  const seen = new Set(Array.from({ length: 1000 }, (_, place) => order.at(place)));
  expect(seen.size).toBe(1000);
  expect(Math.max(...seen)).toBeLessThan(length);
  expect(Math.max(...seen)).toBeGreaterThan(0.98 * length);
});

test.each([5, 8, 12])("over seeds, each of %d indices is as likely at each place", (length) => {
  const numSeeds = 20_000;
  const counts = new Float64Array(length * length);
  for (let seed = 0; seed < numSeeds; seed++) {
    const order = new ShuffledIndices(length, new Random(seed));
    for (let place = 0; place < length; place++) counts[place * length + order.at(place)]!++;
  }
  const expected = numSeeds / length;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // (length − 1)² degrees of freedom; mean + 5 standard deviations.
  const freedom = (length - 1) ** 2;
  expect(chiSquare).toBeLessThan(freedom + 5 * Math.sqrt(2 * freedom));
});

test("neighbouring places are unrelated", () => {
  const length = 50_000;
  const order = new ShuffledIndices(length, new Random(9));
  let sum = 0;
  for (let place = 1; place < length; place++) {
    sum += (order.at(place) / length - 0.5) * (order.at(place - 1) / length - 0.5);
  }
  const correlation = (sum / length) * 12;
  expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(length));
});
