import { expect, test } from "vitest";
import { hostTensor } from "../core/dtype.ts";
import { ndArray } from "../tensor/nd-array.ts";
import { constant, input, parameter } from "../tensor/tensor.ts";
import { interpret, toNdArray } from "./interpreter.ts";

test("computes in doubles what float32 could not hold apart", () => {
  const x = input("x", "float64", []);
  const tiny = 2 ** -40;
  expect(interpret([x.add(1).sub(1)], { x: ndArray([], () => tiny) })[0]!.data[0]).toBe(tiny);
});

test("takes inputs and parameters by name, constants as they are, and any tensor of the graph as a result", () => {
  const [x, w] = [input("x", "float32", [2]), parameter("h.0.weight", [2])];
  const product = x.mul(w);
  const shifted = product.add(constant(hostTensor("float32", [2], Float32Array.of(10, 20))));
  const feeds = { x: ndArray([2], (i) => i + 1), "h.0.weight": ndArray([2], () => 3) };
  const results = interpret([shifted, product, x], feeds);
  expect(results.map(({ data }) => [...data])).toEqual([
    [13, 26],
    [3, 6],
    [1, 2],
  ]);
});

test("asks for values that are missing, and only for those it needs", () => {
  const [x, y] = [input("x", "float32", []), input("y", "float32", [])];
  expect(() => interpret([x.add(y)], { x: ndArray([]) })).toThrow(
    'interpret: expected a value for "y", got none.',
  );
  expect(interpret([x.add(1)], { x: ndArray([]) })[0]!.data[0]).toBe(1);
});

test("widens every storage", () => {
  expect([...toNdArray(hostTensor("int64", [2], BigInt64Array.of(-5n, 7n))).data]).toEqual([-5, 7]);
  expect([...toNdArray(hostTensor("bool", [2], Uint8Array.of(0, 1))).data]).toEqual([0, 1]);
  expect(toNdArray(hostTensor("float32", [1], Float32Array.of(0.1))).data[0]).toBe(Math.fround(0.1));
});
