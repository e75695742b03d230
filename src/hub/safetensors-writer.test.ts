import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allocate, type DType, type HostTensor, numElements } from "../core/dtype.ts";
import { EnvironmentError, FormatError, ShapeError } from "../core/errors.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { writeSafetensors } from "./safetensors-writer.ts";

let directory = "";
let path = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-writer-"));
  path = join(directory, "x.safetensors");
});
afterAll(() => rmSync(directory, { recursive: true }));

const dtypes: readonly DType[] = ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"];

const tensors = fc.dictionary(
  fc.string({ unit: "grapheme", maxLength: 12 }).filter((name) => name !== "__metadata__"),
  fc.record({
    dtype: fc.constantFrom(...dtypes),
    shape: fc.array(fc.nat(3), { maxLength: 3 }),
    seed: fc.nat(255),
  }),
  { maxKeys: 8 },
);

function make(dtype: DType, shape: readonly number[], seed: number): HostTensor {
  const data = allocate(dtype, numElements(shape));
  new Uint8Array(data.buffer).forEach((_, i, bytes) => {
    bytes[i] = dtype === "bool" ? (seed + i) & 1 : (seed + 31 * i) & 255;
  });
  return { dtype, shape, data };
}

test("everything written reads back, whatever the order given, and the bytes depend on content alone", () => {
  fc.assert(
    fc.property(tensors, (specs) => {
      const named = Object.entries(specs).map(
        ([name, { dtype, shape, seed }]) => [name, make(dtype, shape, seed)] as const,
      );
      const digest = writeSafetensors(path, named, { b: "2", a: "1" });
      const bytes = readFileSync(path);
      expect(digest).toEqual({
        sizeBytes: bytes.length,
        sha256: createHash("sha256").update(bytes).digest("hex"),
      });
      const file = SafetensorsFile.open(path);
      expect(file.metadata).toEqual({ a: "1", b: "2" });
      expect(file.tensors.size).toBe(named.length);
      for (const [name, tensor] of named) {
        const { byteOffset } = file.entry(name);
        expect(byteOffset % tensor.data.BYTES_PER_ELEMENT).toBe(0);
        const read = file.read(name);
        expect([read.dtype, read.shape]).toEqual([tensor.dtype, tensor.shape]);
        expect(new Uint8Array(read.data.buffer)).toEqual(new Uint8Array(tensor.data.buffer));
      }
      file.close();
      expect(bytes.readBigUInt64LE() % 8n).toBe(0n);
      expect(writeSafetensors(path, named.toReversed(), { a: "1", b: "2" })).toEqual(digest);
    }),
    { numRuns: 100 },
  );
});

test("a view into a larger buffer is written as the view", () => {
  const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
  writeSafetensors(path, [["x", { dtype: "float32", shape: [2], data }]]);
  const file = SafetensorsFile.open(path);
  expect([...file.read("x").data]).toEqual([2, 3]);
  file.close();
});

test("data is asked for once, in turn: tensors may be produced while writing", () => {
  let live = 0;
  const lazy = (value: number): HostTensor => ({
    dtype: "uint8",
    shape: [1],
    get data() {
      live++;
      return Uint8Array.of(value);
    },
  });
  writeSafetensors(path, [
    ["a", lazy(7)],
    ["b", lazy(9)],
  ]);
  expect(live).toBe(2);
});

test("bad input is refused, and what was there stays", () => {
  const one: HostTensor = { dtype: "float32", shape: [1], data: Float32Array.of(5) };
  const kept = writeSafetensors(path, [["kept", one]]);
  const short: HostTensor = { dtype: "float32", shape: [2], data: Float32Array.of(5) };
  const odd: HostTensor = { dtype: "float32", shape: [0.25], data: Float32Array.of(5) };
  const write =
    (name: string, tensor: HostTensor, text: string = "") =>
    () =>
      writeSafetensors(
        path,
        [
          ["x", one],
          [name, tensor],
        ],
        { text },
      );
  expect(write("y", short)).toThrow(ShapeError);
  expect(write("y", short)).toThrow(`${path}, tensor "y": expected 8 bytes for float32 [2], got 4`);
  expect(write("y", odd)).toThrow("sizes that are integers ≥ 0, got [0.25]");
  expect(write("x", one)).toThrow(FormatError);
  expect(write("x", one)).toThrow('unique and not reserved, got "x" again');
  expect(write("__metadata__", one)).toThrow('got "__metadata__"');
  expect(write("\udc00", one)).toThrow("without lone surrogates");
  expect(write("y", one, "\udc00")).toThrow("__metadata__: expected text without lone surrogates");
  expect(createHash("sha256").update(readFileSync(path)).digest("hex")).toBe(kept.sha256);
  expect(readdirSync(directory)).toEqual(["x.safetensors"]);
});

test("a place that cannot be written is said clearly", () => {
  const inFile = join(path, "y.safetensors");
  writeFileSync(path, "");
  expect(() => writeSafetensors(inFile, [])).toThrow(EnvironmentError);
  expect(() => writeSafetensors(inFile, [])).toThrow(
    /y.safetensors: expected a file that can be written, got ENOTDIR/,
  );
  expect(existsSync(`${inFile}.tmp`)).toBe(false);
});

test("no tensors at all make a valid file", () => {
  expect(writeSafetensors(path, []).sizeBytes).toBe(16);
  const file = SafetensorsFile.open(path);
  expect(file.tensors.size).toBe(0);
  file.close();
});
