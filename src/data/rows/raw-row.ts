import { DataError } from "../../core/errors.ts";

/** One row of a file before anything is known about its fields. */
export interface RawRow {
  readonly values: Readonly<Record<string, unknown>>;
  /** `path:line` for text, `path row N` for other files, counted from 1. */
  readonly where: string;
}

const MAX_SHOWN = 60;

/** A value in a few words for an error message, however large or deep it is. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return value === null ? "null" : "nothing";
  if (typeof value === "string") {
    if (value === "") return "an empty text";
    const shown = value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value;
    return JSON.stringify(shown);
  }
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (typeof value === "object") {
    const keys = Object.keys(value);
    const shown = keys.slice(0, 6).join(", ");
    return keys.length === 0 ? "an empty object" : `an object with ${shown}${keys.length > 6 ? ", …" : ""}`;
  }
  return String(value);
}

/**
 * The row as an object.
 *
 * @throws {DataError} if it is anything else.
 */
export function toRawRow(value: unknown, where: string): RawRow {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return { values: value as Record<string, unknown>, where };
  }
  throw new DataError({ where, expected: "an object with named fields", got: describeValue(value) });
}
