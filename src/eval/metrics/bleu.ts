import { DataError } from "../../core/errors.ts";
import { countItems, ngramsOf, splitWords, trimEnd } from "./words.ts";

/** Longest n-grams compared. */
const MAX_ORDER = 4;

/** What one text adds to a corpus' BLEU: plain counts, which are summed. */
export interface BleuCounts {
  /** Words of the text. */
  readonly length: number;
  /** Words of the reference whose length is nearest. */
  readonly referenceLength: number;
  /** N-grams that a reference has too, for n from 1 to 4. */
  readonly matches: readonly number[];
  /** All n-grams. */
  readonly totals: readonly number[];
}

/** One text against its references. */
export function bleuCounts(text: string, references: readonly string[]): BleuCounts {
  if (references.length === 0) {
    throw new DataError({ where: "BLEU", expected: "at least one reference", got: "none" });
  }
  const words = bleuWords(text);
  const others = references.map(bleuWords);
  const nearest = others.reduce((best, { length }) => nearer(words.length, best, length), others[0]!.length);
  const matches: number[] = [];
  const totals: number[] = [];
  for (let n = 1; n <= MAX_ORDER; n++) {
    const allowed = others.map((reference) => countItems(ngramsOf(reference, n, " ")));
    const found = ngramsOf(words, n, " ");
    let shared = 0;
    for (const [ngram, count] of countItems(found)) {
      shared += Math.min(count, Math.max(...allowed.map((counts) => counts.get(ngram) ?? 0)));
    }
    matches.push(shared);
    totals.push(found.length);
  }
  return { length: words.length, referenceLength: nearest, matches, totals };
}

/**
 * BLEU from 0 to 100 of one or many texts, as `sacrebleu` computes it with its defaults: words of `mteval-v13a`, case kept, up to 4-grams,
 * exponential smoothing.
 *
 * @param options.effectiveOrder leaves out orders for which the text is too short: for single sentences
 * @see Papineni et al. 2002; Post 2018, "A Call for Clarity in Reporting BLEU Scores"; smoothing: Chen & Cherry 2014, method 3.
 * @example
 * bleu([bleuCounts("the cat sat on a mat", ["the cat sat on the mat"])]); // => 53.7285 ±1e-4
 */
export function bleu(
  texts: readonly BleuCounts[],
  options: { readonly effectiveOrder?: boolean } = {},
): number {
  if (texts.length === 0) throw new DataError({ where: "BLEU", expected: "at least one text", got: "none" });
  const sum = (countOf: (counts: BleuCounts) => number) =>
    texts.reduce((total, counts) => total + countOf(counts), 0);
  const length = sum((counts) => counts.length);
  const referenceLength = sum((counts) => counts.referenceLength);
  const matches = Array.from({ length: MAX_ORDER }, (_, n) => sum((counts) => counts.matches[n]!));
  if (matches.every((count) => count === 0)) return 0;
  let logs = 0;
  let order = MAX_ORDER;
  let penalty = 1;
  for (let n = 0; n < MAX_ORDER; n++) {
    const total = sum((counts) => counts.totals[n]!);
    if (total === 0) {
      if (!options.effectiveOrder) return 0;
      order = n;
      break;
    }
    if (matches[n] === 0) penalty *= 2;
    logs += Math.log(matches[n] === 0 ? 100 / (penalty * total) : (100 * matches[n]!) / total);
  }
  const brevity = length < referenceLength ? Math.exp(1 - referenceLength / length) : 1;
  return brevity * Math.exp(logs / order);
}

/** Words as NIST's `mteval-v13a` separates them: punctuation stands alone, except dots and commas between digits. */
export function bleuWords(text: string): string[] {
  const line = trimEnd(text)
    .replaceAll("<skipped>", "")
    .replaceAll("-\n", "")
    .replaceAll("\n", " ")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
  const spaced = ` ${line} `
    .replace(/[ -&(-+:-@[-`{-~/]/g, " $& ")
    .replace(/([^0-9])([.,])/gu, "$1 $2 ")
    .replace(/([.,])([^0-9])/gu, " $1 $2")
    .replace(/([0-9])(-)/g, "$1 $2 ");
  return splitWords(spaced);
}

/** Of two lengths the one nearer to `length`; of equally near ones the shorter. */
function nearer(length: number, a: number, b: number): number {
  const [gapA, gapB] = [Math.abs(length - a), Math.abs(length - b)];
  return gapB < gapA || (gapB === gapA && b < a) ? b : a;
}
