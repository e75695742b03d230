import { ConfigError } from "../../core/errors.ts";
import {
  ANY,
  type CodePoints,
  codePointRange,
  codePointsOfProperty,
  complementCodePoints,
  DIGITS,
  LINE_ENDS,
  SPACE,
  uniteCodePoints,
  WORD,
} from "./code-points.ts";

/** A regular expression, read. */
export type RegexNode =
  | { readonly kind: "set"; readonly set: CodePoints }
  | { readonly kind: "sequence"; readonly parts: readonly RegexNode[] }
  | { readonly kind: "choice"; readonly parts: readonly RegexNode[] }
  | { readonly kind: "repeat"; readonly part: RegexNode; readonly min: number; readonly max: number }
  | { readonly kind: "textStart" }
  | { readonly kind: "textEnd" };

/** Groups inside groups beyond this depth are refused. */
const MAX_DEPTH = 200;

/** Different Unicode properties in one expression: looking one up takes a tenth of a second. */
const MAX_PROPERTIES = 8;

const CLASSES: Readonly<Record<string, CodePoints>> = { d: DIGITS, w: WORD, s: SPACE };
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };

/**
 * Reads the regular expressions of JavaScript with the flag `u`, other than assertions (but `^` and `$`) and back references, which
 * describe what no automaton can follow in one pass. Besides, `\` before any punctuation means that character.
 *
 * @param where named in errors
 * @throws {ConfigError} naming what it cannot take, and its position.
 * @example
 * parseRegex("ab?", "regex").kind; // => "sequence"
 */
export function parseRegex(pattern: string, where: string): RegexNode {
  return new RegexParser(pattern, where).parse();
}

class RegexParser {
  readonly #pattern: string;
  readonly #where: string;
  #at = 0;
  #depth = 0;
  readonly #properties = new Map<string, CodePoints>();

  constructor(pattern: string, where: string) {
    this.#pattern = pattern;
    this.#where = where;
  }

