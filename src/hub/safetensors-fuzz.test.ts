import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FormatError, PlinthError } from "../core/errors.ts";
import { openModelDirectory } from "./model-directory.ts";
import { SafetensorsFile } from "./safetensors.ts";

let path = "";
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), "plinth-fuzz-")), "x.safetensors");
});
afterAll(() => rmSync(join(path, ".."), { recursive: true }));

/** Short in CI; a longer run by `PLINTH_FUZZ_RUNS=100000`. */
const OPTIONS = { numRuns: Number(process.env.PLINTH_FUZZ_RUNS ?? 300), seed: 16 };

/** Of processor time for one input, and of memory beyond its size. */
const MOST_MS = 1000;
const MOST_BYTES = 64 * 2 ** 20;

/** Runs one input within the limits on time and memory. */
function limited<T>(sizeBytes: number, run: () => T): T {
  const [start, before] = [process.cpuUsage(), process.memoryUsage()];
  const result = run();
  expect(process.cpuUsage(start).user / 1000).toBeLessThan(MOST_MS);
  const after = process.memoryUsage();
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(sizeBytes + MOST_BYTES);
  expect(after.heapUsed - before.heapUsed).toBeLessThan(sizeBytes + MOST_BYTES);
  return result;
}

function encode(header: unknown, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const HEADER = {
  __metadata__: { format: "pt" },
  a: { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] },
  b: { dtype: "BF16", shape: [], data_offsets: [24, 26] },
  c: { dtype: "BOOL", shape: [0], data_offsets: [26, 26] },
  d: { dtype: "U8", shape: [6], data_offsets: [26, 32] },
};

/** Opens and reads everything: it either works, with every byte belonging to one tensor, or is a FormatError. */
function exercise(bytes: Uint8Array): "accepted" | "refused" {
  return limited(bytes.length, () => exerciseFile(bytes));
}

function exerciseFile(bytes: Uint8Array): "accepted" | "refused" {
  writeFileSync(path, bytes);
  let file: SafetensorsFile | undefined;
  try {
    file = SafetensorsFile.open(path);
    let total = 0;
    for (const [name, { byteLength, byteOffset }] of file.tensors) {
      expect(byteOffset + byteLength).toBeLessThanOrEqual(bytes.length);
      file.readInto(name, new Uint8Array(byteLength));
      total += byteLength;
    }
    expect(total).toBe(
      bytes.length - 8 - Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)),
    );
    return "accepted";
  } catch (error) {
    expect(error).toBeInstanceOf(FormatError);
    return "refused";
  } finally {
    file?.close();
  }
}

test("altered bytes: typed errors only", () => {
  const original = encode(HEADER, 32);
  const edit = fc.record({ at: fc.nat(original.length - 1), byte: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 4 }), fc.option(fc.nat(original.length)), (edits, length) => {
      const bytes = original.slice(0, length ?? original.length);
      for (const { at, byte } of edits) if (at < bytes.length) bytes[at] = byte;
      const intact = bytes.length === original.length && bytes.every((byte, i) => byte === original[i]);
      if (intact) expect(exercise(bytes)).toBe("accepted");
      else exercise(bytes);
    }),
    OPTIONS,
  );
});

test("altered header fields: typed errors only, and nothing accepted that does not add up", () => {
  const number = fc.oneof(
    fc.integer({ min: -1, max: 40 }),
    fc.constantFrom(0.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63, 1e300, -0),
  );
  const field = fc.oneof(
    number,
    fc.array(number, { maxLength: 4 }),
    fc.constantFrom("F32", "U8", ""),
    fc.jsonValue(),
  );
  const change = fc.record({
    tensor: fc.constantFrom("a", "b", "c", "d", "__metadata__", "e", "__proto__"),
    key: fc.constantFrom("dtype", "shape", "data_offsets", "extra"),
    value: field,
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), fc.nat(64), (changes, dataBytes) => {
      const header = new Map<string, object>(Object.entries(HEADER));
      for (const { tensor, key, value } of changes)
        header.set(tensor, { ...header.get(tensor), [key]: value });
      exercise(encode(Object.fromEntries(header), dataBytes));
    }),
    OPTIONS,
  );
});

test("any bytes at all: typed errors only", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      exercise(bytes);
    }),
    OPTIONS,
  );
});

test("an index and a configuration of a stranger: typed errors only", () => {
  const directory = join(path, "..", "model");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "model-00001-of-00001.safetensors"), encode(HEADER, 32));
  const shard = fc.oneof(
    fc.constantFrom(
      "model-00001-of-00001.safetensors",
      "../x.safetensors",
      "/etc/passwd",
      "x",
      "a\0.safetensors",
      "..",
    ),
    fc.jsonValue(),
  );
  const name = fc.constantFrom("a", "b", "c", "d", "e", "__proto__", "");
  const index = fc.oneof(
    fc.record({ weight_map: fc.oneof(fc.dictionary(name, shard), fc.jsonValue()), metadata: fc.jsonValue() }),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(index, fc.jsonValue(), fc.array(fc.nat(), { maxLength: 3 }), (value, config, cuts) => {
      let text = JSON.stringify(value);
      for (const at of cuts)
        text = text.slice(0, at % (text.length + 1)) + text.slice((at % (text.length + 1)) + 1);
      writeFileSync(join(directory, "model.safetensors.index.json"), text);
      writeFileSync(join(directory, "config.json"), JSON.stringify(config));
      limited(text.length, () => {
        try {
          const opened = openModelDirectory(directory);
          for (const tensor of opened.weights.names) opened.weights.entry(tensor);
          opened.close();
        } catch (error) {
          expect(error).toBeInstanceOf(PlinthError);
        }
      });
    }),
    OPTIONS,
  );
});
