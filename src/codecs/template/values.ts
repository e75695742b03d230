import type { Budget } from "./budget.ts";

/*
 * Python's values as a chat template sees them. Integers are `bigint` and floats `number`, which keeps `1` and
 * `1.0` apart. Everything is immutable, as in the sandbox that Hugging Face renders in.
 */

/** A name that means nothing: prints as nothing, loops over nothing, and fails at most else. */
export class Undefined {
  readonly hint: string;
  constructor(hint: string) {
    this.hint = hint;
  }
}

/**
 * Text that `safe` or `escape` marked as HTML. Adding it to other text escapes the other, and published templates
 * that put `| safe` behind `tojson` do print `&#34;`, so the mark has to be kept. Anything but `+` drops it.
 */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** The value without the mark. */
export function unmarked(value: Value): Value {
  return value instanceof Markup ? value.text : value;
}

/** `[a, b]`. */
export class List {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** `(a, b)`. */
export class Tuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

/** What can be a key of a dictionary here. */
export type Key = string | bigint | number | boolean | null;

/** `{"a": 1}`, in the order of insertion. */
export class Dict {
  readonly entries: ReadonlyMap<Key, Value>;
  constructor(entries: ReadonlyMap<Key, Value>) {
    this.entries = entries;
  }
}

/** `d.items()`, `d.keys()` and `d.values()`: they have a length but no positions. */
export class DictView {
  readonly name: string;
  readonly items: readonly Value[];
  constructor(name: "dict_items" | "dict_keys" | "dict_values", items: readonly Value[]) {
    this.name = name;
    this.items = items;
  }
}

/** What filters such as `map` and `select` give: can be walked once, has no length, is always true. */
export class Stream {
  #items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.#items = items;
  }
  take(): readonly Value[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }
}

/** `range(start, stop, step)`, which takes no memory until it is walked. */
export class Range {
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  constructor(start: number, stop: number, step: number) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }
  get length(): number {
    return Math.max(0, Math.ceil((this.stop - this.start) / this.step));
  }
  at(index: number): bigint {
    return BigInt(this.start + index * this.step);
  }
}

/** `namespace(…)`: the one thing a template can change. */
export class Namespace {
  readonly attributes = new Map<string, Value>();
}

/** `loop` inside a `for`: what it knows is worked out when asked for, as most of it never is. */
export class Loop {
  readonly #items: readonly Value[];
  readonly #changed: Callable;
  readonly index: number;
  readonly depth: number;

  constructor(items: readonly Value[], index: number, depth: number, changed: Callable) {
    this.#items = items;
    this.#changed = changed;
    this.index = index;
    this.depth = depth;
  }

  get length(): number {
    return this.#items.length;
  }

  get(name: string): Value | undefined {
    const { index, length, depth } = this;
    switch (name) {
      case "index":
        return BigInt(index + 1);
      case "index0":
        return BigInt(index);
      case "revindex":
        return BigInt(length - index);
      case "revindex0":
        return BigInt(length - index - 1);
      case "first":
        return index === 0;
      case "last":
        return index === length - 1;
      case "length":
        return BigInt(length);
      case "depth":
        return BigInt(depth);
      case "depth0":
        return BigInt(depth - 1);
      case "previtem":
        return index > 0 ? this.#items[index - 1] : new Undefined("there is no previous item, it");
      case "nextitem":
        return index < length - 1 ? this.#items[index + 1] : new Undefined("there is no next item, it");
      case "cycle":
        return new Callable("cycle", ({ positional }) =>
          positional.length > 0 ? positional[index % positional.length]! : fail("no items for cycling given"),
        );
      case "changed":
        return this.#changed;
      default:
        return undefined;
    }
  }
}

/** Arguments of a call, by position and by name. */
export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A function, a method or a macro. */
export class Callable {
  readonly name: string;
  readonly call: (args: Arguments) => Value;
  constructor(name: string, call: (args: Arguments) => Value) {
    this.name = name;
    this.call = call;
  }
}

/** Anything a template can hold. */
export type Value =
  | Undefined
  | null
  | boolean
  | bigint
  | number
  | string
  | Markup
  | List
  | Tuple
  | Dict
  | DictView
  | Stream
  | Range
  | Namespace
  | Loop
  | Callable;

/** What goes wrong while a template runs; turned into one of ours at the edge. */
export class TemplateFault extends Error {
  readonly raised: boolean;
  /** @param raised by the template's own `raise_exception` */
  constructor(message: string, raised = false) {
    super(message);
    this.raised = raised;
  }
}

