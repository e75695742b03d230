import { DataError } from "../../core/errors.ts";
import type { RawRow } from "../../data/rows/raw-row.ts";

const PLACEHOLDER = /\{([\p{L}\p{N}_.*-]+)\}/gu;

/**
 * A template with the fields of a row in place of `{name}`. `{a.b}` goes into objects, `{list.0}` into lists, and `{list.*.name}` through all of a
 * list, one a line. Braces around anything else are text.
 *
 * @throws {DataError} naming the row and the field that it does not have.
 * @example
 * fillTemplate("Q: {question}", { values: { question: "why?" }, where: "a.jsonl:1" }); // => "Q: why?"
 */
export function fillTemplate(template: string, row: RawRow): string {
  return template.replace(PLACEHOLDER, (_, path: string) => fieldValues(path, row).join("\n"));
}

/** The paths of a template's fields, each once. */
export function templateFields(template: string): string[] {
  return [...new Set([...template.matchAll(PLACEHOLDER)].map(([, path]) => path!))];
}

/**
 * All values at a path of a row, as texts.
 *
 * @throws {DataError} naming the row and the field that it does not have.
 */
export function fieldValues(path: string, row: RawRow): string[] {
  return valuesAt(path, row).map((value) => {
    if (isPlain(value)) return `${value}`;
    const got = value === undefined ? "no such field" : "none of these";
    const fix = `It has ${Object.keys(row.values).join(", ")}.`;
    throw new DataError({
      where: `${row.where} ${path}`,
      expected: "a text, number or truth value",
      got,
      fix,
    });
  });
}

/** Whether a row has something at a path. */
export function hasField(path: string, row: RawRow): boolean {
  return valuesAt(path, row).some(isPlain);
}

function valuesAt(path: string, row: RawRow): unknown[] {
  let values: unknown[] = [row.values];
  for (const step of path.split(".")) {
    values = values.flatMap((value) =>
      step === "*" && Array.isArray(value) ? value : [fieldOf(value, step)],
    );
  }
  return values;
}

function isPlain(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function fieldOf(value: unknown, step: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
  return (value as Record<string, unknown>)[step];
}
