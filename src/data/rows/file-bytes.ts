import { readFileSync, statSync } from "node:fs";
import { TextDecoder } from "node:util";
import { gunzipSync } from "node:zlib";
import { DataError, FormatError } from "../../core/errors.ts";
import { readChunks, toDataError } from "../text-file.ts";

/** A string of V8 holds half a billion characters; rows beyond that have to come a line at a time. */
const MAX_WHOLE_BYTES = 480 * 1024 * 1024;

/** Most that a `.gz` file may hold: one of a few kilobytes can hold gigabytes. */
const MAX_UNPACKED_BYTES = 2 * 1024 * 1024 * 1024;

/** A path without the `.gz` at its end, which says what is packed. */
export function unpackedName(path: string): string {
  return path.replace(/\.gz$/i, "");
}

/**
 * The bytes of a file in order, unpacked where its name ends in `.gz`.
 *
 * @throws {DataError} if the file cannot be read, {@link FormatError} if it is not what gzip writes, or is cut short.
 */
export function* readUnpacked(path: string, maxBytes: number = MAX_UNPACKED_BYTES): Generator<Buffer> {
  if (unpackedName(path) === path) {
    yield* readChunks(path);
    return;
  }
  yield unpack(path, read(path, MAX_WHOLE_BYTES), maxBytes);
}

/**
 * All text of a file, unpacked, without its byte order mark.
 *
 * @throws {DataError} if it cannot be read or is too large to be held as one text, {@link FormatError} if it is not UTF-8.
 */
export function readWholeText(path: string): string {
  const packed = unpackedName(path) !== path;
  const bytes = packed
    ? unpack(path, read(path, MAX_WHOLE_BYTES), MAX_WHOLE_BYTES)
    : read(path, MAX_WHOLE_BYTES);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const got = "bytes that are not UTF-8";
    throw new FormatError(
      { where: path, expected: "UTF-8 text", got, fix: "Convert it to UTF-8." },
      { cause },
    );
  }
}

function read(path: string, maxBytes: number): Buffer {
  try {
    const { size } = statSync(path);
    if (size > maxBytes) throw tooLarge(path, maxBytes, `${size} bytes`);
    return readFileSync(path);
  } catch (cause) {
    throw cause instanceof DataError ? cause : toDataError(path, cause);
  }
}

function unpack(path: string, bytes: Buffer, maxBytes: number): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: maxBytes });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw tooLarge(path, maxBytes, "more when unpacked");
    }
    throw new FormatError(
      {
        where: path,
        expected: "a whole gzip file",
        got: (cause as Error).message,
        fix: "Pack or download it again.",
      },
      { cause },
    );
  }
}

function tooLarge(path: string, maxBytes: number, got: string): DataError {
  return new DataError({
    where: path,
    expected: `at most ${maxBytes / 2 ** 20} MiB`,
    got,
    fix: "Split it into several files, or write it as JSON lines or Parquet.",
  });
}
