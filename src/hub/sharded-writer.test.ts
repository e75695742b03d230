import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hostTensor } from "../core/dtype.ts";
import { FormatError } from "../core/errors.ts";
import { digestFile } from "./file-writer.ts";
import { openModelWeights } from "./model-weights.ts";
import { writeSafetensors } from "./safetensors-writer.ts";
import { ShardedWriter } from "./sharded-writer.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-shards-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const floats = (...values: number[]) => Float32Array.from(values);
const planned = (name: string, ...shape: number[]) => ({ name, dtype: "F32", shape }) as const;

test("pieces in any order make the file that is written at once", () => {
  const writer = new ShardedWriter(root, [
    [planned("b", 4)],
    [{ name: "a", dtype: "U8", shape: [3] }, planned("c", 1)],
  ]);
  writer.write("a", Uint8Array.of(1, 2));
  writer.write("c", floats(9));
  writer.write("b", floats(5, 6));
  writer.write("a", Uint8Array.of(3));
  writer.write("b", floats(7, 8));
  writer.finish();
  expect(readdirSync(root)).toEqual(["model.safetensors"]);
  const expected = writeSafetensors(
    join(root, "x"),
    [
      ["a", hostTensor("uint8", [3], Uint8Array.of(1, 2, 3))],
      ["b", hostTensor("float32", [4], floats(5, 6, 7, 8))],
      ["c", hostTensor("float32", [1], floats(9))],
    ],
    { format: "pt" },
  );
  expect(digestFile(join(root, "model.safetensors"))).toEqual(expected);
});

test("groups go whole into shards, which the index finds again", () => {
  const groups = [
    [planned("a", 3), planned("a.scales", 1)],
    [planned("b", 2)],
    [planned("c", 9)],
    [planned("d", 1)],
  ];
  const writer = new ShardedWriter(root, groups, 24);
  for (const { name, shape } of groups.flat())
    writer.write(name, new Float32Array(shape[0]!).fill(shape[0]!));
  expect(writer.sizeBytes).toBe(64);
  writer.finish();
  const shards = [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`);
  expect(readdirSync(root).sort()).toEqual([...shards, "model.safetensors.index.json"]);
  const weights = openModelWeights(root);
  expect(weights.entry("a").path).toBe(join(root, shards[0]!));
  expect(weights.entry("b").path).toBe(join(root, shards[0]!));
  expect(weights.entry("c").path).toBe(join(root, shards[1]!));
  expect(weights.entry("d").path).toBe(join(root, shards[2]!));
  for (const { name, shape } of groups.flat()) {
    expect(weights.read(name).data).toEqual(new Float32Array(shape[0]!).fill(shape[0]!));
  }
  weights.close();
});

test("tensors that are unknown, too long, not whole or there twice", () => {
  const writer = new ShardedWriter(root, [[planned("a", 2)]]);
  expect(() => writer.write("b", floats(1))).toThrow('tensor "b": expected one of the tensors planned');
  writer.write("a", floats(1));
  expect(() => writer.write("a", floats(1, 2))).toThrow('tensor "a": expected 8 bytes, got 12.');
  expect(() => writer.finish()).toThrow('tensor "a": expected 8 bytes, got 4.');
  writer.close();
  writer.close();
  expect(() => new ShardedWriter(root, [[planned("a", 1)], [planned("a", 1)]], 4)).toThrow(FormatError);
});
