import { ConfigError, DataError } from "../../core/errors.ts";
import { suggest } from "../../core/nearest.ts";
import { describeValue, type RawRow } from "./raw-row.ts";

/** Which column holds a field, where its name is another: `{ text: "question", label: "meta.intent" }`. */
export type FieldMapping = Readonly<Record<string, string>>;

/**
 * Reads `field=column` pairs.
 *
 * @throws {ConfigError} if one has no `=`, or a field is mapped twice.
 * @example
 * parseFieldMapping(["text=question"]); // => { text: "question" }
 */
export function parseFieldMapping(pairs: readonly string[]): FieldMapping {
  const mapping: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    const field = pair.slice(0, Math.max(at, 0));
    if (at < 1 || at === pair.length - 1 || Object.hasOwn(mapping, field)) {
      const expected = "field=column, each field once, such as text=question";
      throw new ConfigError({ where: "field", expected, got: `"${pair}"` });
    }
    mapping[field] = pair.slice(at + 1);
  }
  return mapping;
}

/** @throws {ConfigError} if a field is mapped that examples of this kind do not have. */
export function checkMapping(mapping: FieldMapping, fields: readonly string[]): void {
  for (const field of Object.keys(mapping)) {
    if (fields.includes(field)) continue;
    throw new ConfigError({
      where: `field ${field}`,
      expected: `one of ${fields.join(", ")}`,
      got: `"${field}"`,
      fix: suggest(field, fields),
    });
  }
}

/** The type each column had first, by which later rows are held to it. */
export type ColumnTypes = Map<string, { readonly type: string; readonly where: string }>;

/** The fields of one row, checked as they are read. Every error names file, row and field. */
export class RowFields {
  readonly where: string;
  readonly #row: RawRow;
  readonly #mapping: FieldMapping;
  readonly #types: ColumnTypes;

  constructor(row: RawRow, mapping: FieldMapping, types: ColumnTypes) {
    this.where = row.where;
    this.#row = row;
    this.#mapping = mapping;
    this.#types = types;
  }

  /** True if the column is there and holds something. */
  has(field: string): boolean {
    const value = this.value(field);
    return value !== undefined && value !== null && value !== "";
  }

  /** What the column holds, unchecked; `undefined` if it is not there. A name with dots may lead into objects. */
  value(field: string): unknown {
    const { values } = this.#row;
    const column = this.#mapping[field] ?? field;
    if (Object.hasOwn(values, column)) return values[column];
    let value: unknown = values;
    for (const key of column.split(".")) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
      value = (value as Record<string, unknown>)[key];
    }
    return value;
  }

  /** A text that is more than white space. */
  text(field: string): string {
    const value = this.#required(field, "a text");
    if (typeof value !== "string") this.fail(field, "a text", describeValue(value));
    if (value.trim() === "") this.fail(field, "a text that is not empty", describeValue(value));
    return this.wholeCharacters(field, value);
  }

  /** The text, refused if it holds half a surrogate pair: JSON can escape one, no UTF-8 text can hold it. */
  wholeCharacters(field: string, text: string): string {
    if (text.isWellFormed()) return text;
    return this.fail(field, "whole characters", "a lone surrogate");
  }

  /** The name of a class: a text, or a whole number or truth value by its name. One column holds one type. */
  name(field: string): string {
    const value = this.#required(field, "a label");
    if (typeof value === "string") {
      if (value.trim() === "") this.fail(field, "a label that is not empty", describeValue(value));
    } else if (typeof value !== "boolean" && !Number.isSafeInteger(value)) {
      this.fail(field, "a text or a whole number", describeValue(value));
    }
    return String(value);
  }

  /** A finite number, or a text that is one. */
  number(field: string): number {
    const value = this.#required(field, "a number");
    const isNumeric = typeof value === "string" && /^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(value);
    const number = isNumeric ? Number(value) : value;
    if (typeof number !== "number" || !Number.isFinite(number)) {
      return this.fail(field, "a finite number", describeValue(value));
    }
    return number;
  }

  /** A list; in CSV, where there are none, its JSON. */
  list(field: string): readonly unknown[] {
    const value = this.#required(field, "a list");
    if (Array.isArray(value)) return value;
    if (typeof value === "string" && value.trimStart().startsWith("[")) return this.#parseList(field, value);
    return this.fail(field, "a list", describeValue(value));
  }

  /**
   * Ends with an error about a field of this row.
   *
   * @throws {DataError} always.
   */
  fail(field: string, expected: string, got: string, fix?: string): never {
    const column = this.#mapping[field];
    const name = column === undefined || column === field ? field : `${field} (${column})`;
    throw new DataError({ where: `${this.where} ${name}`, expected, got, ...(fix && { fix }) });
  }

  #parseList(field: string, json: string): readonly unknown[] {
    try {
      return JSON.parse(json) as unknown[];
    } catch (cause) {
      return this.fail(field, "a list in JSON", (cause as Error).message);
    }
  }

  #required(field: string, expected: string): unknown {
    const value = this.value(field);
    if (value === undefined) {
      const columns = Object.keys(this.#row.values);
      const got = `columns ${columns.slice(0, 20).join(", ") || "none"}`;
      const example = columns.find((name) => name !== field) ?? "column";
      const column = this.#mapping[field] ?? field;
      this.fail(
        field,
        `a column "${column}"`,
        got,
        `Say which holds it, such as --field ${field}=${example}.`,
      );
    }
    if (value === null) this.fail(field, expected, "null");
    this.#checkType(field, value);
    return value;
  }

  #checkType(field: string, value: unknown): void {
    const type = Array.isArray(value) ? "list" : typeof value;
    const first = this.#types.get(field);
    if (first === undefined) this.#types.set(field, { type, where: this.where });
    else if (first.type !== type) {
      const expected = `a ${first.type}, as at ${first.where}`;
      this.fail(field, expected, `the ${type} ${describeValue(value)}`, "Give the column one type.");
    }
  }
}
