import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EnvironmentError, FormatError } from "../core/errors.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { writeSafetensors } from "./safetensors-writer.ts";

const VECTORS = join(import.meta.dirname, "../../../shared/data/format-vectors");

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-safetensors-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Spec {
  readonly header: unknown;
  readonly dataBytes?: number;
  readonly lengthPrefix?: bigint;
}

/** A file with any header text and so many zero bytes of data. */
function forge({ header, dataBytes = 0, lengthPrefix }: Spec): string {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, lengthPrefix ?? BigInt(text.length), true);
  bytes.set(text, 8);
  const path = join(directory, "forged.safetensors");
  writeFileSync(path, bytes);
  return path;
}

function entry(dtype: string, shape: readonly unknown[], begin: number, end: number): object {
  return { dtype, shape, data_offsets: [begin, end] };
}

interface Expected {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: readonly (number | boolean)[];
}

describe.skipIf(!existsSync(VECTORS))("published vectors (skipped where shared/data is absent)", () => {
  function expectedOf(name: string): Readonly<Record<string, Expected>> {
    return JSON.parse(readFileSync(join(VECTORS, `${name}.expected.json`), "utf8"));
  }

  test("basic.safetensors reads as the recorded values", () => {
    const file = SafetensorsFile.open(join(VECTORS, "basic.safetensors"));
    const expected = expectedOf("basic");
    expect([...file.tensors.keys()].sort()).toEqual(Object.keys(expected).sort());
    expect(file.metadata).toEqual({ format: "pt", note: "β ünïcode" });
    for (const [name, { dtype, shape, data }] of Object.entries(expected)) {
      const tensor = file.read(name);
      expect([tensor.dtype, tensor.shape]).toEqual([dtype, shape]);
      const values = dtype === "float16" ? file.readFloat32(name).data : tensor.data;
      expect([...values].map(Number)).toEqual(data.map(Number));
    }
    file.close();
  });

  test("bf16.safetensors reads as the recorded values", () => {
    const file = SafetensorsFile.open(join(VECTORS, "bf16.safetensors"));
    const tensor = file.readFloat32("w");
    expect([tensor.dtype, tensor.shape, [...tensor.data]]).toEqual([
      "float32",
      [2, 2],
      [1.5, -2, 3.140625, 0],
    ]);
    expect(() => file.read("w")).toThrow(/tensor "w": expected a dtype that programs hold, got BF16/);
    file.close();
  });

  test("what we write is what the reference implementation wrote, byte for byte", () => {
    const original = join(VECTORS, "basic.safetensors");
    const file = SafetensorsFile.open(original);
    const copy = join(directory, "copy.safetensors");
    const names = [...file.tensors.keys()].reverse();
    writeSafetensors(
      copy,
      names.map((name) => [name, file.read(name)]),
      { note: file.metadata.note!, format: "pt" },
    );
    file.close();
    expect(readFileSync(copy)).toEqual(readFileSync(original));
  });

  test.each(existsSync(VECTORS) ? readdirSync(join(VECTORS, "bad")) : [])("refuses bad/%s", (name) => {
    const path = join(VECTORS, "bad", name);
    expect(() => SafetensorsFile.open(path)).toThrow(FormatError);
    expect(() => SafetensorsFile.open(path)).toThrow(path);
  });
});

