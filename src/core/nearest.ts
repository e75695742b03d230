/**
 * The candidate with the smallest edit distance to `word`, if close enough to be a likely typo
 * (at most half of the word's letters differ).
 *
 * @example
 * nearest("learningrate", ["learningRate", "width"]); // => "learningRate"
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.floor(word.length / 2) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `Did you mean "x"?`, or the known names when none is near. */
export function suggest(word: string, candidates: Iterable<string>): string {
  const names = [...candidates];
  const near = nearest(word, names);
  return near ? `Did you mean "${near}"?` : `Known: ${names.join(", ")}.`;
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
