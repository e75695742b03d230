import { type CodePointSet, difference, invert, range, SetTest, union } from "./code-point-set.ts";
import {
  CATEGORY_RUNS,
  NEW_TO_NORMAL_FORMS_RUNS,
  NOT_ACCENT_RUNS,
  NOT_BERT_ACCENT_RUNS,
  NOT_BERT_CONTROL_RUNS,
  NOT_BERT_PUNCTUATION_RUNS,
  NOT_DIGIT_RUNS,
  OTHER_ALPHABETIC_RUNS,
  SCRIPT_RUNS,
} from "./unicode-data.ts";

// Classes of code points as the `tokenizers` library (0.23) has them, most as of Unicode 16.0. JavaScript's own `\p{L}`
// follows whatever Unicode the running Node was built with, so the same text would get other tokens on another machine.

/** Class of a code point that is neither letter, number nor white space. */
export const OTHER = 0;
/** Unicode general category L. */
export const LETTER = 1;
/** Unicode general category N. */
export const NUMBER = 2;
/** The Unicode property White_Space; unlike JavaScript's `\s` it has U+0085 and lacks U+FEFF. */
export const WHITESPACE = 3;

/** General categories, in the order of the data. */
const CATEGORY_NAMES =
  "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co".split(" ");

const CATEGORIES: ReadonlyMap<string, CodePointSet> = readCategories();

/**
 * The code points of a general category, or of all whose names begin with a letter; undefined if there is no such category.
 *
 * @example
 * categorySet("Zl"); // => [0x2028, 0x2029]
 */
export function categorySet(name: string): CodePointSet | undefined {
  const names = CATEGORY_NAMES.filter((known) => known.startsWith(name));
  const assigned = union(names.map((known) => CATEGORIES.get(known)!));
  if (name !== "Cn" && name !== "C") return names.length > 0 ? assigned : undefined;
  const unassigned = invert(union([...CATEGORIES.values(), range(0xd800, 0xdfff)]));
  return union([assigned, unassigned]);
}

/** White space. */
export const SPACES: CodePointSet = union([categorySet("Z")!, range(0x9, 0xd), range(0x85, 0x85)]);

/** Alphabetic code points: letters and what counts as such. */
export const ALPHABETIC: CodePointSet = union([categorySet("L")!, runsOf(OTHER_ALPHABETIC_RUNS)]);

/**
 * The class of every code point, one byte each.
 *
 * @example
 * CODE_POINT_CLASS["é".codePointAt(0)!] === LETTER; // => true
 */
export const CODE_POINT_CLASS: Uint8Array = buildClasses();

/** What BERT's pre-tokenizer, and `Punctuation`, cut off: category P of Unicode 8, and ASCII's. */
export const BERT_PUNCTUATION: SetTest = new SetTest(
  difference(union([categorySet("P")!, asciiPunctuation()]), runsOf(NOT_BERT_PUNCTUATION_RUNS)),
);

/** What BERT strips as accents. */
export const BERT_ACCENTS: SetTest = new SetTest(
  difference(categorySet("Mn")!, runsOf(NOT_BERT_ACCENT_RUNS)),
);

/** What `StripAccents` strips. */
export const ACCENTS: SetTest = new SetTest(difference(categorySet("M")!, runsOf(NOT_ACCENT_RUNS)));

/** What BERT removes as control characters. */
export const BERT_CONTROLS: SetTest = new SetTest(
  difference(union(["Cc", "Cf", "Co"].map((name) => categorySet(name)!)), runsOf(NOT_BERT_CONTROL_RUNS)),
);

/** What `Digits` takes for a digit. */
export const DIGITS: SetTest = new SetTest(difference(categorySet("N")!, runsOf(NOT_DIGIT_RUNS)));

/** What the normal forms leave alone, though newer Unicode does not. */
export const NEW_TO_NORMAL_FORMS: SetTest = new SetTest(runsOf(NEW_TO_NORMAL_FORMS_RUNS));

/** The code points of a script; undefined if its data are not here. */
export function scriptSet(name: string): CodePointSet | undefined {
  const known = Object.keys(SCRIPT_RUNS).find((script) => script.toLowerCase() === name.toLowerCase());
  return known === undefined ? undefined : runsOf(SCRIPT_RUNS[known]!);
}

/** Reads `gap length` pairs in base 36, the gap counted from the end of the run before. */
function runsOf(runs: string): CodePointSet {
  const numbers = runs.trim().split(" ");
  const ranges: number[] = [];
  let at = 0;
  for (let i = 0; i + 1 < numbers.length; i += 2) {
    const start = at + Number.parseInt(numbers[i]!, 36);
    at = start + Number.parseInt(numbers[i + 1]!, 36);
    ranges.push(start, at);
  }
  return ranges;
}

/** Whether BERT puts spaces around a character: the blocks of Chinese ideographs. */
export function isChinese(point: number): boolean {
  return CHINESE.some(([first, end]) => point >= first && point < end);
}

const CHINESE: readonly (readonly [number, number])[] = [
  [0x3400, 0x4dc0],
  [0x4e00, 0xa000],
  [0xf900, 0xfb00],
  [0x20000, 0x2a6e0],
  [0x2a700, 0x2b820],
  [0x2b920, 0x2ceb0],
  [0x2f800, 0x2fa20],
];

/** Cased letters that are newer than the oldest Node we run on; JavaScript there does not know their lower case. */
const NEW_LOWERCASE: ReadonlyMap<number, number> = new Map([
  [0x1c89, 0x1c8a],
  [0xa7cb, 0x264],
  [0xa7cc, 0xa7cd],
  [0xa7ce, 0xa7cf],
  [0xa7d2, 0xa7d3],
  [0xa7d4, 0xa7d5],
  [0xa7da, 0xa7db],
  [0xa7dc, 0x19b],
  ...Array.from({ length: 22 }, (_, i) => [0x10d50 + i, 0x10d70 + i] as const),
  ...Array.from({ length: 25 }, (_, i) => [0x16ea0 + i, 0x16ebb + i] as const),
]);

/** Lower case of one character, by itself: a final sigma is a sigma. */
export function lowercaseOf(char: string): string {
  const lower = char.toLowerCase();
  if (lower !== char) return lower;
  const known = NEW_LOWERCASE.get(char.codePointAt(0)!);
  return known === undefined ? char : String.fromCodePoint(known);
}

function readCategories(): ReadonlyMap<string, CodePointSet> {
  const ranges = new Map<string, number[]>(CATEGORY_NAMES.map((name) => [name, []]));
  const words = CATEGORY_RUNS.trim().split(" ");
  let at = 0;
  for (let i = 0; i + 1 < words.length; i += 2) {
    const start = at + Number.parseInt(words[i]!, 36);
    at = start + Number.parseInt(words[i + 1]!.slice(0, -1), 36);
    const name = CATEGORY_NAMES[Number.parseInt(words[i + 1]!.at(-1)!, 36)]!;
    ranges.get(name)!.push(start, at);
  }
  return ranges;
}

function buildClasses(): Uint8Array {
  const table = new Uint8Array(0x110000);
  const fill = (set: CodePointSet, kind: number): void => {
    for (let i = 0; i < set.length; i += 2) table.fill(kind, set[i], set[i + 1]);
  };
  fill(categorySet("L")!, LETTER);
  fill(categorySet("N")!, NUMBER);
  fill(SPACES, WHITESPACE);
  return table;
}

function asciiPunctuation(): CodePointSet {
  return union([range(0x21, 0x2f), range(0x3a, 0x40), range(0x5b, 0x60), range(0x7b, 0x7e)]);
}
