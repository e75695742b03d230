/**
 * A set of Unicode code points: runs of `first, last` in ascending order that do not touch. Surrogates are in none, as no
 * UTF-8 stands for them.
 */
export type CodePoints = readonly number[];

const LAST = 0x10ffff;

/** All characters. */
export const ANY: CodePoints = [0, 0xd7ff, 0xe000, LAST];
/** `\d` */
export const DIGITS: CodePoints = [0x30, 0x39];
/** `\w` */
export const WORD: CodePoints = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];
/** `\s`, as JavaScript has it. */
export const SPACE: CodePoints = [
  0x9, 0xd, 0x20, 0x20, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x202f, 0x205f,
  0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff,
];
/** The ends of lines, which `.` does not match. */
export const LINE_ENDS: CodePoints = [0xa, 0xa, 0xd, 0xd, 0x2028, 0x2029];

/** The code points from first to last. */
export function codePointRange(first: number, last: number): CodePoints {
  return intersectCodePoints([first, last], ANY);
}

/** What is in any of the sets. */
export function uniteCodePoints(sets: readonly CodePoints[]): CodePoints {
  const runs: [number, number][] = [];
  for (const set of sets) for (let i = 0; i < set.length; i += 2) runs.push([set[i]!, set[i + 1]!]);
  runs.sort((a, b) => a[0] - b[0]);
  const united: number[] = [];
  for (const [first, last] of runs) {
    const end = united.at(-1);
    if (end !== undefined && first <= end + 1) united[united.length - 1] = Math.max(end, last);
    else united.push(first, last);
  }
  return united;
}

/** All characters that are not in the set. */
export function complementCodePoints(set: CodePoints): CodePoints {
  const gaps: number[] = [];
  let from = 0;
  for (let i = 0; i < set.length; i += 2) {
    if (set[i]! > from) gaps.push(from, set[i]! - 1);
    from = set[i + 1]! + 1;
  }
  if (from <= LAST) gaps.push(from, LAST);
  return intersectCodePoints(gaps, ANY);
}

/** What is in both sets. */
export function intersectCodePoints(a: CodePoints, b: CodePoints): CodePoints {
  const common: number[] = [];
  for (let [i, j] = [0, 0]; i < a.length && j < b.length; ) {
    const first = Math.max(a[i]!, b[j]!);
    const last = Math.min(a[i + 1]!, b[j + 1]!);
    if (first <= last) common.push(first, last);
    if (a[i + 1]! === last) i += 2;
    else j += 2;
  }
  return common;
}

/**
 * The characters of a Unicode property, as `\p{…}` names it, by the Unicode of the JavaScript engine; undefined if it knows no
 * such property.
 */
export function codePointsOfProperty(name: string): CodePoints | undefined {
  if (!/^[A-Za-z0-9_]+(=[A-Za-z0-9_]+)?$/.test(name)) return undefined;
  let pattern: RegExp;
  try {
    pattern = new RegExp(`\\p{${name}}+`, "gu");
  } catch {
    return undefined;
  }
  const runs: number[] = [];
  for (let plane = 0; plane <= LAST; plane += 0x10000) {
    const width = plane === 0 ? 1 : 2; // units of UTF-16
    for (const { index, 0: run } of textOfPlane(plane).matchAll(pattern)) {
      runs.push(plane + index / width, plane + (index + run.length) / width - 1);
    }
  }
  return intersectCodePoints(uniteCodePoints([runs]), ANY);
}

/** All characters of a plane, with U+0000 in place of surrogates. */
function textOfPlane(plane: number): string {
  const width = plane === 0 ? 1 : 2;
  const units = new Uint16Array(0x10000 * width);
  for (let code = 0; code < 0x10000; code++) {
    if (plane === 0) units[code] = code >= 0xd800 && code < 0xe000 ? 0 : code;
    else {
      units[2 * code] = 0xd7c0 + ((plane + code) >> 10);
      units[2 * code + 1] = 0xdc00 + (code & 0x3ff);
    }
  }
  return new TextDecoder("utf-16le", { ignoreBOM: true }).decode(units);
}

/** One byte after another, each from a range. */
export type ByteRanges = readonly (readonly [low: number, high: number])[];

/** UTF-8 of a set: its characters are those strings of one to four bytes that fall into one of the sequences. */
export function utf8Ranges(set: CodePoints): ByteRanges[] {
  const sequences: ByteRanges[] = [];
  for (let i = 0; i < set.length; i += 2) pushRanges(sequences, set[i]!, set[i + 1]!);
  return sequences;
}

/** Largest code points of one, two, three and four bytes. */
const LIMITS = [0x7f, 0x7ff, 0xffff, LAST];

function pushRanges(sequences: ByteRanges[], first: number, last: number): void {
  for (const limit of LIMITS) {
    if (first <= limit && last > limit) {
      pushRanges(sequences, first, limit);
      pushRanges(sequences, limit + 1, last);
      return;
    }
  }
  const length = LIMITS.findIndex((limit) => last <= limit) + 1;
  // Cut until all bytes but those at the left that are equal run over their whole range.
  for (let bits = 6; bits < 6 * length; bits += 6) {
    const mask = (1 << bits) - 1;
    if ((first & ~mask) === (last & ~mask)) break;
    if ((first & mask) !== 0) {
      pushRanges(sequences, first, first | mask);
      pushRanges(sequences, (first | mask) + 1, last);
      return;
    }
    if ((last & mask) !== mask) {
      pushRanges(sequences, first, (last & ~mask) - 1);
      pushRanges(sequences, last & ~mask, last);
      return;
    }
  }
  const low = utf8Of(first, length);
  const high = utf8Of(last, length);
  sequences.push(low.map((byte, i) => [byte, high[i]!] as const));
}

function utf8Of(codePoint: number, length: number): number[] {
  if (length === 1) return [codePoint];
  const bytes: number[] = [];
  for (let i = length - 1; i > 0; i--) bytes.push(0x80 | ((codePoint >> (6 * (length - 1 - i))) & 0x3f));
  const mark = [0, 0, 0xc0, 0xe0, 0xf0][length]!;
  return [mark | (codePoint >> (6 * (length - 1))), ...bytes.reverse()];
}
