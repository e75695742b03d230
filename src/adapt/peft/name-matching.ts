import { regexPattern } from "../../codecs/regex/split-pattern.ts";
import { FormatError } from "../../core/errors.ts";
import { describeJson, isJsonObject, type JsonValue } from "../../hub/strict-json.ts";

/** Whether a module's published name is meant. */
export type NameTest = (name: string) => boolean;

/** More patterns than a model has layers are no honest file. */
const MAX_PATTERNS = 4096;

/**
 * Reads names of modules as PEFT has them: a list, each of which stands for every module whose name is or ends in it, or a
 * regular expression that a name has to match whole. Expressions of strangers run in bounded time.
 *
 * @throws {FormatError} if it is neither, or the expression cannot be read.
 */
export function readNameTest(value: JsonValue, where: string): NameTest {
  if (typeof value === "string") return wholeMatch(value, where);
  if (!isNameList(value)) {
    const expected = "a list of names, or a regular expression";
    throw new FormatError({ where, expected, got: describeJson(value) });
  }
  const ends = new Set(value);
  return (name) => endsOf(name).some((end) => ends.has(end));
}

/**
 * Reads values for some modules, such as their ranks: the first pattern that the end of a name matches counts.
 *
 * @throws {FormatError} if it is no object of numbers by patterns.
 */
export function readNamePatterns(
  value: JsonValue | undefined,
  where: string,
): (name: string) => number | undefined {
  const patterns = value ?? {};
  if (!isJsonObject(patterns) || Object.keys(patterns).length > MAX_PATTERNS) {
    const expected = `an object of at most ${MAX_PATTERNS} numbers by patterns`;
    throw new FormatError({ where, expected, got: describeJson(value) });
  }
  const tests = Object.entries(patterns).map(([pattern, number]) => {
    const of = `${where}, ${describeJson(pattern)}`;
    if (typeof number === "number") return { matches: wholeMatch(`(?:.*\\.)?(?:${pattern})`, of), number };
    throw new FormatError({ where: of, expected: "a number", got: describeJson(number) });
  });
  return (name) => tests.find(({ matches }) => matches(name))?.number;
}

/** The name, and what is left of it without its first parts. */
function endsOf(name: string): readonly string[] {
  const parts = name.split(".");
  return parts.map((_, i) => parts.slice(i).join("."));
}

/** Python names groups with a P. */
function wholeMatch(pattern: string, where: string): NameTest {
  const regex = regexPattern(`\\A(?:${pattern.replaceAll("(?P<", "(?<")})\\z`, "oniguruma", where);
  return (name) => regex.findAll(name).length > 0;
}

function isNameList(value: JsonValue): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
