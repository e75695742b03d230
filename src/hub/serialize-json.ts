import { DataError } from "../core/errors.ts";
import { describeJson } from "./strict-json.ts";

/** Deepest nesting written: what `parseStrictJson` takes by default. */
const MAX_DEPTH = 64;

/**
 * JSON text, two-space indented with a final newline, that reads back as exactly the same value.
 *
 * `JSON.stringify` drops `undefined`, turns NaN and the infinities into `null` and −0 into 0: a resumed run
 * would quietly differ. Here those are errors, and −0 is kept. Keys stay in their own order.
 *
 * @param value what to write; typed loosely so that configuration interfaces fit
 * @param where named in the error
 * @throws {DataError} naming the key of the first value JSON cannot hold.
 * @example
 * serializeJson({ a: [1, -0] }, "x.json"); // => '{\n  "a": [\n    1,\n    -0\n  ]\n}\n'
 */
export function serializeJson(value: unknown, where: string): string {
  return `${serialize(value, where, 0)}\n`;
}

function serialize(value: unknown, where: string, depth: number): string {
  if (depth > MAX_DEPTH) fail(where, `nesting of at most ${MAX_DEPTH}`, "a deeper value");
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return serializeNumber(value, where);
  if (typeof value === "string") return serializeString(value, where);
  if (Array.isArray(value)) {
    // Array.from also visits holes, which map would skip.
    const items = Array.from(value, (item, i) => serialize(item, `${where}[${i}]`, depth + 1));
    return bracket("[", items, "]", depth);
  }
  if (typeof value !== "object" || !isPlain(value)) fail(where, "a JSON value", describe(value));
  const fields = Object.entries(value).map(
    ([key, item]) => `${serializeString(key, where)}: ${serialize(item, `${where}.${key}`, depth + 1)}`,
  );
  return bracket("{", fields, "}", depth);
}

function bracket(open: string, items: readonly string[], close: string, depth: number): string {
  if (items.length === 0) return open + close;
  const indent = "  ".repeat(depth);
  return `${open}\n${items.map((item) => `${indent}  ${item}`).join(",\n")}\n${indent}${close}`;
}

function serializeNumber(value: number, where: string): string {
  if (!Number.isFinite(value)) fail(where, "a finite number", String(value));
  return Object.is(value, -0) ? "-0" : String(value);
}

function serializeString(value: string, where: string): string {
  if (/\p{Surrogate}/u.test(value)) fail(where, "a string without lone surrogates", describeJson(value));
  return JSON.stringify(value);
}

/** Maps, dates and typed arrays would be written as `{}` or as something that does not read back. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function describe(value: unknown): string {
  return typeof value === "object" && value !== null ? `a ${value.constructor.name}` : String(value);
}

function fail(where: string, expected: string, got: string): never {
  throw new DataError({ where, expected, got });
}
