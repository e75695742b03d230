import { expect, test } from "vitest";
import { type HostTensor, hostTensor } from "../core/dtype.ts";
import { input, parameter } from "../tensor/tensor.ts";
import { Engine } from "./engine.ts";

const engine = new Engine();

function floats(shape: readonly number[], ...values: number[]): HostTensor {
  return hostTensor("float32", shape, Float32Array.from(values));
}

test("constants of a program are not inputs, and count like inputs", () => {
  const x = input("x", "float32", ["rows", 2]);
  const y = x.linear(parameter("weight", [2, 3]), parameter("bias", [3]), false);
  const constants = new Map([
    ["weight", floats([2, 3], 1, 2, 3, 4, 5, 6)],
    ["bias", floats([3], 10, 20, 30)],
    ["of another graph", floats([1], 0)],
  ]);
  const program = engine.compile("constants", { y }, { constants });
  expect([...program.inputs.keys()]).toEqual(["x"]);
  const one = program.runSync({ x: floats([1, 2], 1, 10) });
  expect(Array.from(one.y!.data, Number)).toEqual([51, 72, 93]);
  const two = program.runSync({ x: floats([2, 2], 1, 0, 0, 1) });
  expect(Array.from(two.y!.data, Number)).toEqual([11, 22, 33, 14, 25, 36]);
  program.dispose();
});

test("several programs share the memory of one constant", () => {
  // Large enough that the runtime would lay it out anew for a matrix product; a lookup reads it where it lies.
  const [rows, width] = [512, 64];
  const data = Float32Array.from({ length: rows * width }, (_, i) => i % 7);
  const constants = new Map([["table", hostTensor("float32", [rows, width], data)]]);
  const table = parameter("table", [rows, width]);
  const lookup = engine.compile(
    "lookup",
    { y: table.gatherRows(input("ids", "int32", ["n"])) },
    { constants },
  );
  const x = input("x", "float32", [1, width]);
  const product = engine.compile("product", { y: x.matmul(table, { transposeB: true }) }, { constants });
  const row = lookup.runSync({ ids: hostTensor("int32", [1], Int32Array.of(3)) }).y!;
  expect(Array.from(row.data, Number)).toEqual(Array.from(data.subarray(3 * width, 4 * width)));
  const scores = product.runSync({ x: hostTensor("float32", [1, width], new Float32Array(width).fill(1)) })
    .y!;
  const sums = Array.from({ length: rows }, (_, r) =>
    data.subarray(r * width, (r + 1) * width).reduce((a, b) => a + b, 0),
  );
  expect(Array.from(scores.data, Number)).toEqual(sums);
  lookup.dispose();
  product.dispose();
});

test("a constant of the wrong shape is refused by name", () => {
  const y = input("x", "float32", [2]).add(parameter("bias", [2]));
  const constants = new Map([["bias", floats([3], 1, 2, 3)]]);
  expect(() => engine.compile("wrong", { y }, { constants })).toThrow(
    "program wrong, tensor bias: expected float32 [2], got float32 [3] over 3 elements.",
  );
});