describe("hostile headers", () => {
  const whole = entry("F32", [1], 0, 4);
  test.each<[string, Spec, string]>([
    [
      "length 2^64 − 1",
      { header: "{}", lengthPrefix: 2n ** 64n - 1n },
      "got a header length of 18446744073709551615",
    ],
    ["length past the end", { header: "{}", lengthPrefix: 3n }, "a header of 2 to 2 bytes"],
    ["length 0", { header: "{}", lengthPrefix: 0n }, "got a header length of 0"],
    ["leading space", { header: " {}" }, 'begins with "{", got byte 0x20'],
    ["an array", { header: "[]" }, 'begins with "{"'],
    ["text after the object", { header: "{}x" }, "the end of the JSON text"],
    ["deep nesting", { header: `{"a":${"[".repeat(500)}` }, "nesting of at most 3"],
    [
      "bytes after an empty header",
      { header: {}, dataBytes: 4 },
      "4 bytes of tensors after the header, got 0",
    ],
    [
      "the same tensor twice",
      {
        header: `{"a":${JSON.stringify(whole)},"a":${JSON.stringify(whole)}}`,
        dataBytes: 4,
      },
      'got "a" again',
    ],
    ["unknown dtype", { header: { a: entry("F7", [1], 0, 4) }, dataBytes: 4 }, 'got "F7"'],
    [
      "dtype of the prototype",
      { header: { a: entry("toString", [1], 0, 4) }, dataBytes: 4 },
      'got "toString"',
    ],
    [
      "missing shape",
      { header: { a: { dtype: "F32", data_offsets: [0, 4] } }, dataBytes: 4 },
      "shape: expected",
    ],
    ["negative size", { header: { a: entry("F32", [-1], 0, 4) }, dataBytes: 4 }, "got [-1]"],
    ["fractional size", { header: { a: entry("F32", [0.5], 0, 2) }, dataBytes: 2 }, "got [0.5]"],
    ["size as text", { header: { a: entry("F32", ["1"], 0, 4) }, dataBytes: 4 }, 'got ["1"]'],
    [
      "size beyond 2^53",
      { header: { a: entry("U8", [2 ** 53], 0, 4) }, dataBytes: 4 },
      "got [9007199254740992]",
    ],
    [
      "product beyond 2^53",
      { header: { a: entry("U8", [2 ** 30, 2 ** 30], 0, 4) }, dataBytes: 4 },
      "fewer than 2^53",
    ],
    [
      "product that wraps to 4 in 64 bits",
      { header: { a: entry("F32", [2 ** 33, 2 ** 31 + 1], 0, 4) }, dataBytes: 4 },
      "fewer than 2^53 bytes",
    ],
    [
      "overflow hidden by a 0",
      { header: { a: entry("F32", [2 ** 52, 2 ** 52, 0], 0, 0) } },
      "fewer than 2^53",
    ],
    ["end before begin", { header: { a: entry("F32", [0], 4, 0) }, dataBytes: 4 }, "got [4, 0]"],
    [
      "end past the file",
      { header: { a: entry("F32", [2], 0, 8) }, dataBytes: 4 },
      "begin ≤ end ≤ 4, got [0, 8]",
    ],
    [
      "three offsets",
      { header: { a: { ...whole, data_offsets: [0, 4, 4] } }, dataBytes: 4 },
      "got [0, 4, 4]",
    ],
    ["one offset", { header: { a: { ...whole, data_offsets: [4] } }, dataBytes: 4 }, "got [4]"],
    [
      "shape against bytes",
      { header: { a: entry("F32", [2], 0, 4) }, dataBytes: 4 },
      "8 bytes for F32 [2], got 4",
    ],
    ["extra key", { header: { a: { ...whole, strides: [1] } }, dataBytes: 4 }, 'got "strides"'],
    ["tensor not an object", { header: { a: 1 } }, 'tensor "a": expected an object, got 1'],
    [
      "overlap",
      { header: { a: whole, b: entry("F32", [1], 2, 6) }, dataBytes: 6 },
      'tensor "b", data_offsets: expected begin at 4, where the tensor before it ends, got 2, an overlap',
    ],
    ["shared bytes", { header: { a: whole, b: whole }, dataBytes: 4 }, "got 0, an overlap"],
    ["hole", { header: { a: whole, b: entry("F32", [1], 5, 9) }, dataBytes: 9 }, "got 5, a hole"],
    ["hole at the beginning", { header: { a: entry("F32", [1], 1, 5) }, dataBytes: 5 }, "got 1, a hole"],
    ["polyglot tail", { header: { a: whole }, dataBytes: 40 }, "40 bytes of tensors after the header, got 4"],
    ["metadata not an object", { header: { __metadata__: [] } }, "__metadata__: expected an object, got []"],
    [
      "metadata value",
      { header: { __metadata__: { a: 1 } } },
      '__metadata__, key "a": expected a string, got 1',
    ],
  ])("%s", (_name, spec, message) => {
    const path = forge(spec);
    expect(() => SafetensorsFile.open(path)).toThrow(FormatError);
    expect(() => SafetensorsFile.open(path)).toThrow(message);
    expect(() => SafetensorsFile.open(path)).toThrow(path);
  });

  test.each([0, 1, 7])("a file of %i bytes", (size) => {
    const path = join(directory, "short.safetensors");
    writeFileSync(path, new Uint8Array(size));
    expect(() => SafetensorsFile.open(path)).toThrow(`at least 10 bytes, got ${size} bytes`);
  });

  test("a header over 100 MB is refused without being read", () => {
    const path = forge({ header: "{}", lengthPrefix: 100_000_001n });
    truncateSync(path, 200_000_000); // sparse
    const before = process.memoryUsage().arrayBuffers;
    expect(() => SafetensorsFile.open(path)).toThrow("a header of 2 to 100000000 bytes");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6);
  });

  test("bytes that are not UTF-8", () => {
    const path = forge({ header: '{"a":1}' });
    const bytes = readFileSync(path);
    bytes[10] = 0xff;
    writeFileSync(path, bytes);
    expect(() => SafetensorsFile.open(path)).toThrow("expected UTF-8 text");
  });

  test("empty tensors may share a place, and metadata may be absent", () => {
    const header = { a: entry("F32", [0], 0, 0), b: entry("U8", [4, 0], 0, 0), c: entry("U8", [1], 0, 1) };
    const file = SafetensorsFile.open(forge({ header, dataBytes: 1 }));
    expect(file.read("a").data.length).toBe(0);
    expect(file.read("b").shape).toEqual([4, 0]);
    expect(file.metadata).toEqual({});
    file.close();
  });
});

