import { statSync } from "node:fs";
import { DataError } from "../../core/errors.ts";
import { listFiles } from "../list-files.ts";
import { readCsvRows } from "./csv-rows.ts";
import { unpackedName } from "./file-bytes.ts";
import { readJsonLineRows, readJsonRows } from "./json-rows.ts";
import { readParquetRows } from "./parquet-rows.ts";
import { describeValue, type RawRow } from "./raw-row.ts";
import { readTextRows } from "./text-rows.ts";

/** Where rows are read. */
export interface RowSource {
  /** Files, folders and globs, read in this order. */
  readonly paths: readonly string[];
  /** A field that holds a list of objects: each becomes a row of its own, with the other fields beside its own. */
  readonly each?: string;
}

/** Files a folder of rows may hold; others in it, such as a README, are passed over. */
const ROW_FILES = /\.(jsonl|ndjson|json|csv|tsv|txt)(\.gz)?$|\.parquet$/i;

/**
 * The rows of files by what their names end in: `.jsonl` or `.ndjson`, `.json`, `.csv`, `.tsv`, `.txt`, each also with `.gz`
 * after it, and `.parquet`. Text files in folders below a given folder are labelled with the folder's name.
 *
 * @throws {DataError} if a path is missing, a file has another ending, is empty, or a row is not an object.
 * @throws {FormatError} if a file is not what its name says.
 */
export async function* readRows({ paths, each }: RowSource): AsyncGenerator<RawRow> {
  for (const path of paths) {
    const root = isFolder(path) ? path : undefined;
    const files = listFiles({ paths: [path], weight: 1, textField: "text" });
    const wanted = files.filter((file) => file.named || ROW_FILES.test(file.path));
    if (wanted.length === 0) {
      const fix = "Name .jsonl, .json, .csv, .tsv, .txt or .parquet files.";
      throw new DataError({ where: path, expected: "files with rows", got: "none", fix });
    }
    for (const file of wanted) {
      let isEmpty = true;
      for await (const row of readFile(file.path, root)) {
        isEmpty = false;
        if (each === undefined) yield row;
        else yield* unfold(row, each);
      }
      if (isEmpty) {
        throw new DataError({ where: file.path, expected: "at least one row", got: "an empty file" });
      }
    }
  }
}

function readFile(path: string, root: string | undefined): Iterable<RawRow> | AsyncIterable<RawRow> {
  const ending = /\.\w+$/.exec(unpackedName(path).toLowerCase())?.[0];
  switch (ending) {
    case ".jsonl":
    case ".ndjson":
      return readJsonLineRows(path);
    case ".json":
      return readJsonRows(path);
    case ".csv":
      return readCsvRows(path, ",");
    case ".tsv":
      return readCsvRows(path, "\t");
    case ".parquet":
      if (unpackedName(path) === path) return readParquetRows(path);
      break;
    case ".txt":
      return readTextRows(path, root);
  }
  throw new DataError({
    where: path,
    expected: "a name that ends in .jsonl, .ndjson, .json, .csv, .tsv, .txt (or these with .gz), or .parquet",
    got: ending === undefined ? "none of them" : `"${ending}"`,
    fix: "Rename it after what it holds.",
  });
}

function* unfold(row: RawRow, field: string): Generator<RawRow> {
  const list = row.values[field];
  if (!Array.isArray(list)) {
    throw new DataError({
      where: `${row.where} ${field}`,
      expected: "a list of objects",
      got: describeValue(list),
    });
  }
  const { [field]: _, ...others } = row.values;
  for (const [i, item] of list.entries()) {
    const where = `${row.where} ${field}[${i}]`;
    if (typeof item !== "object" || item === null || Array.isArray(item)) {
      throw new DataError({ where, expected: "an object", got: describeValue(item) });
    }
    yield { values: { ...others, ...item }, where };
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
