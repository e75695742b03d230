import { expect, test } from "vitest";
import { bitsPerByte } from "./bits-per-byte.ts";

test("a uniform guess over 256 bytes costs 8 bits a byte", () => {
  expect(bitsPerByte(1000 * Math.log(256), 1000)).toBeCloseTo(8, 12);
});

test("the documented example", () => {
  expect(bitsPerByte(200, 400)).toBeCloseTo(0.72135, 5);
});

test.each([
  [Number.NaN, 1, "totalNats"],
  [-1, 1, "totalNats"],
  [1, 0, "totalBytes"],
  [1, Number.NaN, "totalBytes"],
])("refuses bitsPerByte(%d, %d)", (nats, bytes, where) => {
  expect(() => bitsPerByte(nats, bytes)).toThrow(new RegExp(`${where}: expected`));
});
