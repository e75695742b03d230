import { FormatError } from "../../core/errors.ts";
import { type CodePointSet, invert, range } from "../code-point-set.ts";
import { CaseFolding } from "./case-folding.ts";
import { readClass, readSetEscape } from "./parse-class.ts";
import { PatternReader } from "./pattern-reader.ts";
import type { Place, RegexNode, RepeatMode } from "./syntax.ts";

/**
 * Whose syntax: `oniguruma` is that of `tokenizer.json` (Ruby's: `^` and `$` are borders of lines, `x{2}+` repeats a
 * repetition), `rust` that of tiktoken (borders of the text; `x{2}+` gives nothing back).
 */
export type Dialect = "oniguruma" | "rust";

/** Published patterns have up to 1,600 characters. */
const MAX_PATTERN_LENGTH = 20_000;
const MAX_REPEAT = 1000;

/** Inline flags in force. */
interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

/**
 * Parses a regular expression.
 *
 * @throws {FormatError} if it is malformed, or uses what is not supported: recursion, conditions, named references.
 */
export function parseRegex(pattern: string, dialect: Dialect, where: string): RegexNode {
  if (pattern.length > MAX_PATTERN_LENGTH) {
    const expected = `a pattern of at most ${MAX_PATTERN_LENGTH} characters`;
    throw new FormatError({ where, expected, got: String(pattern.length) });
  }
  return new Parser(pattern, dialect, where).parse();
}

class Parser {
  readonly #reader: PatternReader;
  readonly #dialect: Dialect;
  #numCaptures = 0;
  #folding: CaseFolding | undefined;

  constructor(pattern: string, dialect: Dialect, where: string) {
    this.#reader = new PatternReader(pattern, where, dialect === "rust");
    this.#dialect = dialect;
  }

  parse(): RegexNode {
    const node = this.#choice({ ignoreCase: false, dotAll: false });
    if (!this.#reader.isAtEnd) this.#reader.fail("the end of the pattern", "a ) without (");
    return node;
  }

  #choice(flags: Flags): RegexNode {
    return this.#reader.nested(() => {
      const options: RegexNode[] = [this.#sequence(flags)];
      while (this.#reader.take("|")) options.push(this.#sequence(flags));
      return options.length === 1 ? options[0]! : { kind: "choice", options };
    });
  }

  #sequence(flags: Flags): RegexNode {
    const parts: RegexNode[] = [];
    while (!this.#reader.isAtEnd && !/^[|)]/.test(this.#reader.rest(1))) {
      const changed = this.#inlineFlags(flags);
      if (changed) {
        // Flags hold to the end of the group, alternatives included.
        parts.push(this.#choice(changed));
        break;
      }
      parts.push(this.#repeated(this.#atom(flags)));
    }
    return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  #setNode(set: CodePointSet, flags: Flags): RegexNode {
    if (!flags.ignoreCase) return { kind: "set", set };
    this.#folding ??= new CaseFolding();
    return { kind: "set", set: this.#folding.apply(set) };
  }

  #inlineFlags(flags: Flags): Flags | undefined {
    const text = this.#reader.match(/\(\?[im]*(?:-[im]+)?\)/y);
    return text === "" ? undefined : withFlags(flags, text);
  }

  #atom(flags: Flags): RegexNode {
    const reader = this.#reader;
    if (reader.take("(")) return this.#group(flags);
    if (reader.take("["))
      return this.#setNode(
        reader.nested(() => readClass(reader)),
        flags,
      );
    if (reader.take("."))
      return { kind: "set", set: flags.dotAll ? range(0, 0x10ffff) : invert(range(10, 10)) };
    if (reader.take("^")) return place(this.#dialect === "rust" ? "text-start" : "line-start");
    if (reader.take("$")) return place(this.#dialect === "rust" ? "text-end" : "line-end");
    if (reader.take("\\")) return this.#escape(flags);
    if (/^[*+?]/.test(reader.rest(1))) reader.fail("something to repeat", reader.rest(1));
    const point = reader.next("a character").codePointAt(0)!;
    return this.#setNode(range(point, point), flags);
  }

  #escape(flags: Flags): RegexNode {
    const reader = this.#reader;
    const special = reader.match(/[bBAzZGR1-9]/y);
    switch (special) {
      case "":
        break;
      case "b":
        return place("word-border");
      case "B":
        return place("no-word-border");
      case "A":
        return place("text-start");
      case "z":
        return place("text-end");
      case "Z":
        return place("text-end-or-newline");
      case "G":
        return place("search-start");
      case "R":
        return LINE_BREAK;
      default:
        return this.#backReference(Number(special), flags);
    }
    const found = readSetEscape(reader);
    return "set" in found
      ? { kind: "set", set: found.set }
      : this.#setNode(range(found.point, found.point), flags);
  }

