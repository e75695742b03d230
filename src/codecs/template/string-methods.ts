import type { Budget } from "./budget.ts";
import { toText } from "./text.ts";
import {
  type Arguments,
  bindArguments,
  fail,
  iterate,
  List,
  numCodePoints,
  Tuple,
  typeName,
  type Value,
} from "./values.ts";

type Method = (text: string, args: Arguments, budget: Budget) => Value;

/** What Python's `str` takes for whitespace; JavaScript's `\s` adds U+FEFF and lacks U+001C–1F and U+0085. */
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACES = new RegExp(`[${SPACE}]+`);

const LINE_ENDS = "\n-\r\x1c-\x1e\x85\u2028\u2029";
const LINE_END = new RegExp(`(\r\n|[${LINE_ENDS}])`);

/** Methods of Python's strings that templates may call. */
export const STRING_METHODS: Readonly<Record<string, Method>> = {
  upper: plain("upper", (text) => text.toUpperCase()),
  lower: plain("lower", (text) => text.toLowerCase()),
  casefold: plain("casefold", (text) => text.toLowerCase().replaceAll("ß", "ss")),
  title: plain("title", titleCase),
  capitalize: plain("capitalize", capitalize),
  swapcase: plain("swapcase", (text) =>
    Array.from(text, (c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())).join(""),
  ),
  strip: stripper("strip", "both"),
  lstrip: stripper("lstrip", "start"),
  rstrip: stripper("rstrip", "end"),
  startswith: (text, args) => hasAffix("startswith", args, text, (at, affix) => at.startsWith(affix)),
  endswith: (text, args) => hasAffix("endswith", args, text, (at, affix) => at.endsWith(affix)),
  removeprefix: (text, args) => {
    const [prefix] = strings("removeprefix", 1, args);
    return text.startsWith(prefix!) ? text.slice(prefix!.length) : text;
  },
  removesuffix: (text, args) => {
    const [suffix] = strings("removesuffix", 1, args);
    return suffix !== "" && text.endsWith(suffix!) ? text.slice(0, -suffix!.length) : text;
  },
  split: (text, args, budget) => toList(split(text, args, "split", budget)),
  rsplit: (text, args, budget) => toList(split(text, args, "rsplit", budget)),
  splitlines: (text, args, budget) => {
    const [keepEnds] = bindArguments("splitlines", ["keepends"], args);
    budget.spend(text.length);
    return toList(splitLines(text, keepEnds === true));
  },
  partition: (text, args) => partition(text, strings("partition", 1, args)[0]!, false),
  rpartition: (text, args) => partition(text, strings("rpartition", 1, args)[0]!, true),
  replace: (text, args, budget) => {
    const { positional, named } = args;
    if (named.size > 0) fail("str.replace() takes no keyword arguments");
    const [from, to] = strings("replace", 2, { positional: positional.slice(0, 2), named });
    return replaceText(text, from!, to!, positional[2] ?? -1n, budget);
  },
  join: (text, args, budget) => {
    const [parts] = bindArguments("join", ["iterable"], args);
    return joinTexts(text, iterate(parts ?? fail("join() takes one argument"), budget), budget);
  },
  find: (text, args) => position(text, "find", args, text.indexOf(strings("find", 1, args)[0]!)),
  rfind: (text, args) => position(text, "rfind", args, text.lastIndexOf(strings("rfind", 1, args)[0]!)),
  index: (text, args) => position(text, "index", args, text.indexOf(strings("index", 1, args)[0]!)),
  count: (text, args) => {
    const [part] = strings("count", 1, args);
    return BigInt(part === "" ? numCodePoints(text) + 1 : text.split(part!).length - 1);
  },
  isdigit: check("isdigit", /^\p{Nd}+$/u),
  isnumeric: check("isnumeric", /^\p{N}+$/u),
  isdecimal: check("isdecimal", /^\p{Nd}+$/u),
  isalpha: check("isalpha", /^\p{L}+$/u),
  isalnum: check("isalnum", /^[\p{L}\p{N}]+$/u),
  isspace: check("isspace", new RegExp(`^[${SPACE}]+$`)),
  isascii: check("isascii", /^[\0-\x7f]*$/),
  isupper: plain("isupper", isUpper),
  islower: plain("islower", isLower),
  zfill: (text, args, budget) => {
    const width = widthOf("zfill", args, budget);
    const sign = /^[+-]/.exec(text)?.[0] ?? "";
    return sign + "0".repeat(Math.max(0, width - numCodePoints(text))) + text.slice(sign.length);
  },
  ljust: (text, args, budget) => text + fill("ljust", text, args, budget),
  rjust: (text, args, budget) => fill("rjust", text, args, budget) + text,
};

