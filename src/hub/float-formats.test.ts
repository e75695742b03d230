import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { float16ToFloat32Bits, widenToFloat32 } from "./float-formats.ts";

const ALL = Uint16Array.from({ length: 65_536 }, (_, i) => i);

/** The value by the definition in IEEE 754 §3.4, in float64 arithmetic that is exact for these formats. */
function define(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1)
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

test.each([
  ["F16", 5, 10],
  ["BF16", 8, 7],
] as const)("%s widens exactly, for all 65,536 values", (dtype, exponentBits, fractionBits) => {
  const widened = new Float32Array(65_536);
  widenToFloat32(dtype, ALL.buffer, widened);
  const wrong = [...ALL].filter(
    (bits) => !Object.is(widened[bits], define(bits, exponentBits, fractionBits)),
  );
  expect(wrong).toEqual([]);
});

test("NaN keeps sign and payload", () => {
  const widened = new Float32Array(65_536);
  widenToFloat32("BF16", ALL.buffer, widened);
  const bits = new Uint32Array(widened.buffer);
  expect(bits[0x7f81]).toBe(0x7f810000);
  expect(bits[0xffc3]).toBe(0xffc30000);
  expect(float16ToFloat32Bits(0x7c01)).toBe(0x7f802000);
  expect(float16ToFloat32Bits(0xfe05)).toBe(0xffc0a000);
});

test("the documented example, the extremes and the subnormals", () => {
  expect(float16ToFloat32Bits(0x3c00).toString(16)).toBe("3f800000");
  const widened = new Float32Array(4);
  widenToFloat32("F16", Uint16Array.of(0x7bff, 0x0001, 0x03ff, 0x8000).buffer, widened);
  expect([...widened]).toEqual([65504, 2 ** -24, 1023 * 2 ** -24, -0]);
});

test("F64 rounds to nearest, ties to even", () => {
  const source = Float64Array.of(0.1, 1 + 2 ** -24, 1 + 3 * 2 ** -24, 1e300, -1e-300, Number.NaN);
  const widened = new Float32Array(6);
  widenToFloat32("F64", source.buffer, widened);
  const expected = [0.10000000149011612, 1, 1 + 2 ** -22, Number.POSITIVE_INFINITY, -0, Number.NaN];
  expect([...widened]).toEqual(expected);
});

describe("8-bit floats", () => {
  const path = new URL("../../test/fixtures/hub/float8.json", import.meta.url);
  const golden = JSON.parse(readFileSync(path, "utf8")) as Readonly<Record<"F8_E4M3" | "F8_E5M2", string>>;

  test.each(["F8_E4M3", "F8_E5M2"] as const)("every byte of %s is what PyTorch makes of it", (dtype) => {
    const raw = new Uint8Array(Buffer.from(golden[dtype], "base64"));
    const expected = new Float32Array(raw.buffer);
    const found = new Float32Array(256);
    widenToFloat32(dtype, Uint8Array.from({ length: 256 }, (_, byte) => byte).buffer, found);
    expect(found).toEqual(expected); // NaN equals NaN, and -0 is not 0
  });
});
