import { getItem, itemsOfDict } from "./attributes.ts";
import type { Budget } from "./budget.ts";
import { tojson } from "./json.ts";
import { areEqual, compare, isNumber } from "./operators.ts";
import { applyTest } from "./predicates.ts";
import { capitalize, replaceText, splitLines, stripText } from "./string-methods.ts";
import { escapeHtml, toText } from "./text.ts";
import {
  type Arguments,
  bindArguments,
  Dict,
  fail,
  isTrue,
  iterate,
  List,
  lengthOf,
  Markup,
  Stream,
  type Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Filter = (value: Value, args: Arguments, budget: Budget) => Value;

const FILTERS: Readonly<Record<string, Filter>> = {
  safe: (value, _, budget) => new Markup(toText(value, budget)),
  string: (value, _, budget) => toText(value, budget),
  tojson,
  upper: onText((text) => text.toUpperCase()),
  lower: onText((text) => text.toLowerCase()),
  capitalize: onText(capitalize),
  title: onText((text) =>
    text
      .split(/([-\s({[<]+)/)
      .map((word) => capitalize(word))
      .join(""),
  ),
  escape: (value, _, budget) => new Markup(escapeHtml(value, budget)),
  e: (value, _, budget) => new Markup(escapeHtml(value, budget)),
  wordcount: onText((text) => BigInt(text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)),
  trim: (value, args, budget) => {
    const [chars = null] = bindArguments("trim", ["chars"], args);
    if (chars !== null && typeof chars !== "string") fail("trim() takes a string");
    const text = toText(value, budget);
    const stripped = stripText(text, chars, "both");
    budget.spendCopy(text.length);
    budget.spend(text.length - stripped.length);
    return stripped;
  },
  indent,
  replace: (value, args, budget) => {
    const [from, to, count = -1n] = bindArguments("replace", ["old", "new", "count"], args);
    if (from === undefined || to === undefined) fail("replace() takes at least two arguments");
    const most = count === null ? -1n : count;
    return replaceText(toText(value, budget), toText(from, budget), toText(to, budget), most, budget);
  },
  length: (value) => BigInt(lengthOf(value)),
  count: (value) => BigInt(lengthOf(value)),
  list: (value, _, budget) => new List(iterate(value, budget)),
  first: (value, _, budget) => itemAt(iterate(value, budget), 0, "first"),
  last: (value, _, budget) => itemAt(iterate(value, budget), -1, "last"),
  reverse: (value, _, budget) => {
    const items = [...iterate(value, budget)].reverse();
    budget.spend(items.length);
    return typeof value === "string" ? items.join("") : new Stream(items);
  },
  join: (value, args, budget) => {
    const [separator = "", attribute = null] = bindArguments("join", ["d", "attribute"], args);
    const items = iterate(value, budget).map((item) => toText(attributeOf(item, attribute, budget), budget));
    const between = toText(separator, budget);
    budget.spendCopy(items.reduce((sum, { length }) => sum + length + between.length, 0));
    return items.join(between);
  },
  sort: (value, args, budget) => {
    const names = ["reverse", "case_sensitive", "attribute"];
    const [reverse = false, caseSensitive = false, attribute = null] = bindArguments("sort", names, args);
    const keyOf = (item: Value) =>
      attributeNames(attribute).map((name) =>
        foldCase(attributeOf(item, name, budget), isTrue(caseSensitive)),
      );
    return new List(sortBy(iterate(value, budget), (item) => new List(keyOf(item)), isTrue(reverse), budget));
  },
  dictsort: (value, args, budget) => {
    const names = ["case_sensitive", "by", "reverse"];
    const [caseSensitive = false, by = "key", reverse = false] = bindArguments("dictsort", names, args);
    if (by !== "key" && by !== "value") fail('You can only sort by either "key" or "value"');
    if (!(value instanceof Dict)) fail(`dictsort needs a dictionary, not ${typeName(value)}`);
    const at = by === "key" ? 0 : 1;
    const keyOf = (item: Value) => foldCase((item as Tuple).items[at]!, isTrue(caseSensitive));
    return new List(sortBy(itemsOfDict(value), keyOf, isTrue(reverse), budget));
  },
  unique: (value, args, budget) => {
    const [caseSensitive = false, attribute = null] = bindArguments(
      "unique",
      ["case_sensitive", "attribute"],
      args,
    );
    const seen: Value[] = [];
    const kept = iterate(value, budget).filter((item) => {
      const key = foldCase(attributeOf(item, attribute, budget), isTrue(caseSensitive));
      if (seen.some((other) => areEqual(key, other, budget))) return false;
      seen.push(key);
      return true;
    });
    return new Stream(kept);
  },
  items: (value) => {
    if (value instanceof Undefined) return new Stream([]);
    return value instanceof Dict
      ? new Stream(itemsOfDict(value))
      : fail("Can only get item pairs from a mapping.");
  },
  map: (value, args, budget) => {
    const items = iterate(value, budget);
    if (args.named.has("attribute")) {
      const [attribute = null, fallback] = bindArguments("map", ["attribute", "default"], args);
      return new Stream(
        items.map((item) => {
          return attributeOf(item, attribute, budget, fallback);
        }),
      );
    }
    const [name, ...positional] = args.positional;
    if (typeof name !== "string") fail("map requires a filter argument");
    return new Stream(
      items.map((item) => applyFilter(name, item, { positional, named: args.named }, budget)),
    );
  },
  select: selectBy(true, false),
  reject: selectBy(false, false),
  selectattr: selectBy(true, true),
  rejectattr: selectBy(false, true),
  default: orDefault,
  d: orDefault,
  abs: (value) => {
    if (typeof value === "boolean") return BigInt(value);
    if (typeof value === "bigint") return value < 0n ? -value : value;
    return typeof value === "number"
      ? Math.abs(value)
      : fail(`bad operand type for abs(): '${typeName(value)}'`);
  },
  int: (value, args) => {
    const [fallback = 0n, base = 10n] = bindArguments("int", ["default", "base"], args);
    return toInteger(value, Number(base)) ?? fallback;
  },
  float: (value, args) => {
    const [fallback = 0] = bindArguments("float", ["default"], args);
    return toFloat(value) ?? fallback;
  },
  round,
  sum: (value, args, budget) => {
    const [attribute = null, start = 0n] = bindArguments("sum", ["attribute", "start"], args);
    return iterate(value, budget).reduce<Value>(
      (sum, item) => add(sum, attributeOf(item, attribute, budget)),
      start,
    );
  },
  min: (value, args, budget) => extreme("min", value, args, budget),
  max: (value, args, budget) => extreme("max", value, args, budget),
  attr: (value, args, budget) => {
    const [name = null] = bindArguments("attr", ["name"], args);
    return value instanceof Dict ? new Undefined("an attribute") : getItem(value, name, budget);
  },
  batch: (value, args, budget) => {
    const [size, filler = null] = bindArguments("batch", ["linecount", "fill_with"], args);
    if (typeof size !== "bigint" || size < 1n) fail("batch() takes a positive integer");
    const items = iterate(value, budget);
    const width = Number(size);
    const rows = Array.from({ length: Math.ceil(items.length / width) }, (_, i) =>
      items.slice(i * width, (i + 1) * width),
    );
    const last = rows.at(-1);
    if (last && filler !== null) {
      budget.spend(width - last.length);
      rows[rows.length - 1] = [...last, ...Array.from({ length: width - last.length }, () => filler)];
    }
    return new Stream(rows.map((row) => new List(row)));
  },
};

/** `value | name(arguments)`. */
export function applyFilter(name: string, value: Value, args: Arguments, budget: Budget): Value {
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
  budget.spend(1);
  return filter ? filter(value, args, budget) : fail(`no filter named '${name}'`);
}

function itemAt(items: readonly Value[], at: number, which: string): Value {
  return items.length > 0 ? items.at(at)! : new Undefined(`No ${which} item, sequence was empty: it`);
}

function onText(run: (text: string) => Value): Filter {
  return (value, args, budget) => {
    bindArguments("the filter", [], args);
    const text = toText(value, budget);
    budget.spendCopy(4 * text.length);
    return run(text);
  };
}

/** @see Jinja's `do_indent`: the first line and empty lines keep their place unless asked. */
function indent(value: Value, args: Arguments, budget: Budget): string {
  const [width = 4n, first = false, blank = false] = bindArguments(
    "indent",
    ["width", "first", "blank"],
    args,
  );
  const text = toText(value, budget);
  if (typeof width !== "string" && typeof width !== "bigint")
    fail("indent() takes an integer or a string as width");
  const size = typeof width === "string" ? width.length : Math.max(0, Number(width));
  const lines = splitLines(`${text}\n`);
  budget.spendCopy(text.length + lines.length * size);
  const margin = typeof width === "string" ? width : " ".repeat(size);
  return lines
    .map((line, i) => ((i === 0 ? isTrue(first) : isTrue(blank) || line !== "") ? margin + line : line))
    .join("\n");
}

function orDefault(value: Value, args: Arguments): Value {
  const [fallback = "", boolean = false] = bindArguments("default", ["default_value", "boolean"], args);
  return value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? fallback : value;
}

function selectBy(keep: boolean, byAttribute: boolean): Filter {
  return (value, { positional }, budget) => {
    const attribute = byAttribute
      ? (positional[0] ?? fail("selectattr and rejectattr take an attribute"))
      : null;
    const [test, ...rest] = byAttribute ? positional.slice(1) : positional;
    if (test !== undefined && typeof test !== "string") fail("a test is named by a string");
    const kept = iterate(value, budget).filter((item) => {
      const tested = attributeOf(item, attribute, budget);
      return keep === (test === undefined ? isTrue(tested) : applyTest(test, tested, rest, budget));
    });
    return new Stream(kept);
  };
}

/** `a.b.0`, step by step, each with the fallback; the item itself for None. */
function attributeOf(item: Value, attribute: Value, budget: Budget, fallback?: Value): Value {
  budget.spend(1);
  if (attribute === null) return item;
  const parts = typeof attribute === "string" ? attribute.split(".") : [attribute];
  return parts.reduce<Value>((at, part) => {
    const index = typeof part === "string" && /^[0-9]+$/.test(part);
    const found = getItem(at, index ? BigInt(part) : part, budget);
    return found instanceof Undefined && fallback !== undefined ? fallback : found;
  }, item);
}

function attributeNames(attribute: Value): readonly Value[] {
  return typeof attribute === "string" ? attribute.split(",") : [attribute];
}

function foldCase(value: Value, caseSensitive: boolean): Value {
  return typeof value === "string" && !caseSensitive ? value.toLowerCase() : value;
}

function sortBy(
  items: readonly Value[],
  keyOf: (item: Value) => Value,
  reverse: boolean,
  budget: Budget,
): readonly Value[] {
  budget.spend(items.length);
  const keyed = items.map((item) => ({ item, key: keyOf(item) }));
  keyed.sort((a, b) => compare(reverse ? b.key : a.key, reverse ? a.key : b.key, "<", budget));
  return keyed.map(({ item }) => item);
}

function extreme(name: "min" | "max", value: Value, args: Arguments, budget: Budget): Value {
  const [caseSensitive = false, attribute = null] = bindArguments(
    name,
    ["case_sensitive", "attribute"],
    args,
  );
  const items = iterate(value, budget);
  if (items.length === 0) return new Undefined("No aggregated item, sequence was empty: it");
  const keyOf = (item: Value) => foldCase(attributeOf(item, attribute, budget), isTrue(caseSensitive));
  const sign = name === "min" ? 1 : -1;
  return items.reduce((best, item) =>
    sign * compare(keyOf(item), keyOf(best), "<", budget) < 0 ? item : best,
  );
}

function add(a: Value, b: Value): Value {
  if (!isNumber(a) || !isNumber(b)) return fail(`sum needs numbers, not ${typeName(isNumber(a) ? b : a)}`);
  return typeof a === "number" || typeof b === "number" ? Number(a) + Number(b) : BigInt(a) + BigInt(b);
}

function toInteger(value: Value, base: number): bigint | undefined {
  if (typeof value === "boolean" || typeof value === "bigint") return BigInt(value);
  if (typeof value === "number") return Number.isFinite(value) ? BigInt(Math.trunc(value)) : undefined;
  if (typeof value !== "string") return undefined;
  const digits = stripText(value, null, "both").replace(/(?<=\w)_(?=\w)/g, "");
  if (base === 10 && digits.length <= 4300 && /^[+-]?[0-9]+$/.test(digits))
    return BigInt(digits.replace(/^\+/, ""));
  if (base !== 10 && /^[+-]?(0[xob])?[0-9a-z]+$/i.test(digits)) {
    const parsed = Number.parseInt(digits.replace(/^([+-]?)0[xob]/i, "$1"), base);
    return Number.isSafeInteger(parsed) ? BigInt(parsed) : undefined;
  }
  const float = toFloat(value);
  return float === undefined || !Number.isFinite(float) ? undefined : BigInt(Math.trunc(float));
}

function toFloat(value: Value): number | undefined {
  if (isNumber(value)) return Number(value);
  if (typeof value !== "string") return undefined;
  const text = stripText(value, null, "both")
    .replace(/(?<=[0-9])_(?=[0-9])/g, "")
    .toLowerCase();
  if (/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/.test(text)) return Number(text);
  const [, sign, word] = /^([+-]?)(inf|infinity|nan)$/.exec(text) ?? [];
  if (word === undefined) return undefined;
  return word === "nan" ? Number.NaN : sign === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** Halves go to the even neighbour, as Python's `round` has it. */
function round(value: Value, args: Arguments): Value {
  const [precision = 0n, method = "common"] = bindArguments("round", ["precision", "method"], args);
  if (!isNumber(value) || typeof precision !== "bigint") return fail("round needs numbers");
  if (precision < 0n || precision > 15n) fail("round() takes a precision from 0 to 15");
  if (typeof value !== "number" && method === "common") return BigInt(value);
  const scale = 10 ** Number(precision);
  const number = Number(value);
  const scaled = number * scale;
  if (method === "ceil") return Math.ceil(scaled) / scale;
  if (method === "floor") return Math.floor(scaled) / scale;
  if (method !== "common") fail("method must be common, ceil or floor");
  // Of the exact decimal expansion, which ends within 60 places where it is a half at all.
  const isHalf = /^50*$/.test(number.toFixed(60).split(".")[1]!.slice(Number(precision)));
  if (isHalf) return (2 * Math.round(scaled / 2)) / scale;
  return Number(number.toFixed(Number(precision)));
}
