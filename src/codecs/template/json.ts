import type { Budget } from "./budget.ts";
import { compareText } from "./operators.ts";
import { floatText } from "./text.ts";
import {
  type Arguments,
  bindArguments,
  Dict,
  fail,
  isTrue,
  type Key,
  List,
  Tuple,
  typeName,
  type Value,
} from "./values.ts";

interface Style {
  readonly ascii: boolean;
  readonly indent: string | undefined;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
}

/**
 * The `tojson` filter as Hugging Face defines it: `json.dumps(x, ensure_ascii=False, indent, separators, sort_keys)`.
 */
export function tojson(value: Value, args: Arguments, budget: Budget): string {
  const names = ["ensure_ascii", "indent", "separators", "sort_keys"];
  const [ascii, indent, separators, sortKeys] = bindArguments("tojson", names, args);
  const indentText = readIndent(indent ?? null);
  const [itemSeparator, keySeparator] = readSeparators(separators ?? null, indentText !== undefined);
  const style = {
    ascii: isTrue(ascii ?? false),
    indent: indentText,
    itemSeparator,
    keySeparator,
    sortKeys: isTrue(sortKeys ?? false),
  };
  return dump(value, style, "\n", budget);
}

function readIndent(indent: Value): string | undefined {
  if (indent === null) return undefined;
  if (typeof indent === "string") return indent;
  if (typeof indent === "bigint" || typeof indent === "boolean")
    return " ".repeat(Math.min(Math.max(0, Number(indent)), 64));
  return fail("tojson() takes an integer or a string as indent");
}

function readSeparators(separators: Value, indented: boolean): readonly [item: string, key: string] {
  if (separators === null) return [indented ? "," : ", ", ": "];
  if (separators instanceof List || separators instanceof Tuple) {
    const [item, key] = separators.items;
    if (separators.items.length === 2 && typeof item === "string" && typeof key === "string")
      return [item, key];
  }
  return fail("tojson() takes two strings as separators");
}

function dump(value: Value, style: Style, newline: string, budget: Budget): string {
  budget.spend(1);
  if (value === null) return "null";
  if (typeof value === "string") return quote(value, style, budget);
  if (typeof value === "number") return jsonFloat(value);
  if (typeof value !== "object") return String(value);
  const inner = newline + (style.indent ?? "");
  if (value instanceof List || value instanceof Tuple) {
    const items = value.items.map((item) => dump(item, style, inner, budget));
    return enclose("[", items, "]", style, newline, budget);
  }
  if (value instanceof Dict) {
    const entries = [...value.entries];
    if (style.sortKeys) entries.sort(([a], [b]) => compareText(keyText(a), keyText(b)));
    const items = entries.map(
      ([key, item]) =>
        quote(keyText(key), style, budget) + style.keySeparator + dump(item, style, inner, budget),
    );
    return enclose("{", items, "}", style, newline, budget);
  }
  return fail(`Object of type ${typeName(value)} is not JSON serializable`);
}

function enclose(
  open: string,
  items: readonly string[],
  close: string,
  { indent, itemSeparator }: Style,
  newline: string,
  budget: Budget,
): string {
  if (items.length === 0) return open + close;
  const inner = indent === undefined ? "" : newline + indent;
  const text = items.join(itemSeparator + inner);
  budget.spendCopy(text.length);
  return indent === undefined ? open + text + close : open + inner + text + newline + close;
}

function quote(text: string, { ascii }: Style, budget: Budget): string {
  budget.spendCopy(text.length);
  const quoted = JSON.stringify(text);
  if (!ascii) return quoted;
  return quoted.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function keyText(key: Key): string {
  if (typeof key === "number") return jsonFloat(key);
  return String(key);
}

function jsonFloat(value: number): string {
  if (Number.isFinite(value)) return floatText(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}
