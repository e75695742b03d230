import { type CodePointSet, intersect, invert, range, union } from "../code-point-set.ts";
import type { PatternReader } from "./pattern-reader.ts";
import { CLASS_WORD, DIGIT, HEX, posixSet, propertySet, RUST_WORD, SPACE, WORD } from "./properties.ts";

const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, a: 7, e: 27 };

/** An escape that stands for one character or a set of them. */
export function readSetEscape(reader: PatternReader): { point: number } | { set: CodePointSet } {
  const letter = reader.next("a character after \\");
  const code = letter.codePointAt(0)!;
  if (Object.hasOwn(CONTROLS, letter)) return { point: CONTROLS[letter]! };
  switch (letter) {
    case "d":
      return { set: DIGIT };
    case "D":
      return { set: invert(DIGIT) };
    case "s":
      return { set: SPACE };
    case "S":
      return { set: invert(SPACE) };
    case "w":
      return { set: reader.isRust ? RUST_WORD : WORD };
    case "W":
      return { set: invert(reader.isRust ? RUST_WORD : WORD) };
    case "h":
      return { set: HEX };
    case "H":
      return { set: invert(HEX) };
    case "p":
    case "P":
      return { set: readProperty(reader, letter === "P") };
    case "x":
      return { point: reader.take("{") ? readHex(reader, 1, 8, "}") : readHex(reader, 1, 2, "") };
    case "u":
      return { point: readHex(reader, 4, 4, "") };
    case "0":
      return { point: Number.parseInt(`0${reader.match(/[0-7]{0,2}/y)}`, 8) };
  }
  if (/[A-Za-z0-9]/.test(letter)) reader.fail("an escape that is known here", `\\${letter}`);
  return { point: code };
}

/** What is between `[` and `]`, the first bracket read already. */
export function readClass(reader: PatternReader): CodePointSet {
  const isNegative = reader.take("^");
  let whole: CodePointSet | undefined;
  let sets: CodePointSet[] = [];
  for (let isFirst = true; ; isFirst = false) {
    if (!isFirst && reader.take("]")) break;
    if (reader.take("&&")) {
      whole = whole ? intersect(whole, union(sets)) : union(sets);
      sets = [];
      continue;
    }
    sets.push(readItem(reader));
  }
  const last = union(sets);
  const set = whole ? intersect(whole, last) : last;
  return isNegative ? invert(set) : set;
}

function readItem(reader: PatternReader): CodePointSet {
  const posix = reader.match(/\[:\^?[a-z]+:\]/y);
  if (posix !== "") {
    const name = posix.slice(2, -2);
    const set = posixSet(name.replace("^", ""));
    if (!set) return reader.fail("a class that is known here", posix);
    return name.startsWith("^") ? invert(set) : set;
  }
  if (reader.take("[")) return reader.nested(() => readClass(reader));
  const first = readMember(reader);
  if ("set" in first) return first.set;
  if (!/^-[^\]]/su.test(reader.rest(3)) || reader.rest(2) === "-[") return range(first.point, first.point);
  reader.take("-");
  const last = readMember(reader);
  // `[a-\d]`: the hyphen is one.
  if ("set" in last) return union([range(first.point, first.point), range(0x2d, 0x2d), last.set]);
  if (last.point < first.point) reader.fail("a range that ascends", "one that descends");
  return range(first.point, last.point);
}

function readMember(reader: PatternReader): { point: number } | { set: CodePointSet } {
  if (!reader.take("\\")) return { point: reader.next("] at the end of a class").codePointAt(0)! };
  if (reader.take("b")) return { point: 8 };
  const words = reader.isRust ? RUST_WORD : CLASS_WORD;
  if (reader.take("w")) return { set: words };
  if (reader.take("W")) return { set: invert(words) };
  return readSetEscape(reader);
}

function readProperty(reader: PatternReader, isNegative: boolean): CodePointSet {
  const braced = reader.match(/\{\^?[A-Za-z_ -]{1,40}\}/y);
  const name = braced === "" ? reader.match(/[LMNPSZC]/y) : braced.slice(1, -1);
  const set = propertySet(name.replace("^", ""));
  if (!set) reader.fail("a property that is known here", braced === "" ? reader.rest(12) : braced);
  return isNegative !== name.startsWith("^") ? invert(set) : set;
}

function readHex(reader: PatternReader, min: number, max: number, closing: string): number {
  const digits = reader.match(/[0-9a-fA-F]+/y, max);
  const point = Number.parseInt(digits, 16);
  if (digits.length < min || !(point <= 0x10ffff) || (closing && !reader.take(closing))) {
    reader.fail("the hexadecimal number of a character", `"${digits}"`);
  }
  return point;
}
