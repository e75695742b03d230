/**
 * What separates words in Python's `str.split()`: Unicode spaces and the separators U+001C to U+001F, but not U+FEFF, unlike JavaScript's `\s`.
 * References are written in Python, and the same text has to fall into the same words.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they separate words, too.
const SPACES = /[\p{White_Space}\u{1C}-\u{1F}]+/u;

/** Words between spaces, none empty, as Python's `text.split()`. */
export function splitWords(text: string): string[] {
  return text.split(SPACES).filter((word) => word !== "");
}

/** The text without spaces at its end, as Python's `text.rstrip()`. */
export function trimEnd(text: string): string {
  const words = splitWords(text);
  return words.length === 0 ? "" : text.slice(0, text.lastIndexOf(words.at(-1)!) + words.at(-1)!.length);
}

/** How often each item occurs. */
export function countItems<T>(items: Iterable<T>): Map<T, number> {
  const counts = new Map<T, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

/** How many items two multisets share. */
export function countShared<T>(a: ReadonlyMap<T, number>, b: ReadonlyMap<T, number>): number {
  let shared = 0;
  for (const [item, count] of a) shared += Math.min(count, b.get(item) ?? 0);
  return shared;
}

/** All runs of `n` neighbours; each joined by `separator`, which no item may hold. */
export function ngramsOf(items: readonly string[], n: number, separator: string): string[] {
  return Array.from({ length: Math.max(0, items.length - n + 1) }, (_, i) =>
    items.slice(i, i + n).join(separator),
  );
}

/** Harmonic mean of precision and recall; 0 if both are 0. */
export function harmonicMean(precision: number, recall: number): number {
  const sum = precision + recall;
  return sum > 0 ? (2 * precision * recall) / sum : 0;
}