describe("SafetensorsFile", () => {
  test("understands every stored dtype and says where its bytes lie", () => {
    const widths = { U64: 8, I64: 8, F64: 8, F32: 4, U32: 4, I32: 4, BF16: 2, F16: 2, U16: 2, I16: 2 };
    const bytes = { F8_E4M3: 1, F8_E5M2: 1, I8: 1, U8: 1, BOOL: 1 };
    const header: Record<string, object> = {};
    let at = 0;
    for (const [dtype, width] of Object.entries({ ...widths, ...bytes })) {
      header[`t.${dtype}`] = entry(dtype, [3], at, at + 3 * width);
      at += 3 * width;
    }
    const path = forge({ header, dataBytes: at });
    const file = SafetensorsFile.open(path);
    const start = 8 + JSON.stringify(header).length;
    expect(file.entry("t.F64")).toEqual({ dtype: "F64", shape: [3], byteOffset: start + 48, byteLength: 24 });
    const held = Object.keys(header).filter((name) => {
      try {
        return file.read(name).data.length === 3;
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
        return false;
      }
    });
    expect(held.sort()).toEqual("BOOL F16 F32 F64 I32 I64 I8 U8".split(" ").map((dtype) => `t.${dtype}`));
    expect(() => file.readFloat32("t.I32")).toThrow("expected a floating-point type, got I32");
    expect(file.readFloat32("t.F8_E4M3").dtype).toBe("float32");
    file.close();
  });

  test("readFloat32 converts tensors longer than one chunk", () => {
    const length = (1 << 18) * 2 + 5;
    const data = Float64Array.from({ length }, (_, i) => i / 7);
    const path = join(directory, "long.safetensors");
    writeSafetensors(path, [["x", { dtype: "float64", shape: [length], data }]]);
    const file = SafetensorsFile.open(path);
    const expected = Buffer.from(Float32Array.from(data).buffer);
    expect(Buffer.from(file.readFloat32("x").data.buffer as ArrayBuffer).equals(expected)).toBe(true);
    file.close();
  });

  test("readInto fills memory of exactly the right size", () => {
    const path = join(directory, "into.safetensors");
    const tensor = { dtype: "int32", shape: [2], data: Int32Array.of(-1, 258) } as const;
    writeSafetensors(path, [["h.0.attn", tensor]]);
    const file = SafetensorsFile.open(path);
    const target = new Uint8Array(8);
    file.readInto("h.0.attn", target);
    expect([...target]).toEqual([255, 255, 255, 255, 2, 1, 0, 0]);
    expect(() => file.readInto("h.0.attn", new Uint8Array(7))).toThrow("a target of 8 bytes, got 7");
    expect(() => file.read("h.0.atn")).toThrow(
      'expected a tensor named "h.0.atn", got 1 others. Did you mean "h.0.attn"?',
    );
    file.close();
    file.close();
  });

  test("a file truncated while open is noticed", () => {
    const path = join(directory, "shrinking.safetensors");
    writeSafetensors(path, [["x", { dtype: "uint8", shape: [100], data: new Uint8Array(100) }]]);
    const file = SafetensorsFile.open(path);
    truncateSync(path, 120);
    expect(() => file.read("x")).toThrow("The file became shorter while it was read.");
    file.close();
  });

  test("a BOOL that is neither 0 nor 1 is refused", () => {
    const path = forge({ header: { a: entry("BOOL", [4], 0, 4) }, dataBytes: 4 });
    const bytes = readFileSync(path);
    bytes[bytes.length - 2] = 2;
    writeFileSync(path, bytes);
    const file = SafetensorsFile.open(path);
    expect(() => file.read("a")).toThrow('tensor "a", element 2: expected 0 or 1, got 2');
    file.close();
  });

  test("missing files and directories are said clearly", () => {
    const missing = join(directory, "missing.safetensors");
    expect(() => SafetensorsFile.open(missing)).toThrow(EnvironmentError);
    expect(() => SafetensorsFile.open(missing)).toThrow(
      /ENOENT: no such file or directory \(stat\). Check the path/,
    );
    expect(() => SafetensorsFile.open(directory)).toThrow("got something not a file");
  });
});
