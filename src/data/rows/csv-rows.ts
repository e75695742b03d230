import { CsvError, parse } from "csv-parse/sync";
import { FormatError } from "../../core/errors.ts";
import { readWholeText } from "./file-bytes.ts";
import type { RawRow } from "./raw-row.ts";

/**
 * The rows of a CSV or TSV file after its header, as RFC 4180 has them: fields in double quotes may hold delimiters,
 * line ends and doubled quotes. Every value is a text. Blank lines are passed over.
 *
 * @throws {FormatError} naming the line of the first row that has more or fewer fields than the header, or whose quotes
 *   do not close; and a header with a name twice or none.
 */
export function* readCsvRows(path: string, delimiter: "," | "\t"): Generator<RawRow> {
  const records = parseRecords(path, readWholeText(path), delimiter);
  let header: readonly string[] | undefined;
  let nextLine = 1;
  for (const { record, raw } of records) {
    const where = `${path}:${nextLine}`;
    nextLine += raw.match(/\r\n?|\n/g)?.length ?? 0;
    if (record.length === 1 && raw.trim() === "") continue;
    if (header === undefined) {
      checkHeader(where, record);
      header = record;
      continue;
    }
    if (record.length !== header.length) {
      throw new FormatError({
        where,
        expected: `${header.length} fields, as in the header`,
        got: `${record.length}`,
        fix: "Put fields that hold the delimiter or a line end in double quotes.",
      });
    }
    yield { values: Object.fromEntries(header.map((name, i) => [name, record[i]])), where };
  }
}

interface CsvRecord {
  readonly record: readonly string[];
  /** What it was read from, line end included. */
  readonly raw: string;
}

function parseRecords(path: string, text: string, delimiter: string): CsvRecord[] {
  try {
    return parse(text, {
      delimiter,
      raw: true,
      relax_column_count: true, // counted here, to say what was expected
    }) as unknown as CsvRecord[];
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const line = "lines" in cause ? `:${cause.lines}` : "";
    const got = cause.message.replace(/\s+/g, " ").slice(0, 160);
    throw new FormatError(
      {
        where: `${path}${line}`,
        expected: 'fields that are plain, or in double quotes with inner quotes doubled ("")',
        got,
      },
      { cause },
    );
  }
}

function checkHeader(where: string, header: readonly string[]): void {
  const twice = header.find((name, i) => header.indexOf(name) !== i);
  if (twice === undefined && !header.includes("")) return;
  throw new FormatError({
    where,
    expected: "a header that names every column once",
    got: twice === undefined || twice === "" ? "a column without a name" : `"${twice}" twice`,
  });
}
