import { NgramTrie } from "./ngram-trie.ts";

/** A hidden token and what can be seen around it: neighbours up to the next hidden or special token, nearest first. */
export interface Gap {
  readonly left: readonly number[];
  readonly right: readonly number[];
  readonly token: number;
}

/** Neighbours counted to either side. */
export const MAX_NEIGHBOURS = 3;

/**
 * How often counting fills a gap in right: the token seen most often between the same neighbours in the training text,
 * up to three to either side. The most neighbours that were ever seen together decide, and where equally many can be
 * chosen in several ways, these add up.
 *
 * Only neighbourhoods of the gaps are counted, so memory grows with the gaps and not with the text.
 *
 * @param texts training text, in pieces
 * @param vocabularySize ids are below it
 */
export function fillByCounts(
  gaps: readonly Gap[],
  texts: Iterable<Int32Array>,
  vocabularySize: number,
): { readonly right: number; readonly mostCommonRight: number } {
  const counts = new NeighbourCounts(vocabularySize);
  for (const gap of gaps) counts.expect(gap);
  const totals = new Float64Array(vocabularySize);
  for (const text of texts) {
    for (let at = 0; at < text.length; at++) {
      totals[text[at]!]!++;
      counts.add(text, at);
    }
  }
  const mostCommon = totals.indexOf(Math.max(...totals));
  let [right, mostCommonRight] = [0, 0];
  for (const gap of gaps) {
    right += Number((counts.guess(gap) ?? mostCommon) === gap.token);
    mostCommonRight += Number(mostCommon === gap.token);
  }
  return { right, mostCommonRight };
}

/**
 * Counts of tokens between neighbours. A neighbourhood is a path in a trie: left neighbours, then right ones shifted by
 * the vocabulary's size, then, shifted twice, the token itself.
 */
class NeighbourCounts {
  readonly #trie = new NgramTrie();
  readonly #size: number;
  /** Tokens seen in each neighbourhood, by node. */
  readonly #seen = new Map<number, number[]>();

  constructor(vocabularySize: number) {
    this.#size = vocabularySize;
  }

  /** Makes the neighbourhoods of a gap known, so that they are counted. */
  expect({ left, right }: Gap): void {
    let leftNode = this.#trie.root;
    for (let l = 0; ; l++) {
      let node = leftNode;
      for (const id of right) node = this.#child(node, id + this.#size);
      if (l === left.length) return;
      leftNode = this.#child(leftNode, left[l]!);
    }
  }

  /** Counts one token of a text in all known neighbourhoods. */
  add(text: Int32Array, at: number): void {
    const token = text[at]!;
    let leftNode = this.#trie.root;
    for (let l = 0; ; l++) {
      let node = leftNode;
      for (let r = 0; ; r++) {
        this.#count(node, token);
        if (r === MAX_NEIGHBOURS || at + r + 1 >= text.length) break;
        node = this.#trie.find(node, text[at + r + 1]! + this.#size);
        if (node === 0) break;
      }
      if (l === MAX_NEIGHBOURS || at - l - 1 < 0) return;
      leftNode = this.#trie.find(leftNode, text[at - l - 1]!);
      if (leftNode === 0) return;
    }
  }

  /** The most frequent token; undefined if not even the empty neighbourhood was seen. */
  guess({ left, right }: Gap): number | undefined {
    for (let total = left.length + right.length; total >= 0; total--) {
      const votes = new Map<number, number>();
      for (let l = Math.min(total, left.length); l >= Math.max(0, total - right.length); l--) {
        this.#vote(votes, left.slice(0, l), right.slice(0, total - l));
      }
      if (votes.size > 0) return [...votes].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
    }
    return undefined;
  }

  #vote(votes: Map<number, number>, left: readonly number[], right: readonly number[]): void {
    let node = this.#trie.root;
    for (const symbol of [...left, ...right.map((id) => id + this.#size)])
      node = this.#trie.find(node, symbol);
    for (const token of this.#seen.get(node) ?? []) {
      const count = this.#trie.count(this.#trie.find(node, token + 2 * this.#size));
      votes.set(token, (votes.get(token) ?? 0) + count);
    }
  }

  #count(node: number, token: number): void {
    const child = this.#trie.add(node, token + 2 * this.#size);
    if (this.#trie.count(child) > 1) return;
    const seen = this.#seen.get(node);
    if (seen) seen.push(token);
    else this.#seen.set(node, [token]);
  }

  #child(node: number, symbol: number): number {
    return this.#trie.find(node, symbol) || this.#trie.add(node, symbol);
  }
}
