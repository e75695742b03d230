import type { Budget } from "./budget.ts";
import { Scope } from "./evaluator.ts";
import { setAttribute } from "./statements.ts";
import { formatTime } from "./strftime.ts";
import { toText } from "./text.ts";
import {
  type Arguments,
  bindArguments,
  Callable,
  Dict,
  fail,
  iterate,
  type Key,
  Namespace,
  Range,
  TemplateFault,
  toKey,
  typeName,
  type Value,
} from "./values.ts";

/** Jinja's sandbox refuses longer ranges. */
const MAX_RANGE = 100_000;

/** The names every template knows: Jinja's own and those Hugging Face adds. */
export function makeGlobals(now: Date, budget: Budget): Scope {
  const scope = new Scope();
  for (const [name, value] of [
    ["true", true],
    ["True", true],
    ["false", false],
    ["False", false],
    ["none", null],
    ["None", null],
  ] as const) {
    scope.names.set(name, value);
  }
  const define = (name: string, call: (args: Arguments) => Value) =>
    scope.names.set(name, new Callable(name, call));
  define("range", makeRange);
  define("dict", (args) => makeDict(args, budget));
  define("namespace", (args) => {
    const namespace = new Namespace();
    for (const [key, value] of makeDict(args, budget).entries) setAttribute(namespace, String(key), value);
    return namespace;
  });
  define("raise_exception", (args) => {
    const [message = ""] = bindArguments("raise_exception", ["message"], args);
    throw new TemplateFault(toText(message, budget), true);
  });
  define("strftime_now", (args) => {
    const [format] = bindArguments("strftime_now", ["format"], args);
    if (typeof format !== "string") return fail("strftime_now() takes a string");
    budget.spend(format.length);
    return formatTime(now, format);
  });
  define("joiner", (args) => {
    const [separator = ", "] = bindArguments("joiner", ["sep"], args);
    let used = false;
    return new Callable("joiner", () => {
      const text = used ? separator : "";
      used = true;
      return text;
    });
  });
  return scope;
}

function makeRange({ positional }: Arguments): Range {
  const numbers = positional.map((value) => {
    if (typeof value === "bigint" || typeof value === "boolean") return Number(value);
    return fail(`'${typeName(value)}' object cannot be interpreted as an integer`);
  });
  if (numbers.length < 1 || numbers.length > 3) fail("range takes one to three integers");
  const [start, stop, step] =
    numbers.length === 1 ? [0, numbers[0]!, 1] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1];
  if (step === 0) fail("range() arg 3 must not be zero");
  const range = new Range(start, stop, step);
  if (range.length > MAX_RANGE) fail(`its range has ${range.length} items; at most ${MAX_RANGE} are allowed`);
  return range;
}

function makeDict({ positional, named }: Arguments, budget: Budget): Dict {
  const entries = new Map<Key, Value>();
  const [source] = positional;
  if (positional.length > 1) fail(`dict expected at most 1 argument, got ${positional.length}`);
  if (source instanceof Dict) {
    for (const [key, value] of source.entries) entries.set(key, value);
  } else if (source !== undefined) {
    for (const pair of iterate(source, budget)) {
      const parts = iterate(pair, budget);
      if (parts.length !== 2) fail("dict needs pairs of a key and a value");
      entries.set(toKey(parts[0]!), parts[1]!);
    }
  }
  for (const [key, value] of named) entries.set(key, value);
  budget.spend(entries.size);
  return new Dict(entries);
}
