import { BYTES_PER_ELEMENT, type HostTensor, numElements } from "../core/dtype.ts";
import { FormatError, ShapeError } from "../core/errors.ts";
import { replaceFileAtomic } from "./atomic-write.ts";
import { type FileDigest, HashingFileWriter } from "./file-writer.ts";
import { MAX_HEADER_BYTES, METADATA_KEY, PREFIX_BYTES } from "./safetensors-header.ts";
import { STORED_BYTES, STORED_ORDER, type StoredDType, toStoredDType } from "./stored-dtype.ts";
import { describeJson } from "./strict-json.ts";
import { withSystemErrors } from "./system-error.ts";

/** A tensor and the name it is stored under. */
export type NamedTensor = readonly [name: string, tensor: HostTensor];

/**
 * Writes a safetensors file, which appears under its name only when it is complete and on the disk.
 *
 * The bytes depend on the content alone, not on the order of `tensors`: like the reference writer, widest
 * dtype first, then names in UTF-8 order, so every tensor is aligned to its elements. Tensor bytes go to the
 * file as they lie in memory; nothing is copied. `data` is asked for once, in turn, and not kept: a getter
 * may produce it when asked.
 *
 * @throws {ShapeError} if a tensor's data does not fit its dtype and shape.
 * @throws {FormatError} if a name comes twice or is reserved, or the header would exceed 100 MB.
 * @throws {EnvironmentError} if the system refuses, e.g. a full disk. An earlier file of that name is intact.
 */
export function writeSafetensors(
  path: string,
  tensors: Iterable<NamedTensor>,
  metadata: Readonly<Record<string, string>> = {},
): FileDigest {
  return withSystemErrors(path, "a file that can be written", () =>
    replaceFileAtomic(path, (temporary) => streamSafetensors(temporary, tensors, metadata, path)),
  );
}

/**
 * Writes a safetensors file in place and forces it to the disk: for callers who publish it with others.
 * Errors as `writeSafetensors`, except that system errors pass unchanged.
 *
 * @param where names the file in errors, when `path` is a temporary one the user does not know
 */
export function streamSafetensors(
  path: string,
  tensors: Iterable<NamedTensor>,
  metadata: Readonly<Record<string, string>> = {},
  where: string = path,
): FileDigest {
  const named = [...tensors];
  const planned = named.map(([name, { dtype, shape }]) => ({ name, dtype: toStoredDType(dtype), shape }));
  const layout = layOutTensors(where, planned, metadata);
  const byName = new Map(named);
  const writer = new HashingFileWriter(path);
  try {
    writer.write(layout.header);
    for (const name of layout.places.keys())
      writer.write(bytesOf(`${where}, tensor ${describeJson(name)}`, byName.get(name)!));
    return writer.finish();
  } finally {
    writer.close();
  }
}

/** What a file has to know of a tensor before its bytes come. */
export interface PlannedTensor {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
}

/** Where everything goes in a safetensors file. */
export interface SafetensorsLayout {
  readonly header: Uint8Array;
  /** By name, in the order of the file; offsets count from its beginning. */
  readonly places: ReadonlyMap<string, { readonly byteOffset: number; readonly byteLength: number }>;
}

/**
 * Lays a file out before there are any bytes: widest dtype first, then names in UTF-8 order. Errors as `writeSafetensors`.
 */
export function layOutTensors(
  where: string,
  tensors: readonly PlannedTensor[],
  metadata: Readonly<Record<string, string>>,
): SafetensorsLayout {
  const ordered = inFileOrder(where, tensors);
  const header = encodeHeader(where, ordered, metadata);
  const places = new Map<string, { byteOffset: number; byteLength: number }>();
  let byteOffset = header.length;
  for (const { name, dtype, shape } of ordered) {
    const byteLength = numElements(shape) * STORED_BYTES[dtype];
    places.set(name, { byteOffset, byteLength });
    byteOffset += byteLength;
  }
  return { header, places };
}

function inFileOrder(where: string, tensors: readonly PlannedTensor[]): readonly PlannedTensor[] {
  const names = new Set<string>();
  const keyed = tensors.map((planned) => {
    const { name, dtype } = planned;
    requireText(`${where}, tensor name`, name);
    if (names.has(name) || name === METADATA_KEY) {
      throw new FormatError({
        where,
        expected: "tensor names that are unique and not reserved",
        got: `${describeJson(name)}${names.has(name) ? " again" : ""}`,
      });
    }
    names.add(name);
    return { planned, rank: STORED_ORDER.indexOf(dtype), key: Buffer.from(name) };
  });
  keyed.sort((a, b) => a.rank - b.rank || Buffer.compare(a.key, b.key));
  return keyed.map(({ planned }) => planned);
}

/** Length prefix and header text, padded with spaces so that the data begins at a multiple of 8. */
function encodeHeader(
  where: string,
  tensors: readonly PlannedTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const fields: string[] = [];
  const sorted = Object.entries(metadata).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const text of sorted.flat()) requireText(`${where}, ${METADATA_KEY}`, text);
  if (sorted.length > 0) fields.push(`"${METADATA_KEY}":${JSON.stringify(Object.fromEntries(sorted))}`);
  let begin = 0;
  for (const { name, dtype, shape } of tensors) {
    checkShape(`${where}, tensor ${describeJson(name)}`, shape);
    const end = begin + numElements(shape) * STORED_BYTES[dtype];
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const text = new TextEncoder().encode(`{${fields.join(",")}}`);
  const length = Math.ceil(text.length / 8) * 8;
  if (length > MAX_HEADER_BYTES) {
    const expected = `a header of at most ${MAX_HEADER_BYTES} bytes`;
    throw new FormatError({ where, expected, got: `${length} for ${tensors.length} tensors` });
  }
  const header = new Uint8Array(PREFIX_BYTES + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, PREFIX_BYTES);
  return header;
}

/** Lone surrogates have no UTF-8; a reader would refuse the file. */
function requireText(where: string, text: string): void {
  if (!/\p{Surrogate}/u.test(text)) return;
  throw new FormatError({ where, expected: "text without lone surrogates", got: describeJson(text) });
}

function checkShape(where: string, shape: readonly number[]): void {
  if (shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return;
  throw new ShapeError({ where, expected: "sizes that are integers ≥ 0", got: `[${shape}]` });
}

function bytesOf(where: string, tensor: HostTensor): Uint8Array {
  const { dtype, shape, data } = tensor;
  const expected = numElements(shape) * BYTES_PER_ELEMENT[dtype];
  if (data.byteLength !== expected) {
    throw new ShapeError({
      where,
      expected: `${expected} bytes for ${dtype} [${shape}]`,
      got: `${data.byteLength}`,
    });
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
