import { DataError } from "../../core/errors.ts";
import type { ExampleKind } from "./example-kind.ts";
import { type RowSource, readRows } from "./read-rows.ts";
import { type ColumnTypes, checkMapping, type FieldMapping, RowFields } from "./row-fields.ts";

/** An example and the row it is from. */
export interface Row<T> {
  readonly example: T;
  /** `path:line` or `path row N`. */
  readonly where: string;
  /** What the row has in the column that rows are kept together by. */
  readonly group?: string;
}

/** How columns become examples. */
export interface LoadOptions extends RowSource {
  readonly mapping?: FieldMapping;
  /** A column such as an article's name: rows that agree in it stay on one side of a split. */
  readonly groupBy?: string;
}

/**
 * Reads and checks all examples of some files.
 *
 * @throws {ConfigError} if a field is mapped that this kind does not have.
 * @throws {DataError | FormatError} naming file, row and field of the first that cannot be used: what was expected, what came, and how to mend it.
 */
export async function loadExamples<T>(kind: ExampleKind<T>, options: LoadOptions): Promise<Row<T>[]> {
  const { mapping = {}, groupBy } = options;
  checkMapping(mapping, kind.fields);
  const types: ColumnTypes = new Map();
  const rows: Row<T>[] = [];
  for await (const raw of readRows(options)) {
    const fields = new RowFields(raw, mapping, types);
    const row = { example: kind.read(fields), where: raw.where };
    rows.push(groupBy === undefined ? row : { ...row, group: fields.name(groupBy) });
  }
  return rows;
}

/** Rows of one side that are asked again on another. */
export interface Repeats {
  /** How many rows of the second side repeat one of the first. */
  readonly count: number;
  /** The first of them. */
  readonly first?: { readonly where: string; readonly original: string };
}

/** Counts the held-out rows whose question is also trained on: their score says less than it seems to. */
export function countRepeats<T>(
  kind: ExampleKind<T>,
  training: readonly Row<T>[],
  heldOut: readonly Row<T>[],
): Repeats {
  const seen = new Map(training.map(({ example, where }) => [kind.identity(example), where]));
  const repeated = heldOut.filter(({ example }) => seen.has(kind.identity(example)));
  const [first] = repeated;
  if (first === undefined) return { count: 0 };
  return {
    count: repeated.length,
    first: { where: first.where, original: seen.get(kind.identity(first.example))! },
  };
}

/** The rows that do not repeat an earlier one, question and answer alike, and how many did. */
export function dropRepeats<T>(rows: readonly Row<T>[]): {
  readonly kept: Row<T>[];
  readonly dropped: number;
} {
  const seen = new Set<string>();
  const kept = rows.filter(({ example }) => {
    const key = JSON.stringify(example);
    return !seen.has(key) && seen.add(key);
  });
  return { kept, dropped: rows.length - kept.length };
}

/** @throws {DataError} if a side has no rows. */
export function requireRows<T>(rows: readonly Row<T>[], where: string): void {
  if (rows.length > 0) return;
  throw new DataError({ where, expected: "at least one example", got: "none" });
}
