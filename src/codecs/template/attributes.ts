import type { Budget } from "./budget.ts";
import { areEqual } from "./operators.ts";
import { STRING_METHODS } from "./string-methods.ts";
import {
  type Arguments,
  bindArguments,
  Callable,
  Dict,
  DictView,
  fail,
  List,
  Loop,
  lengthOf,
  Namespace,
  Range,
  Tuple,
  toKey,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Methods that change their object, which the sandbox forbids. */
const FORBIDDEN: ReadonlySet<string> = new Set(
  "append clear extend insert pop popitem remove reverse setdefault sort update".split(" "),
);

/** `object.name`: methods and attributes first, then keys. */
export function getAttribute(object: Value, name: string, budget: Budget): Value {
  const attribute = ownAttribute(object, name, budget);
  if (attribute !== undefined) return attribute;
  const item = ownItem(object, name);
  return item === undefined ? missing(object, name) : item;
}

/** `object[key]`: keys and positions first, then attributes. */
export function getItem(object: Value, key: Value, budget: Budget): Value {
  const found = ownItem(object, key);
  if (found !== undefined) return found;
  const attribute = typeof key === "string" ? ownAttribute(object, key, budget) : undefined;
  return attribute === undefined ? missing(object, typeof key === "string" ? key : "an item") : attribute;
}

/** `object[start:stop:step]`. */
export function getSlice(object: Value, start: Value, stop: Value, step: Value, budget: Budget): Value {
  if (object instanceof Undefined) fail(`${object.hint} is undefined`);
  const pick = <T>(items: readonly T[]): T[] => {
    budget.spend(items.length);
    return sliceItems(items, readBound(start), readBound(stop), readBound(step) ?? 1);
  };
  if (typeof object === "string") return pick(Array.from(object)).join("");
  if (object instanceof List) return new List(pick(object.items));
  if (object instanceof Tuple) return new Tuple(pick(object.items));
  if (object instanceof Range)
    return new List(pick(Array.from({ length: object.length }, (_, i) => object.at(i))));
  return fail(`'${typeName(object)}' object is not subscriptable`);
}

function missing(object: Value, name: string): Undefined {
  if (object instanceof Undefined) fail(`${object.hint} is undefined`);
  return new Undefined(`'${typeName(object)} object' has no attribute '${name}', which`);
}

function ownItem(object: Value, key: Value): Value | undefined {
  if (object instanceof Dict)
    return key !== null && typeof key === "object" ? undefined : object.entries.get(toKey(key));
  if (typeof key !== "bigint" && typeof key !== "boolean") return undefined;
  const isSequence =
    typeof object === "string" ||
    object instanceof List ||
    object instanceof Tuple ||
    object instanceof Range;
  if (!isSequence) return undefined;
  const length = lengthOf(object);
  const at = Number(key) < 0 ? Number(key) + length : Number(key);
  if (at < 0 || at >= length) return undefined;
  if (typeof object === "string") return length === object.length ? object[at] : Array.from(object)[at];
  return object instanceof Range ? object.at(at) : object.items[at];
}

function ownAttribute(object: Value, name: string, budget: Budget): Value | undefined {
  if (object instanceof Namespace) return object.attributes.get(name);
  if (object instanceof Loop) return object.get(name);
  const method = methodOf(object, name, budget);
  if (method !== undefined) return new Callable(name, method);
  const mutable = object instanceof Dict || object instanceof List;
  if (mutable && FORBIDDEN.has(name) && !(object instanceof Dict && object.entries.has(name))) {
    return new Callable(name, () =>
      fail(`${typeName(object)}.${name}() changes it, which a template must not`),
    );
  }
  return undefined;
}

function methodOf(object: Value, name: string, budget: Budget): ((args: Arguments) => Value) | undefined {
  if (typeof object === "string" && Object.hasOwn(STRING_METHODS, name)) {
    const method = STRING_METHODS[name]!;
    return (args) => {
      budget.spendCopy(object.length);
      return method(object, args, budget);
    };
  }
  if (object instanceof Dict && Object.hasOwn(DICT_METHODS, name)) {
    const method = DICT_METHODS[name]!;
    return (args) => method(object, args, budget);
  }
  if ((object instanceof List || object instanceof Tuple) && (name === "index" || name === "count")) {
    return (args) => {
      const [wanted = null] = bindArguments(name, ["value"], args);
      const places = object.items.flatMap((item, i) => (areEqual(item, wanted, budget) ? [i] : []));
      if (name === "count") return BigInt(places.length);
      return places.length > 0
        ? BigInt(places[0]!)
        : fail("it looks for the index of a value that is not in the list");
    };
  }
  return undefined;
}

type DictMethod = (dict: Dict, args: Arguments, budget: Budget) => Value;

const DICT_METHODS: Readonly<Record<string, DictMethod>> = {
  get: ({ entries }, args) => {
    const [key, fallback = null] = bindArguments("get", ["key", "default"], args);
    if (key === undefined) fail("get() takes at least one argument");
    const found = entries.get(toKey(key));
    return found === undefined ? fallback : found;
  },
  items: (dict) => new DictView("dict_items", itemsOfDict(dict)),
  keys: ({ entries }, _, budget) => {
    budget.spend(entries.size);
    return new DictView("dict_keys", [...entries.keys()]);
  },
  values: ({ entries }, _, budget) => {
    budget.spend(entries.size);
    return new DictView("dict_values", [...entries.values()]);
  },
  copy: (dict) => dict,
};

/** The pairs of a dictionary, as tuples. */
export function itemsOfDict({ entries }: Dict): readonly Tuple[] {
  return Array.from(entries, ([key, value]) => new Tuple([key, value]));
}

function readBound(value: Value): number | undefined {
  if (value === null || value instanceof Undefined) return undefined;
  if (typeof value === "bigint" || typeof value === "boolean") return Number(value);
  return fail("slice indices must be integers or None");
}

function sliceItems<T>(
  items: readonly T[],
  start: number | undefined,
  stop: number | undefined,
  step: number,
): T[] {
  if (step === 0) fail("slice step cannot be zero");
  const { length } = items;
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const clamp = (at: number) => Math.min(high, Math.max(low, at < 0 ? at + length : at));
  const from = start === undefined ? (step > 0 ? low : high) : clamp(start);
  const to = stop === undefined ? (step > 0 ? high : low) : clamp(stop);
  const picked: T[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) picked.push(items[i]!);
  return picked;
}
