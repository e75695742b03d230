import { type CodePointSet, invert, range, union } from "../code-point-set.ts";
import { ALPHABETIC, categorySet, SPACES, scriptSet } from "../unicode-classes.ts";

/** The white space of `\s`. */
export const SPACE: CodePointSet = SPACES;

/** The decimal digits of `\d`. */
export const DIGIT: CodePointSet = categorySet("Nd")!;

/** The hexadecimal digits of `\h`. */
export const HEX: CodePointSet = union([range(0x30, 0x39), range(0x41, 0x46), range(0x61, 0x66)]);

const ALNUM = union([ALPHABETIC, DIGIT]);

/** The word characters in brackets, `[\w]` and `[[:word:]]`. */
export const CLASS_WORD: CodePointSet = union([ALNUM, categorySet("M")!, categorySet("Pc")!]);

/** The word characters of `\w` and `\p{Word}`: Oniguruma's table adds six of Latin-1. */
export const WORD: CodePointSet = union([
  CLASS_WORD,
  range(0xb2, 0xb3),
  range(0xb9, 0xb9),
  range(0xbc, 0xbe),
]);

/** The word characters of Rust's regular expressions: joiners, too. */
export const RUST_WORD: CodePointSet = union([CLASS_WORD, range(0x200c, 0x200d)]);

const NAMED: Readonly<Record<string, () => CodePointSet>> = {
  any: () => range(0, 0x10ffff),
  alpha: () => ALPHABETIC,
  alphabetic: () => ALPHABETIC,
  digit: () => DIGIT,
  space: () => SPACE,
  whitespace: () => SPACE,
  alnum: () => ALNUM,
  word: () => CLASS_WORD,
  punct: () => union([categorySet("P")!, categorySet("S")!]),
  xdigit: () => HEX,
  ascii: () => range(0, 0x7f),
  blank: () => union([categorySet("Zs")!, range(9, 9)]),
  cntrl: () => categorySet("Cc")!,
  graph: () => invert(union([SPACE, categorySet("Cc")!, categorySet("Cn")!])),
};

/** The set of `\p{name}`: a general category, a script or one of a few other names; undefined if it is none. */
export function propertySet(name: string): CodePointSet | undefined {
  const plain = name.replaceAll(/[ _-]/g, "").toLowerCase();
  if (plain === "word") return WORD;
  if (plain === "punct" || plain === "punctuation") return categorySet("P");
  const short = LONG_NAMES[plain] ?? plain.charAt(0).toUpperCase() + plain.slice(1);
  return posixSet(plain) ?? (short.length <= 2 ? categorySet(short) : scriptSet(plain));
}

/** The set of `[:name:]`; undefined if there is none, or its members are not known here. */
export function posixSet(name: string): CodePointSet | undefined {
  return Object.hasOwn(NAMED, name) ? NAMED[name]!() : undefined;
}

const LONG_NAMES: Readonly<Record<string, string>> = {
  letter: "L",
  uppercaseletter: "Lu",
  lowercaseletter: "Ll",
  titlecaseletter: "Lt",
  modifierletter: "Lm",
  otherletter: "Lo",
  mark: "M",
  nonspacingmark: "Mn",
  spacingmark: "Mc",
  number: "N",
  decimalnumber: "Nd",
  punctuation: "P",
  symbol: "S",
  separator: "Z",
  other: "C",
};
