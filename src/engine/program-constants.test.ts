import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HostTensor, hostTensor } from "../core/dtype.ts";
import type { FileTensor } from "../core/weights.ts";
import { input, parameter } from "../tensor/tensor.ts";
import { Engine } from "./engine.ts";
import { readStored, weightFile } from "./stored-tensor.ts";

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
    "program wrong, tensor bias: expected float32 [2], got float32 [3].",
  );
});

describe("constants in files", () => {
  const [rows, width] = [2048, 128]; // 1 MiB: enough to be seen in the process's map
  const values = Float32Array.from({ length: rows * width }, (_, i) => (i % 13) - 6);
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "plinth-mapped-"));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  /** A table behind 12 other bytes, as in no safetensors file, but as any offset may come. */
  function tableIn(name: string): FileTensor {
    const path = join(directory, name);
    writeFileSync(path, Buffer.concat([Buffer.alloc(12), Buffer.from(values.buffer)]));
    return { dtype: "float32", shape: [rows, width], file: weightFile(path), byteOffset: 12 };
  }

  function lookup(table: FileTensor) {
    const y = parameter("table", [rows, width]).gatherRows(input("ids", "int32", ["n"]));
    return engine.compile("lookup", { y }, { constants: new Map([["table", table]]) });
  }

  const ids = hostTensor("int32", [2], Int32Array.of(2047, 3));
  const expected = [...values.subarray(2047 * width), ...values.subarray(3 * width, 4 * width)];

  test("are mapped where they lie, and let go of with the program", () => {
    const table = tableIn("table.bin");
    const isMapped = () => readFileSync("/proc/self/maps", "utf8").includes(table.file.path);
    const program = lookup(table);
    expect(Array.from(program.runSync({ ids }).y!.data, Number)).toEqual(expected);
    if (process.platform === "linux") expect(isMapped()).toBe(true);
    program.dispose();
    if (process.platform === "linux") expect(isMapped()).toBe(false);
  });

  test("of several folders are read where they cannot be mapped", () => {
    const near = tableIn("near.bin");
    mkdirSync(join(directory, "elsewhere"));
    const far = tableIn("elsewhere/far.bin");
    const indices = input("ids", "int32", ["n"]);
    const rowsOf = (name: string) => parameter(name, [rows, width]).gatherRows(indices);
    const constants = new Map([
      ["near", near],
      ["far", far],
    ]);
    const program = engine.compile("both", { y: rowsOf("near").add(rowsOf("far")) }, { constants });
    expect(Array.from(program.runSync({ ids }).y!.data, Number)).toEqual(expected.map((value) => 2 * value));
    program.dispose();
  });

  test("in a file written since it was opened are refused", () => {
    const table = tableIn("changed.bin");
    writeFileSync(table.file.path, "shorter");
    const message = `${table.file.path}: expected the weight file as it was when the model was loaded, got one that was written since.`;
    expect(() => lookup(table)).toThrow(message);
    expect(() => readStored(table)).toThrow(message);
    rmSync(table.file.path);
    expect(() => lookup(table)).toThrow("got nothing there.");
  });

  test("of another shape than the parameter's are refused", () => {
    expect(() => lookup({ ...tableIn("wrong.bin"), shape: [width, rows] })).toThrow(
      `program lookup, tensor table: expected float32 [${rows}, ${width}], got float32 [${width}, ${rows}].`,
    );
  });
});
