import { isJsonObject, type JsonObject, type JsonValue } from "../../hub/strict-json.ts";

/** True if both are the same JSON value; the order of keys does not count. */
export function isSameJson(a: JsonValue, b: JsonValue): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/** JSON text that equal values share. */
export function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join()}]`;
  if (!isJsonObject(value)) return JSON.stringify(value === 0 ? 0 : value); // −0 is 0
  const sorted = Object.entries(value as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join()}}`;
}
