import { readFileSync, statSync } from "node:fs";
import { FormatError } from "../core/errors.ts";
import {
  decodeUtf8,
  describeJson,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseStrictJson,
} from "./strict-json.ts";
import { withSystemErrors } from "./system-error.ts";

/** Configurations and shard indices are far smaller; a larger file is not one. */
const MAX_JSON_BYTES = 100_000_000;

/**
 * Reads a JSON file strictly; see `parseStrictJson`.
 *
 * @throws {FormatError} if the content is not JSON, or larger than 100 MB.
 * @throws {EnvironmentError} if the file is missing or unreadable.
 */
export function readJsonFile(path: string): JsonValue {
  const bytes = withSystemErrors(path, "a readable JSON file", () => {
    const status = statSync(path);
    if (!status.isFile() || status.size > MAX_JSON_BYTES) {
      throw new FormatError({
        where: path,
        expected: `a file of at most ${MAX_JSON_BYTES} bytes`,
        got: status.isFile() ? `${status.size}` : "something not a file",
      });
    }
    return readFileSync(path);
  });
  return parseStrictJson(decodeUtf8(bytes, path), path);
}

/**
 * Reads a JSON file that must hold an object, as configurations do.
 *
 * @throws {FormatError} if it holds anything else, and as `readJsonFile`.
 */
export function readJsonObject(path: string): JsonObject {
  const value = readJsonFile(path);
  if (isJsonObject(value)) return value;
  throw new FormatError({ where: path, expected: "a JSON object", got: describeJson(value) });
}