/** `str.upper() == str`, with at least one letter that has a case. */
export function isUpper(text: string): boolean {
  return text === text.toUpperCase() && text !== text.toLowerCase();
}

/** `str.lower() == str`, with at least one letter that has a case. */
export function isLower(text: string): boolean {
  return text === text.toLowerCase() && text !== text.toUpperCase();
}

/** First letter upper, all others lower. */
export function capitalize(text: string): string {
  const [first = ""] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** Removes characters from the ends: those of `chars`, or whitespace where it is null. */
export function stripText(text: string, chars: string | null, side: "both" | "start" | "end"): string {
  const drop = new Set(chars === null ? [] : chars);
  const dropped = (c: string) => (chars === null ? SPACES.test(c) : drop.has(c));
  let start = 0;
  let end = text.length;
  if (side !== "end")
    while (start < end && dropped(characterAt(text, start))) start += characterAt(text, start).length;
  if (side !== "start")
    while (end > start && dropped(characterBefore(text, end))) end -= characterBefore(text, end).length;
  return text.slice(start, end);
}

function characterAt(text: string, at: number): string {
  return String.fromCodePoint(text.codePointAt(at)!);
}

function characterBefore(text: string, end: number): string {
  const pair = /[\ud800-\udbff][\udc00-\udfff]/.test(text.slice(Math.max(0, end - 2), end));
  return text.slice(end - (pair ? 2 : 1), end);
}

/** Lines as `str.splitlines` cuts them. */
export function splitLines(text: string, keepEnds = false): string[] {
  const pieces = text.split(LINE_END);
  const lines: string[] = [];
  for (let i = 0; i < pieces.length; i += 2) {
    const end = pieces[i + 1];
    if (end !== undefined) lines.push(keepEnds ? pieces[i]! + end : pieces[i]!);
    else if (pieces[i] !== "") lines.push(pieces[i]!);
  }
  return lines;
}

/** `str.replace(from, to, count)`; a negative count means all. */
export function replaceText(text: string, from: string, to: string, count: Value, budget: Budget): string {
  if (typeof count !== "bigint") fail(`replace() takes an integer as count, not ${typeName(count)}`);
  const most = count < 0n ? Number.POSITIVE_INFINITY : Number(count);
  budget.spend(text.length);
  const parts = from === "" ? ["", ...text, ""] : text.split(from);
  const numReplaced = Math.min(most, parts.length - 1);
  budget.spendCopy(text.length + numReplaced * to.length);
  if (numReplaced === parts.length - 1) return parts.join(to);
  return [parts.slice(0, numReplaced + 1).join(to), ...parts.slice(numReplaced + 1)].join(from);
}

/** Texts with `separator` between them; anything but text fails, as `str.join` does. */
export function joinTexts(separator: string, parts: readonly Value[], budget: Budget): string {
  const texts = parts.map((part, i) => {
    if (typeof part !== "string") fail(`sequence item ${i}: expected str instance, ${typeName(part)} found`);
    return part;
  });
  budget.spendCopy(texts.reduce((sum, { length }) => sum + length + separator.length, 0));
  return texts.join(separator);
}

function stripper(name: string, side: "both" | "start" | "end"): Method {
  return (text, args, budget) => {
    const stripped = stripText(text, readChars(name, args), side);
    budget.spend(text.length - stripped.length);
    return stripped;
  };
}

function plain(name: string, run: (text: string) => Value): Method {
  return (text, args, budget) => {
    bindArguments(name, [], args);
    budget.spendCopy(4 * text.length);
    return run(text);
  };
}

function check(name: string, pattern: RegExp): Method {
  return plain(name, (text) => pattern.test(text));
}

function titleCase(text: string): string {
  return text.replace(
    /(\p{L})([\p{L}]*)/gu,
    (_, first: string, rest: string) => first.toUpperCase() + rest.toLowerCase(),
  );
}

function strings(name: string, count: number, args: Arguments): readonly string[] {
  const names = Array.from({ length: count }, (_, i) => `argument ${i + 1}`);
  return bindArguments(name, names, { positional: args.positional.slice(0, count), named: args.named }).map(
    (value) => {
      if (typeof value === "string") return value;
      return fail(
        `${name}() takes ${count === 1 ? "a string" : "strings"}, not ${value === undefined ? "nothing" : typeName(value)}`,
      );
    },
  );
}

function readChars(name: string, args: Arguments): string | null {
  const [chars = null] = bindArguments(name, ["chars"], args);
  if (chars === null || typeof chars === "string") return chars;
  return fail(`${name}() takes a string or None, not ${typeName(chars)}`);
}

function hasAffix(
  name: string,
  args: Arguments,
  text: string,
  test: (text: string, affix: string) => boolean,
): boolean {
  const [affix] = bindArguments(name, ["prefix"], args);
  const affixes = affix instanceof Tuple ? affix.items : [affix];
  return affixes.some((one) => {
    if (typeof one !== "string") fail(`${name}() takes a string or a tuple of strings`);
    return test(text, one);
  });
}

function split(text: string, args: Arguments, name: "split" | "rsplit", budget: Budget): readonly string[] {
  const [separator = null, limit = -1n] = bindArguments(name, ["sep", "maxsplit"], args);
  if (typeof limit !== "bigint") fail(`${name}() takes an integer as maxsplit`);
  if (separator !== null && typeof separator !== "string") fail(`${name}() takes a string or None as sep`);
  if (separator === "") fail("empty separator");
  budget.spend(text.length);
  const most = limit < 0n ? Number.POSITIVE_INFINITY : Number(limit);
  if (separator === null) return splitOnSpace(text, most, name === "rsplit");
  const parts = text.split(separator);
  if (parts.length - 1 <= most) return parts;
  const cut = name === "split" ? most : parts.length - 1 - most;
  if (name === "split") return [...parts.slice(0, cut), parts.slice(cut).join(separator)];
  return [parts.slice(0, cut + 1).join(separator), ...parts.slice(cut + 1)];
}

/** Runs of whitespace separate; what is left over when `most` is reached keeps its inner whitespace. */
function splitOnSpace(text: string, most: number, fromEnd: boolean): readonly string[] {
  const words = stripText(text, null, "both").split(SPACES);
  if (words[0] === "") return [];
  if (words.length - 1 <= most) return words;
  if (fromEnd) {
    // The first piece keeps whitespace at the beginning of the text.
    const pieces = stripText(text, null, "end").split(new RegExp(`([${SPACE}]+)`));
    const head = pieces.slice(0, pieces.length - 2 * most).join("");
    return [head, ...words.slice(words.length - most)];
  }
  const start = stripText(text, null, "start");
  const pieces = start.split(new RegExp(`([${SPACE}]+)`));
  return [...words.slice(0, most), start.slice(pieces.slice(0, 2 * most).join("").length)];
}

function partition(text: string, separator: string, last: boolean): Tuple {
  if (separator === "") fail("empty separator");
  const at = last ? text.lastIndexOf(separator) : text.indexOf(separator);
  if (at < 0) return new Tuple(last ? ["", "", text] : [text, "", ""]);
  return new Tuple([text.slice(0, at), separator, text.slice(at + separator.length)]);
}

function position(text: string, name: string, { positional }: Arguments, at: number): bigint {
  if (positional.length > 1) fail(`${name}() with a range is more than Plinth does`);
  if (at < 0 && name === "index") fail("substring not found");
  return BigInt(at < 0 ? -1 : numCodePoints(text.slice(0, at)));
}

function widthOf(name: string, { positional }: Arguments, budget: Budget): number {
  const [width] = positional;
  if (typeof width !== "bigint") fail(`${name}() takes an integer as width`);
  budget.spendCopy(Math.max(0, Number(width)));
  return Number(width);
}

function fill(name: string, text: string, args: Arguments, budget: Budget): string {
  const filler = args.positional[1] ?? " ";
  return toText(filler, budget).repeat(Math.max(0, widthOf(name, args, budget) - numCodePoints(text)));
}

function toList(texts: readonly string[]): List {
  return new List(texts);
}
