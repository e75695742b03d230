import { ConfigError } from "../core/errors.ts";

/** How one flag is written, read and described. */
export interface FlagSpec<T> {
  readonly describe: string;
  /** Stands for the value in the help text, e.g. `DIR`; empty for a switch. */
  readonly placeholder: string;
  /** `switch` takes no value, `one` takes one, `many` takes all words up to the next flag and may be repeated. */
  readonly arity: "switch" | "one" | "many";
  readonly required: boolean;
  /** The value when the flag is not given. */
  readonly fallback: T;
  /** @throws {ConfigError} naming `flag` when a raw value is not acceptable. */
  readonly read: (raw: readonly string[], flag: string) => T;
  /** The value names a model, as `PositionalSpec.isModel` says of words. */
  readonly isModel?: true;
}

interface FlagOptions<F> {
  readonly describe: string;
  readonly placeholder?: string;
  readonly fallback?: F;
}

interface RangeOptions<F> extends FlagOptions<F> {
  readonly min?: number;
  readonly max?: number;
}

/** A value written on the command line as `--set key=value`. */
export type SettingValue = string | number | boolean;

/** The decimal notations people type; `Number` alone would also take "", " ", "0x1f" and "Infinity". */
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Any text. */
export function text<const F extends string | undefined = undefined>(
  options: FlagOptions<F>,
): FlagSpec<string | F> {
  return one(options, "TEXT", (raw) => raw);
}

/** A model beside the verb's own: a directory, or an id on Hugging Face with its revision. */
export function model(options: Omit<FlagOptions<undefined>, "fallback">): FlagSpec<string | undefined> {
  return { ...text({ placeholder: "MODEL", ...options }), isModel: true };
}

/** One of a fixed set of words. */
export function choice<const T extends string, const F extends NoInfer<T> | undefined = undefined>(
  choices: readonly T[],
  options: FlagOptions<F>,
): FlagSpec<T | F> {
  return one(options, choices.join("|"), (raw, flag) => {
    const found = choices.find((word) => word === raw);
    if (found === undefined) {
      throw new ConfigError({ where: flag, expected: `one of ${choices.join(", ")}`, got: `"${raw}"` });
    }
    return found;
  });
}

/** A finite number in [min, max]. */
export function number<const F extends number | undefined = undefined>(
  options: RangeOptions<F>,
): FlagSpec<number | F> {
  return one(options, "X", (raw, flag) => readNumber(raw, flag, options, "a number"));
}

/** A whole number in [min, max]. */
export function integer<const F extends number | undefined = undefined>(
  options: RangeOptions<F>,
): FlagSpec<number | F> {
  return one(options, "N", (raw, flag) => readInteger(raw, flag, options));
}

/** A switch: off unless given, or as `fallback` says; `--no-name` turns it off, and is then what `describe` is about. */
export function boolean(options: FlagOptions<boolean>): FlagSpec<boolean> {
  return {
    describe: options.describe,
    placeholder: "",
    arity: "switch",
    required: false,
    fallback: options.fallback ?? false,
    read: (raw) => raw[0] === "true",
  };
}

/** Several words: `--data a b c`, also repeated. */
export function list(options: Omit<FlagOptions<readonly string[]>, "fallback">): FlagSpec<readonly string[]> {
  return many(options, "TEXT…", [], (raw) => raw);
}

/** Several whole numbers, separated by commas or spaces: `--tokens 1,2,3`. `undefined` when not given. */
export function integers(
  options: Omit<RangeOptions<undefined>, "fallback">,
): FlagSpec<readonly number[] | undefined> {
  return many(options, "N,N…", undefined, (raw, flag) =>
    raw.flatMap((word) => word.split(",")).map((word) => readInteger(word.trim(), flag, options)),
  );
}

/**
 * `--set key=value …`: numbers and true/false become such, a value in double quotes stays text, all else is text.
 */
export function settings(
  options: Omit<FlagOptions<undefined>, "fallback">,
): FlagSpec<Readonly<Record<string, SettingValue>>> {
  return many(options, "KEY=VALUE…", {}, (raw, flag) => {
    const pairs = new Map<string, SettingValue>();
    for (const word of raw) {
      const split = word.indexOf("=");
      const key = word.slice(0, split).trim();
      if (split < 1 || key === "") {
        throw new ConfigError({ where: flag, expected: "key=value", got: `"${word}"` });
      }
      if (pairs.has(key)) {
        throw new ConfigError({ where: flag, expected: `"${key}" to be set once`, got: "a second value" });
      }
      pairs.set(key, readSetting(word.slice(split + 1)));
    }
    return Object.fromEntries(pairs);
  });
}

/** The same flag, but the verb does not run without it. */
export function required<T>(spec: FlagSpec<T>): FlagSpec<Exclude<T, undefined>> {
  return { ...spec, required: true } as FlagSpec<Exclude<T, undefined>>;
}

function one<T, F>(
  options: FlagOptions<F>,
  placeholder: string,
  read: (raw: string, flag: string) => T,
): FlagSpec<T | F> {
  return {
    describe: options.describe,
    placeholder: options.placeholder ?? placeholder,
    arity: "one",
    required: false,
    fallback: options.fallback as F, // F is `undefined` when no fallback was given
    read: (raw, flag) => read(raw[0]!, flag),
  };
}

function many<T>(
  options: { readonly describe: string; readonly placeholder?: string },
  placeholder: string,
  fallback: T,
  read: (raw: readonly string[], flag: string) => T,
): FlagSpec<T> {
  const { describe } = options;
  return {
    describe,
    placeholder: options.placeholder ?? placeholder,
    arity: "many",
    required: false,
    fallback,
    read,
  };
}

function readInteger(raw: string, flag: string, range: { min?: number; max?: number }): number {
  const value = readNumber(raw, flag, range, "an integer");
  if (!Number.isSafeInteger(value)) throw wrongNumber(raw, flag, range, "an integer");
  return value;
}

function readNumber(
  raw: string,
  flag: string,
  range: { readonly min?: number; readonly max?: number },
  kind: string,
): number {
  const value = DECIMAL.test(raw) ? Number(raw) : Number.NaN;
  const { min = -Number.MAX_VALUE, max = Number.MAX_VALUE } = range;
  if (!(value >= min && value <= max)) throw wrongNumber(raw, flag, range, kind);
  return value;
}

function wrongNumber(
  raw: string,
  flag: string,
  { min, max }: { readonly min?: number; readonly max?: number },
  kind: string,
): ConfigError {
  const both = min !== undefined && max !== undefined ? ` in [${min}, ${max}]` : undefined;
  const range = both ?? (min !== undefined ? ` ≥ ${min}` : max !== undefined ? ` ≤ ${max}` : "");
  return new ConfigError({ where: flag, expected: `${kind}${range}`, got: `"${raw}"` });
}

function readSetting(raw: string): SettingValue {
  if (raw === "true" || raw === "false") return raw === "true";
  if (DECIMAL.test(raw)) return Number(raw);
  if (raw.length >= 2 && raw.startsWith('"') && raw.endsWith('"')) return raw.slice(1, -1);
  return raw;
}
