import { ConfigError } from "./errors.ts";
import { suggest } from "./nearest.ts";

/** How one configuration key is read: checks a value and returns it, or says what was expected. */
export interface Field<T> {
  readonly describe: string;
  readonly fallback: T | undefined;
  /** May be left out, and is then not there. */
  readonly isOptional?: boolean;
  readonly accepts: (value: unknown) => value is T;
}

type FieldsOf<T> = { readonly [K in keyof T]-?: Field<Exclude<T[K], undefined>> };

/** An integer within [min, max]. Without a fallback the key is required. */
export function integer(
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
  fallback?: number,
): Field<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `≥ ${min}` : `in [${min}, ${max}]`;
  return {
    describe: `an integer ${range}`,
    fallback,
    accepts: (value): value is number => Number.isSafeInteger(value) && between(value as number, min, max),
  };
}

/** A finite number within [min, max]. */
export function real(min: number, max: number = Number.POSITIVE_INFINITY, fallback?: number): Field<number> {
  const range = max === Number.POSITIVE_INFINITY ? `≥ ${min}` : `in [${min}, ${max}]`;
  return {
    describe: `a number ${range}`,
    fallback,
    accepts: (value): value is number => Number.isFinite(value) && between(value as number, min, max),
  };
}

/** True or false. */
export function boolean(fallback?: boolean): Field<boolean> {
  return { describe: "true or false", fallback, accepts: (value) => typeof value === "boolean" };
}

/** The same field, which may be left out. */
export function optional<T>(field: Field<T>): Field<T> {
  return { ...field, isOptional: true };
}

/** Any text. */
export function string(fallback?: string): Field<string> {
  return { describe: "a string", fallback, accepts: (value) => typeof value === "string" };
}

/** One of a fixed set of words. */
export function oneOf<const T extends string>(choices: readonly T[], fallback?: NoInfer<T>): Field<T> {
  return {
    describe: `one of ${choices.join(", ")}`,
    fallback,
    accepts: (value): value is T => choices.includes(value as T),
  };
}

/**
 * Reads untrusted configuration against its fields: unknown keys and wrong values are errors that name the
 * key and the nearest valid one; missing keys take their fallback.
 *
 * @throws {ConfigError} on the first key that is unknown, missing or out of range.
 * @example
 * readFields("train", { steps: integer(1), seed: integer(0, 9, 1) }, { steps: 5 }); // => { steps: 5, seed: 1 }
 */
export function readFields<T extends object>(where: string, fields: FieldsOf<T>, input: object): T {
  for (const key of Object.keys(input)) {
    if (!Object.hasOwn(fields, key)) {
      throw new ConfigError({
        where: `${where}.${key}`,
        expected: "a known configuration key",
        got: `"${key}"`,
        fix: suggest(key, Object.keys(fields)),
      });
    }
  }
  const result: Record<string, unknown> = {};
  for (const [key, field] of Object.entries<Field<unknown>>(fields)) {
    const value = (input as Record<string, unknown>)[key] ?? field.fallback;
    if (value === undefined && field.isOptional) continue;
    if (!field.accepts(value)) {
      const got = value === undefined ? "nothing" : JSON.stringify(value);
      throw new ConfigError({ where: `${where}.${key}`, expected: field.describe, got });
    }
    result[key] = value;
  }
  return result as T;
}

function between(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}
