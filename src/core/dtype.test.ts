import { expect, test } from "vitest";
import { allocate, BYTES_PER_ELEMENT, type DType, hostTensor, numElements, viewAs } from "./dtype.ts";

const DTYPES = Object.keys(BYTES_PER_ELEMENT) as DType[];

test.each(DTYPES)("%s storage has the size it says, is zero, and owns its buffer", (dtype) => {
  const data = allocate(dtype, 3);
  expect(data.length).toBe(3);
  expect(data.BYTES_PER_ELEMENT).toBe(BYTES_PER_ELEMENT[dtype]);
  expect(data.buffer.byteLength).toBe(3 * BYTES_PER_ELEMENT[dtype]);
  expect(Array.from(data, Number)).toEqual([0, 0, 0]);
});

test("a view shares the bytes it is made over", () => {
  const buffer = new ArrayBuffer(16);
  viewAs("float32", buffer, 4, 2).set([1, -2] as never);
  expect([...new Float32Array(buffer)]).toEqual([0, 1, -2, 0]);
  expect(viewAs("bool", buffer, 0, 16)).toBeInstanceOf(Uint8Array);
  expect(viewAs("float16", buffer, 0, 8)).toBeInstanceOf(Uint16Array);
  expect(() => viewAs("float32", buffer, 2, 2)).toThrow(RangeError);
});

test("a shape's elements are the product of its sizes; a scalar has one", () => {
  expect(numElements([2, 3, 4])).toBe(24);
  expect(numElements([])).toBe(1);
  expect(numElements([3, 0])).toBe(0);
});

test("data that does not fill the shape is refused", () => {
  expect(hostTensor("float32", [2, 2], new Float32Array(4)).shape).toEqual([2, 2]);
  expect(() => hostTensor("float32", [2, 2], new Float32Array(3))).toThrow(
    "hostTensor: expected 4 elements for shape [2,2], got 3.",
  );
});