/** Ends the rendering. */
export function fail(message: string): never {
  throw new TemplateFault(message);
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "float";
    case "string":
      return "str";
    default:
      break;
  }
  if (value instanceof DictView) return value.name;
  if (value instanceof Stream) return "generator";
  if (value instanceof Callable) return "function";
  if (value instanceof Markup) return "Markup";
  return value.constructor.name.toLowerCase();
}

/** `bool(value)`. */
export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (value instanceof List || value instanceof Tuple || value instanceof DictView)
    return value.items.length > 0;
  if (value instanceof Dict) return value.entries.size > 0;
  if (value instanceof Range) return value.length > 0;
  if (value instanceof Markup) return value.text !== "";
  return typeof value === "object" ? true : Boolean(value);
}

/** The items a `for` goes through, or undefined where Python would not. */
export function itemsOf(value: Value, budget: Budget): readonly Value[] | undefined {
  if (value instanceof List || value instanceof Tuple || value instanceof DictView) return value.items;
  if (value instanceof Undefined) return [];
  if (value instanceof Stream) return value.take();
  if (value instanceof Markup) return itemsOf(value.text, budget);
  if (value instanceof Dict) {
    budget.spend(value.entries.size);
    return [...value.entries.keys()];
  }
  if (typeof value === "string") {
    budget.spend(value.length); // each becomes a value of its own
    return Array.from(value);
  }
  if (value instanceof Range) {
    budget.spend(value.length);
    return Array.from({ length: value.length }, (_, i) => value.at(i));
  }
  return undefined;
}

/** Like `itemsOf`, and fails as Python does. */
export function iterate(value: Value, budget: Budget): readonly Value[] {
  return itemsOf(value, budget) ?? fail(`'${typeName(value)}' object is not iterable`);
}

/** `len(value)`. */
export function lengthOf(value: Value): number {
  if (typeof value === "string") return numCodePoints(value);
  if (value instanceof List || value instanceof Tuple || value instanceof DictView) return value.items.length;
  if (value instanceof Dict) return value.entries.size;
  if (value instanceof Range) return value.length;
  if (value instanceof Undefined) return 0;
  return fail(`object of type '${typeName(value)}' has no len()`);
}

/** Python counts code points, JavaScript UTF-16 units. */
export function numCodePoints(text: string): number {
  const pairs = text.match(/[\ud800-\udbff][\udc00-\udfff]/g);
  return text.length - (pairs?.length ?? 0);
}

/** A value as a key. */
export function toKey(value: Value): Key {
  if (value === null || typeof value !== "object") return value;
  return fail(`unhashable type: '${typeName(value)}'`);
}

/** Reads arguments against parameter names; what is not given is undefined. */
export function bindArguments(
  name: string,
  parameters: readonly string[],
  { positional, named }: Arguments,
): readonly (Value | undefined)[] {
  if (positional.length > parameters.length) {
    fail(`${name}() takes at most ${parameters.length} arguments, ${positional.length} given`);
  }
  const bound: (Value | undefined)[] = parameters.map((_, i) => positional[i]);
  for (const [key, value] of named) {
    const at = parameters.indexOf(key);
    if (at < 0) fail(`${name}() takes no argument named '${key}'`);
    if (at < positional.length) fail(`${name}() got multiple values for argument '${key}'`);
    bound[at] = value;
  }
  return bound;
}

/** Depth beyond which data is refused: nobody nests so deep, and a cycle never ends. */
const MAX_DATA_DEPTH = 128;

/** JSON-like data as Python's values: whole numbers become integers, absent properties are left out. */
export function toValue(data: unknown, depth = 0): Value {
  if (depth > MAX_DATA_DEPTH) fail(`its data is nested deeper than ${MAX_DATA_DEPTH}`);
  if (data === null || typeof data === "string" || typeof data === "boolean") return data;
  if (typeof data === "bigint") return data;
  if (typeof data === "number") return Number.isInteger(data) && !Object.is(data, -0) ? BigInt(data) : data;
  if (Array.isArray(data)) return new List(data.map((item) => toValue(item, depth + 1)));
  if (typeof data === "object") {
    const present = Object.entries(data).filter(([, value]) => value !== undefined);
    return new Dict(new Map(present.map(([key, value]) => [key, toValue(value, depth + 1)])));
  }
  return fail(`its data holds a ${typeof data}, which is not JSON`);
}
