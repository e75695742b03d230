import { FormatError } from "../core/errors.ts";
import { isStoredDType, STORED_BYTES, type StoredDType } from "./stored-dtype.ts";
import { decodeUtf8, describeJson, isJsonObject, type JsonValue, parseStrictJson } from "./strict-json.ts";

/** One tensor of a safetensors file. */
export interface TensorEntry {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** From the beginning of the file, so that another reader can map the bytes as they lie. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** What the head of a safetensors file says. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes before the header text: its length as a little-endian 64-bit integer. */
export const PREFIX_BYTES = 8;

/** Largest header text, as in the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

/** The header key that is not a tensor. */
export const METADATA_KEY = "__metadata__";

/** Tensor, shape list or offset pair: nothing in a header nests deeper. */
const HEADER_DEPTH = 3;

/**
 * The length of the header text, checked against the size of the file before anything is allocated for it.
 *
 * @param prefix the first 8 bytes of the file, or all of it when it is shorter
 * @throws {FormatError} if the file is too short, or the header longer than 100 MB or than the file.
 */
export function readHeaderLength(prefix: Uint8Array, path: string, fileBytes: number): number {
  if (prefix.length < PREFIX_BYTES) {
    throw new FormatError({
      where: path,
      expected: "a safetensors file of at least 10 bytes",
      got: `${fileBytes} bytes`,
    });
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  const limit = Math.min(MAX_HEADER_BYTES, fileBytes - PREFIX_BYTES);
  if (length < 2n || length > BigInt(limit)) {
    throw new FormatError({
      where: path,
      expected: `a header of 2 to ${limit} bytes in this file of ${fileBytes}`,
      got: `a header length of ${length}`,
      fix: "The file is truncated or not safetensors.",
    });
  }
  return Number(length);
}

/**
 * Reads and checks the header text: every tensor's dtype, shape and range, and that the ranges cover the data
 * part exactly once, with neither overlap nor hole where foreign bytes could hide.
 *
 * @param text      the header's bytes
 * @param fileBytes size of the whole file
 * @throws {FormatError} naming the file and the tensor.
 * @see https://github.com/huggingface/safetensors#format
 */
export function parseHeader(text: Uint8Array, path: string, fileBytes: number): SafetensorsHeader {
  if (text[0] !== 0x7b) {
    throw new FormatError({
      where: path,
      expected: 'a header that begins with "{"',
      got: `byte 0x${text[0]!.toString(16).padStart(2, "0")}`,
      fix: "The file is not safetensors.",
    });
  }
  const header = parseStrictJson(decodeUtf8(text, path), path, HEADER_DEPTH);
  const dataStart = PREFIX_BYTES + text.length;
  const tensors = new Map<string, TensorEntry>();
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(header as Readonly<Record<string, JsonValue>>)) {
    if (name === METADATA_KEY) metadata = parseMetadata(value, path);
    else tensors.set(name, parseEntry(value, `${path}, tensor ${describeJson(name)}`, dataStart, fileBytes));
  }
  checkCoverage(tensors, path, dataStart, fileBytes);
  return { tensors, metadata };
}

function parseMetadata(value: JsonValue, path: string): Readonly<Record<string, string>> {
  if (!isJsonObject(value)) {
    throw new FormatError({
      where: `${path}, ${METADATA_KEY}`,
      expected: "an object",
      got: describeJson(value),
    });
  }
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== "string") {
      const where = `${path}, ${METADATA_KEY}, key ${describeJson(key)}`;
      throw new FormatError({ where, expected: "a string", got: describeJson(item) });
    }
  }
  return value as Readonly<Record<string, string>>;
}

function parseEntry(value: JsonValue, where: string, dataStart: number, fileBytes: number): TensorEntry {
  if (!isJsonObject(value)) {
    throw new FormatError({ where, expected: "an object", got: describeJson(value) });
  }
  for (const key of Object.keys(value)) {
    if (key !== "dtype" && key !== "shape" && key !== "data_offsets") {
      throw new FormatError({ where, expected: "dtype, shape and data_offsets", got: describeJson(key) });
    }
  }
  const dtype = parseDType(value.dtype, where);
  const shape = parseSizes(value.shape, `${where}, shape`);
  const needed = storedBytes(dtype, shape, where);
  const [begin, end, ...rest] = parseSizes(value.data_offsets, `${where}, data_offsets`);
  const dataBytes = fileBytes - dataStart;
  if (begin === undefined || end === undefined || rest.length > 0 || begin > end || end > dataBytes) {
    throw new FormatError({
      where: `${where}, data_offsets`,
      expected: `[begin, end] with begin ≤ end ≤ ${dataBytes}`,
      got: describeJson(value.data_offsets),
      fix: "The file is truncated or altered.",
    });
  }
  if (end - begin !== needed) {
    throw new FormatError({
      where,
      expected: `${needed} bytes for ${dtype} ${describeJson(shape)}`,
      got: `${end - begin}`,
    });
  }
  return { dtype, shape, byteOffset: dataStart + begin, byteLength: needed };
}

function parseDType(value: JsonValue | undefined, where: string): StoredDType {
  if (typeof value === "string" && isStoredDType(value)) return value;
  throw new FormatError({
    where: `${where}, dtype`,
    expected: `one of ${Object.keys(STORED_BYTES).join(", ")}`,
    got: describeJson(value),
  });
}

function parseSizes(value: JsonValue | undefined, where: string): readonly number[] {
  if (Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)) return value;
  throw new FormatError({
    where,
    expected: "a list of integers from 0 to 2^53 − 1",
    got: describeJson(value),
  });
}

/** A float64 product is exact below 2^53; one that left that range can only be an attack or a wrong file. */
function storedBytes(dtype: StoredDType, shape: readonly number[], where: string): number {
  let bytes: number = STORED_BYTES[dtype];
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) {
      throw new FormatError({
        where: `${where}, shape`,
        expected: "fewer than 2^53 bytes",
        got: `${dtype} ${describeJson(shape)}`,
      });
    }
  }
  return bytes;
}

function checkCoverage(
  tensors: ReadonlyMap<string, TensorEntry>,
  path: string,
  dataStart: number,
  fileBytes: number,
): void {
  const inOrder = [...tensors].sort(
    ([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength,
  );
  let covered = dataStart;
  for (const [name, entry] of inOrder) {
    if (entry.byteOffset !== covered) {
      throw new FormatError({
        where: `${path}, tensor ${describeJson(name)}, data_offsets`,
        expected: `begin at ${covered - dataStart}, where the tensor before it ends`,
        got: `${entry.byteOffset - dataStart}, ${entry.byteOffset < covered ? "an overlap" : "a hole"}`,
      });
    }
    covered += entry.byteLength;
  }
  if (covered !== fileBytes) {
    throw new FormatError({
      where: path,
      expected: `${fileBytes - dataStart} bytes of tensors after the header`,
      got: `${covered - dataStart}`,
      fix: "The file has bytes that belong to no tensor.",
    });
  }
}
