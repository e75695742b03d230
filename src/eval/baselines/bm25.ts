/** How soon more of the same word stops counting, and how much long texts are held against them. Robertson & Zaragoza 2009, §3.2. */
const SATURATION = 1.2;
const LENGTH_WEIGHT = 0.75;

/**
 * Finds which of many texts is most like another, by the words they share: rare words count more, and a long text has to share more.
 *
 * @see Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond".
 * @example
 * new Bm25(["a red fox", "a blue whale"]).nearest("whales and a whale"); // => 1
 */
export class Bm25 {
  /** For each word the texts it is in, with how often. */
  readonly #places = new Map<string, { readonly text: number; readonly count: number }[]>();
  readonly #lengths: readonly number[];
  readonly #meanLength: number;

  constructor(texts: readonly string[]) {
    this.#lengths = texts.map((text, i) => {
      const words = wordsOf(text);
      const counts = new Map<string, number>();
      for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
      for (const [word, count] of counts) {
        const found = this.#places.get(word);
        if (found) found.push({ text: i, count });
        else this.#places.set(word, [{ text: i, count }]);
      }
      return words.length;
    });
    this.#meanLength = this.#lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, texts.length);
  }

  /** Index of the most similar text, of equals the first; `undefined` if none shares a word. */
  nearest(text: string): number | undefined {
    const scores = new Map<number, number>();
    const total = this.#lengths.length;
    for (const word of new Set(wordsOf(text))) {
      const found = this.#places.get(word) ?? [];
      const rarity = Math.log(1 + (total - found.length + 0.5) / (found.length + 0.5));
      for (const { text: place, count } of found) {
        const length = this.#lengths[place]! / this.#meanLength;
        const damped = count + SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length);
        scores.set(place, (scores.get(place) ?? 0) + (rarity * count * (SATURATION + 1)) / damped);
      }
    }
    let best: number | undefined;
    for (const [place, score] of scores) {
      const lead = best === undefined ? 1 : score - scores.get(best)!;
      if (lead > 0 || (lead === 0 && place < best!)) best = place;
    }
    return best;
  }
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}_]+/gu) ?? [];
}
