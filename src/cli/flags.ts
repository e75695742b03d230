import { parseArgs } from "node:util";
import { ConfigError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { FlagSpec } from "./flag-specs.ts";

/** The flags of a verb by camelCase name; on the command line they are kebab-case (`maxTokens` is `--max-tokens`). */
export type FlagSpecs = Readonly<Record<string, FlagSpec<unknown>>>;

/** What the flags hold after reading. */
export type FlagValues<F extends FlagSpecs> = {
  readonly [K in keyof F]: F[K] extends FlagSpec<infer T> ? T : never;
};

/** One word of the command line that is not a flag. */
export interface PositionalSpec {
  readonly name: string;
  readonly describe: string;
  readonly required: boolean;
  /** The word names a model, which may be an id on Hugging Face: the frame makes a directory of it. */
  readonly isModel?: true;
}

/** A command line, read. */
export interface ParsedArguments<F extends FlagSpecs> {
  readonly flags: FlagValues<F>;
  readonly positionals: readonly string[];
}

type Token = NonNullable<ReturnType<typeof parseArgs>["tokens"]>[number];
type OptionToken = Extract<Token, { kind: "option" }>;

/**
 * Reads the words after the verb against its flags and positionals.
 *
 * A `many` flag takes every word up to the next flag (`--data a b c`) and may be repeated; `--` ends it.
 * A switch is also understood as `--no-name`. A value that itself starts with `--` needs the `--name=value` form.
 *
 * @throws {ConfigError} on an unknown or repeated flag, a missing or wrong value, too few or too many words.
 * @example
 * readArguments("demo", { data: list({ describe: "files" }) }, [], ["--data", "a", "b"]).flags.data; // => ["a", "b"]
 */
export function readArguments<F extends FlagSpecs>(
  verb: string,
  specs: F,
  positionalSpecs: readonly PositionalSpec[],
  words: readonly string[],
): ParsedArguments<F> {
  const keyOf = new Map(Object.keys(specs).map((key) => [toFlagName(key), key]));
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  let open: string[] | undefined; // the `many` flag that takes the plain words

  for (const token of tokenize(specs, words)) {
    if (token.kind === "option-terminator") {
      open = undefined;
    } else if (token.kind === "positional") {
      (open ?? positionals).push(token.value);
    } else {
      open = takeOption(verb, specs, keyOf, given, token);
    }
  }
  checkPositionals(verb, specs, positionalSpecs, positionals, given);
  return { flags: readValues(verb, specs, given), positionals };
}

/** `maxTokens` → `max-tokens`. */
export function toFlagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function tokenize(specs: FlagSpecs, words: readonly string[]): Token[] {
  const options: Record<string, { type: "string" | "boolean"; multiple: true }> = {};
  for (const [key, spec] of Object.entries(specs)) {
    options[toFlagName(key)] = { type: spec.arity === "switch" ? "boolean" : "string", multiple: true };
  }
  // Not strict: our own errors name the nearest flag, Node's do not.
  return parseArgs({ args: [...words], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

/** Notes what one flag was given; returns its list when it goes on to take plain words. */
function takeOption(
  verb: string,
  specs: FlagSpecs,
  keyOf: ReadonlyMap<string, string>,
  given: Map<string, string[]>,
  token: OptionToken,
): string[] | undefined {
  const { key, negated } = findFlag(verb, specs, keyOf, token);
  const spec = specs[key]!;
  const flag = `--${toFlagName(key)}`;
  const earlier = given.get(key);
  if (earlier && spec.arity !== "many") {
    throw new ConfigError({ where: flag, expected: "to be given once", got: "a second one" });
  }
  if (spec.arity === "switch") {
    if (token.inlineValue === true) {
      throw new ConfigError({ where: flag, expected: "no value", got: `"${token.value}"` });
    }
    given.set(key, [negated ? "false" : "true"]);
    return undefined;
  }
  const values = earlier ?? [];
  values.push(readFlagValue(flag, spec, token));
  given.set(key, values);
  return spec.arity === "many" ? values : undefined;
}

function findFlag(
  verb: string,
  specs: FlagSpecs,
  keyOf: ReadonlyMap<string, string>,
  token: OptionToken,
): { key: string; negated: boolean } {
  const long = token.rawName.startsWith("--");
  const key = long ? keyOf.get(token.name) : undefined;
  if (key !== undefined) return { key, negated: false };
  const positive = long && token.name.startsWith("no-") ? keyOf.get(token.name.slice(3)) : undefined;
  if (positive !== undefined && specs[positive]!.arity === "switch") return { key: positive, negated: true };
  const near = nearest(token.name, keyOf.keys());
  throw new ConfigError({
    where: token.rawName,
    expected: `a flag of "plinth ${verb}"`,
    got: "an unknown one",
    fix: near ? `Did you mean "--${near}"?` : `See plinth ${verb} --help.`,
  });
}

function readFlagValue(flag: string, spec: FlagSpec<unknown>, token: OptionToken): string {
  const { value } = token;
  if (value === undefined || (token.inlineValue === false && value.startsWith("--"))) {
    throw new ConfigError({
      where: flag,
      expected: `a value ${spec.placeholder}`,
      got: value === undefined ? "nothing" : `the flag ${value}`,
      ...(value === undefined ? {} : { fix: `If it is meant as the value, write ${flag}=${value}.` }),
    });
  }
  return value;
}

function checkPositionals(
  verb: string,
  specs: FlagSpecs,
  expected: readonly PositionalSpec[],
  positionals: readonly string[],
  given: ReadonlyMap<string, string[]>,
): void {
  const missing = expected.slice(positionals.length).find((spec) => spec.required);
  if (missing) {
    const greedy = [...given.keys()].find(
      (key) => specs[key]!.arity === "many" && given.get(key)!.length > 1,
    );
    throw new ConfigError({
      where: `plinth ${verb}`,
      expected: `<${missing.name}>, ${missing.describe}`,
      got: "nothing",
      fix: greedy
        ? `--${toFlagName(greedy)} takes all words after it: put <${missing.name}> first.`
        : `See plinth ${verb} --help.`,
    });
  }
  if (positionals.length > expected.length) {
    const count =
      expected.length === 0 ? "no words" : `${expected.length} word${expected.length > 1 ? "s" : ""}`;
    throw new ConfigError({
      where: `plinth ${verb}`,
      expected: `${count} besides the flags`,
      got: `also "${positionals[expected.length]}"`,
      fix: `See plinth ${verb} --help.`,
    });
  }
}

function readValues<F extends FlagSpecs>(
  verb: string,
  specs: F,
  given: ReadonlyMap<string, readonly string[]>,
): FlagValues<F> {
  const values: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(specs)) {
    const raw = given.get(key);
    const flag = `--${toFlagName(key)}`;
    if (raw === undefined && spec.required) {
      throw new ConfigError({
        where: `plinth ${verb}`,
        expected: `${flag} ${spec.placeholder}, ${spec.describe}`,
        got: "no such flag",
      });
    }
    values[key] = raw === undefined ? spec.fallback : spec.read(raw, flag);
  }
  return values as FlagValues<F>;
}
