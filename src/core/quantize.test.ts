import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { dequantize } from "./dequantize.ts";
import { hostTensor } from "./dtype.ts";
import { ShapeError } from "./errors.ts";
import { quantize } from "./quantize.ts";
import type { QuantizationScheme } from "./weights.ts";

// test/fixtures/quantization/golden.json: tools/golden/quantization.py. int4 and int8 by numpy, nf4 by bitsandbytes.

interface Case {
  readonly scheme: QuantizationScheme;
  readonly blockSize: number;
  readonly zeroPoints: boolean;
  readonly zeros?: string;
  readonly values: string;
  readonly scales: string;
  readonly dequantized: string;
}

const golden: { shape: [number, number]; matrix: string; cases: Case[] } = JSON.parse(
  readFileSync(new URL("../../test/fixtures/quantization/golden.json", import.meta.url), "utf8"),
);

function bytes(base64: string): Uint8Array {
  return Uint8Array.from(Buffer.from(base64, "base64"));
}

function floats(base64: string): Float32Array {
  return new Float32Array(bytes(base64).buffer);
}

const [rows, rowSize] = golden.shape;
const numbers = floats(golden.matrix);
const matrix = hostTensor("float32", golden.shape, numbers);

describe("against numpy and bitsandbytes, to the bit", () => {
  test.each(golden.cases)("$scheme, blocks of $blockSize, zero points $zeroPoints", (expected) => {
    const actual = quantize(matrix, 1, expected, "x");
    expect(actual.values.data).toEqual(bytes(expected.values));
    expect(actual.scales.data).toEqual(floats(expected.scales));
    expect(actual.zeroPoints?.data).toEqual(expected.zeros === undefined ? undefined : bytes(expected.zeros));
    const back = dequantize(actual);
    expect(back.shape).toEqual(golden.shape);
    expect(back.data).toEqual(floats(expected.dequantized));
    let error = 0;
    back.data.forEach((value, i) => {
      error += (Number(value) - numbers[i]!) ** 2;
    });
    expect(actual.squaredError / error).toBeCloseTo(1, 5);
  });
});

test("a matrix published as (in, out) is coded as its transpose", () => {
  const turned = new Float32Array(numbers.length);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < rowSize; i++) turned[i * rows + row] = numbers[row * rowSize + i]!;
  }
  const format = { scheme: "int4", blockSize: 32 } as const;
  const plain = quantize(matrix, 1, format, "x");
  const other = quantize(hostTensor("float32", [rowSize, rows], turned), 0, format, "x");
  expect(other.values).toEqual(plain.values);
  expect(other.scales).toEqual(plain.scales);
  const back = dequantize(other);
  expect(back.shape).toEqual([rowSize, rows]);
  const straight = dequantize(plain).data;
  expect(back.data[5 * rows + 2]).toBe(straight[2 * rowSize + 5]);
});

describe("bad input", () => {
  const format = { scheme: "int4", blockSize: 32 } as const;
  test.each([
    ["a block size that does not divide", matrix, { ...format, blockSize: 96 }],
    ["a block size below 16", matrix, { ...format, blockSize: 8 }],
    ["a fraction", matrix, { ...format, blockSize: 0.5 }],
    ["a vector", hostTensor("float32", [1280], numbers), format],
    ["integers", hostTensor("int32", [1, 32], new Int32Array(32)), format],
    ["zero points for nf4", matrix, { scheme: "nf4", blockSize: 64, zeroPoints: true }],
  ] as const)("%s", (_, tensor, of) => {
    expect(() => quantize(tensor, 1, of, "model.safetensors, tensor w")).toThrow(ShapeError);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("%f in it", (wrong) => {
    for (const scheme of ["int4", "int8", "nf4"] as const) {
      const damaged = hostTensor("float32", [1, 64], new Float32Array(64).fill(1));
      damaged.data[40] = wrong;
      expect(() => quantize(damaged, 1, { scheme, blockSize: 32 }, "tensor w")).toThrow(
        "tensor w: expected finite numbers, got NaN or infinity among them.",
      );
    }
  });
});