  parse(): RegexNode {
    const node = this.#choice();
    if (this.#at < this.#pattern.length) throw this.#refuse("a group that was opened", '")"');
    return node;
  }

  #choice(): RegexNode {
    if (++this.#depth > MAX_DEPTH)
      throw this.#refuse(`at most ${MAX_DEPTH} groups one inside another`, "more");
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    this.#depth--;
    return parts.length === 1 ? parts[0]! : { kind: "choice", parts };
  }

  #sequence(): RegexNode {
    const parts: RegexNode[] = [];
    while (this.#at < this.#pattern.length && !"|)".includes(this.#pattern[this.#at]!)) {
      parts.push(this.#quantified());
    }
    return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  #quantified(): RegexNode {
    const isAnchor = "^$".includes(this.#pattern[this.#at]!);
    const part = this.#atom();
    const bounds = this.#quantifier();
    if (!bounds) return part;
    if (isAnchor) throw this.#refuse("something to repeat", "an anchor");
    this.#take("?"); // a lazy one matches the same texts
    return { kind: "repeat", part, ...bounds };
  }

  #quantifier(): { min: number; max: number } | undefined {
    if (this.#take("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take("?")) return { min: 0, max: 1 };
    const counts = this.#match(/\{(\d+)(?:(,)(\d*))?\}/y);
    if (!counts) return undefined;
    const min = Number(counts[1]);
    const max = counts[2] ? Number(counts[3] || Number.POSITIVE_INFINITY) : min;
    if (max < min) throw this.#refuse("{min,max} in that order", counts[0]);
    return { min, max };
  }

  #atom(): RegexNode {
    if (this.#take("^")) return { kind: "textStart" };
    if (this.#take("$")) return { kind: "textEnd" };
    if (this.#take(".")) return { kind: "set", set: complementCodePoints(LINE_ENDS) };
    if (this.#take("[")) return { kind: "set", set: this.#class() };
    if (this.#take("(")) return this.#group();
    if (this.#take("\\")) return { kind: "set", set: this.#escape(false) };
    const character = this.#character();
    if ("*+?{}]".includes(character)) {
      throw this.#refuse(`something before "${character}", or "\\${character}"`, `"${character}" alone`);
    }
    return { kind: "set", set: single(character.codePointAt(0)!) };
  }

  #group(): RegexNode {
    const look = this.#match(/\?<?[=!]/y);
    if (look) throw this.#refuse("no lookahead or lookbehind", `"(${look[0]}"`);
    if (this.#pattern[this.#at] === "?" && !this.#match(/\?:|\?<[\p{ID_Start}$_][\p{ID_Continue}$]*>/uy)) {
      throw this.#refuse('"(", "(?:" or "(?<name>"', `"(${this.#pattern.slice(this.#at, this.#at + 2)}"`);
    }
    const node = this.#choice();
    if (!this.#take(")")) throw this.#refuse('")"', "the end");
    return node;
  }

  /** The set between brackets. */
  #class(): CodePoints {
    const isNegated = this.#take("^");
    const sets: CodePoints[] = [];
    while (!this.#take("]")) {
      if (this.#at >= this.#pattern.length) throw this.#refuse('"]"', "the end");
      const first = this.#classMember();
      const hasRange = this.#pattern[this.#at] === "-" && this.#pattern[this.#at + 1] !== "]";
      if (!hasRange || this.#at + 1 >= this.#pattern.length) {
        sets.push(first);
        continue;
      }
      this.#at++;
      const last = this.#classMember();
      const [low, high] = [first[0], last[0]];
      if (low === undefined || high === undefined || !isSingle(first) || !isSingle(last) || low > high) {
        throw this.#refuse("a range of two characters in order", "another");
      }
      sets.push(codePointRange(low, high));
    }
    const set = uniteCodePoints(sets);
    return isNegated ? complementCodePoints(set) : set;
  }

  #classMember(): CodePoints {
    return this.#take("\\") ? this.#escape(true) : single(this.#character().codePointAt(0)!);
  }

  /** What a backslash and the characters after it mean. */
  #escape(inClass: boolean): CodePoints {
    const letter = this.#character();
    const known = CLASSES[letter.toLowerCase()];
    if (known) return letter === letter.toLowerCase() ? known : complementCodePoints(known);
    if (letter === "p" || letter === "P") return this.#property(letter === "P");
    if (letter === "x" || letter === "u" || letter === "c") return single(this.#code(letter));
    if (letter === "b" && inClass) return single(8);
    if (letter === "b" || letter === "B") throw this.#refuse("no word boundary", `"\\${letter}"`);
    const isBackReference = /[1-9k]/.test(letter) && !inClass;
    if (isBackReference) throw this.#refuse("no back reference", `"\\${letter}"`);
    const control = Object.hasOwn(CONTROLS, letter) ? CONTROLS[letter] : undefined;
    if (control !== undefined && !(letter === "0" && this.#match(/\d/y))) return single(control);
    if (/[A-Za-z0-9]/.test(letter)) throw this.#refuse("a known escape", `"\\${letter}"`);
    return single(letter.codePointAt(0)!);
  }

  #property(isNegated: boolean): CodePoints {
    const name = this.#match(/\{([^}]*)\}/y)?.[1] ?? "";
    const set = this.#properties.get(name) ?? codePointsOfProperty(name);
    if (!set) throw this.#refuse("a Unicode property, such as \\p{L}", `"\\p{${name}}"`);
    this.#properties.set(name, set);
    if (this.#properties.size > MAX_PROPERTIES)
      throw this.#refuse(`at most ${MAX_PROPERTIES} properties`, "more");
    return isNegated ? complementCodePoints(set) : set;
  }

  /** The code point of `\xHH`, `\uHHHH`, a pair of such, `\u{…}` or `\cX`. */
  #code(letter: string): number {
    const control = letter === "c" && this.#match(/[A-Za-z]/y);
    if (control) return control[0].charCodeAt(0) % 32;
    const hex = letter === "x" && this.#match(/[0-9A-Fa-f]{2}/y);
    if (hex) return Number.parseInt(hex[0], 16);
    const pair =
      letter === "u" && this.#match(/([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})/y);
    if (pair)
      return String.fromCharCode(...pair.slice(1).map((half) => Number.parseInt(half, 16))).codePointAt(0)!;
    const code = letter === "u" && this.#match(/([0-9A-Fa-f]{4})|\{([0-9A-Fa-f]{1,8})\}/y);
    const value = code ? Number.parseInt(code[1] ?? code[2]!, 16) : Number.NaN;
    if (value <= 0x10ffff) return value;
    throw this.#refuse("hexadecimal digits of a character", `"\\${letter}"`);
  }

  #character(): string {
    const code = this.#pattern.codePointAt(this.#at);
    if (code === undefined) throw this.#refuse("a character", "the end");
    const character = String.fromCodePoint(code);
    this.#at += character.length;
    return character;
  }

  #take(character: string): boolean {
    if (this.#pattern[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#pattern);
    if (found) this.#at += found[0].length;
    return found ?? undefined;
  }

  #refuse(expected: string, got: string): ConfigError {
    return new ConfigError({ where: `${this.#where}, at position ${this.#at}`, expected, got });
  }
}

/** One character; the empty set for half a surrogate pair, which no text holds. */
function single(codePoint: number): CodePoints {
  return codePointRange(codePoint, codePoint);
}

function isSingle(set: CodePoints): boolean {
  return set.length === 2 && set[0] === set[1];
}

/** Any text around the expression, as where a schema searches for it. */
export function anywhere(node: RegexNode): RegexNode {
  const one: RegexNode = { kind: "set", set: ANY };
  const rest: RegexNode = { kind: "repeat", part: one, min: 0, max: Number.POSITIVE_INFINITY };
  return { kind: "sequence", parts: [rest, node, rest] };
}
