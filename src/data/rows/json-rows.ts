import { TextDecoder } from "node:util";
import { FormatError } from "../../core/errors.ts";
import { readLines } from "../json-lines.ts";
import { readUnpacked, readWholeText } from "./file-bytes.ts";
import { describeValue, type RawRow, toRawRow } from "./raw-row.ts";

/**
 * The rows of a JSON-lines file: one object a line, blank lines passed over. Lines end at `\n` alone, as U+2028 and
 * U+2029 are legal inside JSON strings.
 *
 * @throws {FormatError} naming the line that is not JSON, {@link DataError} the one that is not an object.
 */
export function* readJsonLineRows(path: string): Generator<RawRow> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let lineNumber = 0;
  for (const line of readLines(path, readUnpacked(path))) {
    const where = `${path}:${++lineNumber}`;
    let value: unknown;
    try {
      const text = decoder.decode(line);
      if (text.trim() === "") continue;
      value = JSON.parse(text);
    } catch (cause) {
      throw brokenJson(where, "a JSON object in UTF-8", cause);
    }
    yield toRawRow(value, where);
  }
}

/**
 * The rows of a `.json` file: a list of objects, one object `{"data": [...]}` around such a list, or the layout of SQuAD
 * (articles of paragraphs of questions), which becomes one row a question with `title`, `context`, `question`,
 * `answers` and `id`.
 *
 * @throws {FormatError} if the file is not JSON, {@link DataError} if it has another layout.
 */
export function* readJsonRows(path: string): Generator<RawRow> {
  const text = readWholeText(path);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw brokenJson(path, "a list of objects in JSON", cause);
  }
  const list = Array.isArray(document) ? document : dataOf(document);
  if (!Array.isArray(list)) {
    throw new FormatError({
      where: path,
      expected: 'a list of objects, or an object with such a list under "data"',
      got: describeValue(document),
      fix: "Files with one object a line are named .jsonl.",
    });
  }
  let row = 0;
  for (const item of list) {
    if (isArticle(item))
      for (const values of questionsOf(item)) yield toRawRow(values, `${path} row ${++row}`);
    else yield toRawRow(item, `${path} row ${++row}`);
  }
}

interface Article {
  readonly title?: unknown;
  readonly paragraphs: readonly unknown[];
}

function dataOf(document: unknown): unknown {
  return typeof document === "object" && document !== null && "data" in document ? document.data : undefined;
}

function isArticle(item: unknown): item is Article {
  return typeof item === "object" && item !== null && "paragraphs" in item && Array.isArray(item.paragraphs);
}

function* questionsOf({ title, paragraphs }: Article): Generator<Record<string, unknown>> {
  for (const paragraph of paragraphs as readonly { context?: unknown; qas?: unknown }[]) {
    const questions = Array.isArray(paragraph?.qas) ? (paragraph.qas as readonly object[]) : [];
    for (const question of questions) yield { title, context: paragraph.context, ...question };
  }
}

function brokenJson(where: string, expected: string, cause: unknown): FormatError {
  const got = (cause as Error).message.replace(/\s+/g, " ").slice(0, 160);
  return new FormatError({ where, expected, got }, { cause });
}
