import { closeSync, openSync, readSync } from "node:fs";
import { TextDecoder } from "node:util";
import { DataError } from "../core/errors.ts";

/** A text file longer than this many UTF-16 code units is read as several pieces. */
export const MAX_PIECE_CHARACTERS: number = 4 * 1024 * 1024;

const CHUNK_BYTES = 1024 * 1024;

/**
 * The bytes of a file in order, about a megabyte at a time. Each chunk has its own memory.
 *
 * @throws {DataError} if the file cannot be opened or read.
 */
export function* readChunks(path: string): Generator<Buffer> {
  const file = attempt(path, () => openSync(path, "r"));
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      const length = attempt(path, () => readSync(file, chunk, 0, CHUNK_BYTES, null));
      if (length === 0) return;
      yield chunk.subarray(0, length);
    }
  } finally {
    closeSync(file);
  }
}

/**
 * Why a file is not text, or `undefined` if it is: text has no NUL byte and is valid UTF-8 from end to end.
 *
 * @throws {DataError} if the file cannot be read.
 */
export function findBinary(path: string): string | undefined {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let offset = 0;
  for (const chunk of readChunks(path)) {
    const nul = chunk.indexOf(0);
    if (nul >= 0) return `a binary file (NUL at byte ${offset + nul})`;
    if (!decodes(decoder, chunk)) return `a binary file (invalid UTF-8 after byte ${offset})`;
    offset += chunk.length;
  }
  return decodes(decoder) ? undefined : "a binary file (its last character is cut short)";
}

/**
 * The text of a UTF-8 file in pieces of at most `maxCharacters` code units, whose concatenation is the file
 * without its byte order mark. Cuts fall after a blank line, else after a line end, else between characters.
 * An empty file gives one empty piece.
 *
 * @throws {DataError} if the file cannot be read or stops being UTF-8.
 */
export function* readTextPieces(
  path: string,
  maxCharacters: number = MAX_PIECE_CHARACTERS,
): Generator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let pending = "";
  for (const chunk of readChunks(path)) {
    pending += attempt(path, () => decoder.decode(chunk, { stream: true }));
    while (pending.length > maxCharacters) {
      const cut = cutPoint(pending, maxCharacters);
      yield pending.slice(0, cut);
      pending = pending.slice(cut);
    }
  }
  yield pending + attempt(path, () => decoder.decode());
}

/**
 * The best place at or before `limit` to cut a text longer than that: after the last blank line, else after the
 * last line end, in the second half; else at `limit`, never inside a surrogate pair.
 *
 * @example
 * cutPoint("one\n\ntwo three", 6); // => 5
 */
export function cutPoint(text: string, limit: number): number {
  for (const boundary of ["\n\n", "\r\n\r\n", "\n"]) {
    const at = text.lastIndexOf(boundary, limit - boundary.length);
    if (at >= limit / 2) return at + boundary.length;
  }
  return limit > 1 ? wholeCharacter(text, limit) : limit;
}

/** `index`, or one less where that would cut a surrogate pair in two. */
export function wholeCharacter(text: string, index: number): number {
  const isHigh = (text.charCodeAt(index - 1) & 0xfc00) === 0xd800;
  const isLow = (text.charCodeAt(index) & 0xfc00) === 0xdc00;
  return isHigh && isLow ? index - 1 : index;
}

/** The error for a path the system refused, in words. */
export function toDataError(path: string, cause: unknown): DataError {
  const code = (cause as NodeJS.ErrnoException).code;
  const reasons: Record<string, string> = {
    ENOENT: "no such file or folder",
    EACCES: "permission denied",
    EPERM: "permission denied",
    ERR_ENCODING_INVALID_ENCODED_DATA: "invalid UTF-8",
  };
  const got = reasons[code ?? ""] ?? (cause as Error).message;
  return new DataError({ where: path, expected: "a readable path", got }, { cause });
}

function attempt<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw toDataError(path, cause);
  }
}

function decodes(decoder: TextDecoder, chunk?: Buffer): boolean {
  try {
    if (chunk) decoder.decode(chunk, { stream: true });
    else decoder.decode();
    return true;
  } catch {
    return false;
  }
}
