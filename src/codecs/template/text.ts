import type { Budget } from "./budget.ts";
import {
  Callable,
  Dict,
  DictView,
  fail,
  type Key,
  List,
  Loop,
  Markup,
  Namespace,
  Range,
  Stream,
  Tuple,
  Undefined,
  type Value,
} from "./values.ts";

/** `str(value)`: what `{{ value }}` writes. */
export function toText(value: Value, budget: Budget): string {
  if (typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  return value instanceof Undefined ? "" : toRepr(value, budget);
}

/** `repr(value)`: strings in quotes, and what is inside lists and dictionaries. */
export function toRepr(value: Value, budget: Budget): string {
  budget.spend(1);
  if (value === null) return "None";
  switch (typeof value) {
    case "boolean":
      return value ? "True" : "False";
    case "bigint":
      return integerText(value, budget);
    case "number":
      return floatText(value);
    case "string":
      budget.spendCopy(value.length);
      return stringRepr(value);
    default:
      return objectRepr(value, budget);
  }
}

function objectRepr(value: Exclude<Value, Key>, budget: Budget): string {
  if (value instanceof List) return `[${join(value.items, budget)}]`;
  if (value instanceof Tuple) return `(${join(value.items, budget)}${value.items.length === 1 ? "," : ""})`;
  if (value instanceof DictView) return `${value.name}([${join(value.items, budget)}])`;
  if (value instanceof Dict) return dictRepr(value.entries, budget);
  if (value instanceof Namespace) return `<Namespace ${dictRepr(value.attributes, budget)}>`;
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Markup) return `Markup(${toRepr(value.text, budget)})`;
  if (value instanceof Range) {
    const { start, stop, step } = value;
    return step === 1 ? `range(${start}, ${stop})` : `range(${start}, ${stop}, ${step})`;
  }
  // Python prints an address, which no two runs share.
  if (value instanceof Stream) return fail("it prints a generator; put `| list` behind it");
  if (value instanceof Callable) return fail(`it prints the function ${value.name}; call it`);
  if (value instanceof Loop) return `<LoopContext ${value.index + 1}/${value.length}>`;
  return fail("it prints something without a text");
}

function join(items: readonly Value[], budget: Budget): string {
  const text = items.map((item) => toRepr(item, budget)).join(", ");
  budget.spendCopy(text.length);
  return text;
}

function dictRepr(entries: ReadonlyMap<Key, Value>, budget: Budget): string {
  const parts = [...entries].map(([key, value]) => `${toRepr(key, budget)}: ${toRepr(value, budget)}`);
  const text = parts.join(", ");
  budget.spendCopy(text.length);
  return `{${text}}`;
}

/** Digits take time that grows with the square of their number, so large integers cost more. */
function integerText(value: bigint, budget: Budget): string {
  if (value > -(2n ** 64n) && value < 2n ** 64n) return value.toString();
  if (value.toString(16).length > 3600) fail("it prints an integer of more than 4300 digits");
  budget.spend(1000);
  return value.toString();
}

/**
 * Python's shortest text of a float: exponents from 1e16 up and below 1e-4, always a point or an exponent.
 *
 * @example
 * floatText(1e16); // => "1e+16"
 */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [digits, exponent] = value.toExponential().split("e") as [string, string];
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 16)) {
    return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  if (Number.isInteger(value)) return `${value}.0`;
  // JavaScript writes numbers below 1e-6 with an exponent; Python's range for that is handled above.
  return value.toString();
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function stringRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  // \p{C} and \p{Z}: what Python calls not printable, of which the plain space is an exception.
  const body = text.replace(/[\\'\n\r\t]|[\p{C}\p{Z}]/gu, (character) => {
    if (character === " ") return character;
    if (character === "'") return quote === "'" ? "\\'" : "'";
    return ESCAPES[character] ?? escapeCode(character.codePointAt(0)!);
  });
  return quote + body + quote;
}

function escapeCode(code: number): string {
  const hex = code.toString(16);
  if (code <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** Text as HTML, unless it is marked as being that already. */
export function escapeHtml(value: Value, budget: Budget): string {
  if (value instanceof Markup) return value.text;
  const text = toText(value, budget);
  budget.spendCopy(2 * text.length);
  const named: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&#39;",
    '"': "&#34;",
  };
  return text.replace(/[&<>'"]/g, (character) => named[character]!);
}