  #backReference(index: number, flags: Flags): RegexNode {
    if (index > this.#numCaptures) this.#reader.fail(`one of ${this.#numCaptures} groups`, `\\${index}`);
    if (flags.ignoreCase) this.#reader.fail("a reference that minds the case", `\\${index}`);
    return { kind: "back-reference", index };
  }

  #group(flags: Flags): RegexNode {
    const reader = this.#reader;
    const opening = reader.match(/\?(?:<[=!]|[:=!>]|<[A-Za-z_]\w*>|[im]*(?:-[im]+)?:|#[^)]*)/y);
    if (opening.startsWith("?#")) {
      if (!reader.take(")")) reader.fail(")", "the end of the pattern");
      return EMPTY;
    }
    if (opening === "" && reader.rest(1) === "?")
      reader.fail("a group that is supported", `(${reader.rest(4)}`);
    const isCapture = opening === "" || /^\?<[A-Za-z_]/.test(opening);
    const index = isCapture ? ++this.#numCaptures : 0;
    const body = this.#choice(opening.endsWith(":") ? withFlags(flags, opening) : flags);
    if (!reader.take(")")) reader.fail(")", "the end of the pattern");
    if (isCapture) return { kind: "capture", index, body };
    if (opening === "?>") return { kind: "atomic", body };
    if (opening.endsWith(":")) return body;
    return { kind: "look", behind: opening[1] === "<", negative: opening.endsWith("!"), body };
  }

  /** Reads the quantifiers after a node; in Ruby's syntax they can be stacked. */
  #repeated(node: RegexNode): RegexNode {
    const reader = this.#reader;
    let result = node;
    for (let stacked = 0; ; stacked++) {
      if (stacked > 8) reader.fail("at most 8 quantifiers in a row", "more");
      const counted = reader.match(/\{(?:\d{1,9}(?:,\d{0,9})?|,\d{1,9})\}/y);
      const simple = counted === "" ? reader.match(/[*+?]/y) : "";
      if (counted === "" && simple === "") return result;
      const [min, max] = counted === "" ? SIMPLE[simple]! : this.#counts(counted);
      result = { kind: "repeat", body: result, min, max, mode: this.#mode(counted) };
    }
  }

  #counts(text: string): readonly [number, number] {
    const [first, last] = text.slice(1, -1).split(",");
    const min = first === "" ? 0 : Number(first);
    const max = last === undefined ? min : last === "" ? Number.POSITIVE_INFINITY : Number(last);
    if (min > max || min > MAX_REPEAT || (max > MAX_REPEAT && max !== Number.POSITIVE_INFINITY)) {
      this.#reader.fail(`counts that ascend, up to ${MAX_REPEAT}`, text);
    }
    return [min, max];
  }

  #mode(counted: string): RepeatMode {
    const isExact = /^\{\d+\}$/.test(counted);
    const isRust = this.#dialect === "rust";
    // Ruby's syntax reads `x{2}?` as "perhaps x{2}" and `x{2}+` as "x{2}, once or more".
    if ((!isExact || isRust) && this.#reader.take("?")) return "lazy";
    if ((counted === "" || isRust) && this.#reader.take("+")) return "possessive";
    return "greedy";
  }
}

const SIMPLE: Readonly<Record<string, readonly [number, number]>> = {
  "*": [0, Number.POSITIVE_INFINITY],
  "+": [1, Number.POSITIVE_INFINITY],
  "?": [0, 1],
};

const EMPTY: RegexNode = { kind: "sequence", parts: [] };

const LINE_BREAK: RegexNode = {
  kind: "atomic",
  body: {
    kind: "choice",
    options: [
      {
        kind: "sequence",
        parts: [
          { kind: "set", set: range(13, 13) },
          { kind: "set", set: range(10, 10) },
        ],
      },
      { kind: "set", set: [10, 14, 0x85, 0x86, 0x2028, 0x202a] },
    ],
  },
};

function place(where: Place): RegexNode {
  return { kind: "place", place: where };
}

function withFlags(flags: Flags, text: string): Flags {
  const [on = "", off = ""] = text.split("-");
  return {
    ignoreCase: (flags.ignoreCase || on.includes("i")) && !off.includes("i"),
    dotAll: (flags.dotAll || on.includes("m")) && !off.includes("m"),
  };
}
