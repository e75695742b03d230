import { TextDecoder } from "node:util";
import { DataError } from "../core/errors.ts";
import type { Document } from "./sources.ts";
import { readChunks } from "./text-file.ts";

const NEWLINE = 0x0a;
const MAX_LINE_BYTES = 256 * 1024 * 1024;

/**
 * The text field of every row of a JSON-lines file, streamed. Rows end at `\n` alone: U+2028 and U+2029 are
 * legal inside JSON strings. Blank lines are passed over; `source` is `path:line`, counted from 1.
 *
 * @throws {DataError} naming file and line of the first row that is not UTF-8, not a JSON object, has no such
 *   field (the fields it has are named), or whose text is not a string of whole characters.
 */
export function* readJsonLines(path: string, textField: string): Generator<Document> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let lineNumber = 0;
  for (const line of readLines(path)) {
    const source = `${path}:${++lineNumber}`;
    const text = readRow(source, line, decoder, textField);
    if (text !== undefined) yield { text, source };
  }
}

/**
 * The lines of a file as bytes, without their `\n`.
 *
 * @param chunks what the file holds, where it has to be unpacked first
 */
export function* readLines(path: string, chunks: Iterable<Buffer> = readChunks(path)): Generator<Buffer> {
  let parts: Buffer[] = [];
  let partsBytes = 0;
  for (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end));
      yield parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      parts = [];
      partsBytes = 0;
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
    partsBytes += chunk.length - start;
    if (partsBytes > MAX_LINE_BYTES) {
      const got = `more than ${MAX_LINE_BYTES / 2 ** 20} MiB without a line end`;
      throw new DataError({ where: path, expected: "one JSON object a line", got });
    }
  }
  if (partsBytes > 0) yield Buffer.concat(parts);
}

function readRow(source: string, line: Buffer, decoder: TextDecoder, textField: string): string | undefined {
  let row: unknown;
  try {
    const json = decoder.decode(line);
    if (json.trim() === "") return undefined;
    row = JSON.parse(json);
  } catch (cause) {
    const got = (cause as Error).message;
    throw new DataError({ where: source, expected: "a JSON object in UTF-8", got }, { cause });
  }
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    throw new DataError({ where: source, expected: "a JSON object", got: excerpt(row) });
  }
  if (!Object.hasOwn(row, textField)) {
    throw new DataError({
      where: source,
      expected: `a field "${textField}"`,
      got: `fields ${Object.keys(row).join(", ") || "none"}`,
      fix: "Set the text field to the one that holds the text.",
    });
  }
  return checkText(source, textField, (row as Record<string, unknown>)[textField]);
}

function checkText(source: string, textField: string, text: unknown): string {
  if (typeof text !== "string") {
    throw new DataError({ where: source, expected: `"${textField}" to be a string`, got: excerpt(text) });
  }
  // JSON can escape half of a surrogate pair, which no UTF-8 text can hold.
  const lone = /\p{Surrogate}/u.exec(text);
  if (lone) {
    const code = lone[0].charCodeAt(0).toString(16);
    throw new DataError({
      where: source,
      expected: `"${textField}" to be whole characters`,
      got: `a lone surrogate \\u${code} at ${lone.index}`,
    });
  }
  return text;
}

function excerpt(value: unknown): string {
  const json = JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 60)}…` : json;
}
