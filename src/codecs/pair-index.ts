import { NumberHeap } from "./number-heap.ts";
import { PairTable } from "./pair-table.ts";

const NONE = -1;

/**
 * All adjacent pairs of symbols in a set of counted words, kept exact while pairs are merged.
 *
 * A position is the left end of at most one pair, so the places where a pair occurs form a doubly linked list
 * threaded through arrays of positions: a merge costs as much as it has occurrences, however long the words.
 *
 * A pair's newest symbol is made by one merge only, so all places of a pair appear during that merge, from
 * left to right; afterwards its count can only fall.
 */
export class PairIndex {
  readonly #symbols: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #wordOf: Int32Array;
  readonly #wordCounts: number[] = [];
  #length = 0;

  /** Pair whose left end is here. */
  readonly #pairAt: Int32Array;
  readonly #nextPlace: Int32Array;
  readonly #previousPlace: Int32Array;

  readonly #pairs: PairTable = new PairTable(1 << 14);
  readonly #lefts: number[] = [];
  readonly #rights: number[] = [];
  readonly #counts: number[] = [];
  readonly #heads: number[] = [];
  readonly #tails: number[] = [];

  /** @param numSymbols of all words together */
  constructor(numSymbols: number) {
    this.#symbols = new Int32Array(numSymbols);
    this.#next = new Int32Array(numSymbols).fill(NONE);
    this.#previous = new Int32Array(numSymbols).fill(NONE);
    this.#wordOf = new Int32Array(numSymbols);
    this.#pairAt = new Int32Array(numSymbols).fill(NONE);
    this.#nextPlace = new Int32Array(numSymbols);
    this.#previousPlace = new Int32Array(numSymbols);
  }

  /** Number of pairs ever seen; a pair is known by its index, 0 … size - 1, in order of appearance. */
  get size(): number {
    return this.#lefts.length;
  }

  left(pair: number): number {
    return this.#lefts[pair]!;
  }

  right(pair: number): number {
    return this.#rights[pair]!;
  }

  /** Occurrences left, each weighted by its word's count. In `aaa` the pair `aa` counts twice. */
  count(pair: number): number {
    return this.#counts[pair]!;
  }

  /** Adds a word that occurs `count` times; all words come before the first merge. */
  addWord(bytes: Uint8Array, symbolOfByte: Uint8Array, count: number): void {
    const start = this.#length;
    const word = this.#wordCounts.push(count) - 1;
    this.#length += bytes.length;
    for (let i = 0; i < bytes.length; i++) {
      const at = start + i;
      this.#symbols[at] = symbolOfByte[bytes[i]!]!;
      this.#wordOf[at] = word;
      if (i === 0) continue;
      this.#previous[at] = at - 1;
      this.#next[at - 1] = at;
      this.#link(at - 1);
    }
  }

  /** Replaces every occurrence of the pair by the new `symbol`, from left to right. */
  merge(pair: number, symbol: number): void {
    for (let at = this.#heads[pair]!; at !== NONE; at = this.#heads[pair]!) {
      const before = this.#previous[at]!;
      const gone = this.#next[at]!;
      const after = this.#next[gone]!;
      this.#unlink(at);
      if (before !== NONE) this.#unlink(before);
      if (after !== NONE) this.#unlink(gone);
      this.#symbols[at] = symbol;
      this.#next[at] = after;
      if (after !== NONE) this.#previous[after] = at;
      if (before !== NONE) this.#link(before);
      if (after !== NONE) this.#link(at);
    }
  }

  /** Counts the pair that begins at `at`. */
  #link(at: number): void {
    const pair = this.#indexOf(this.#symbols[at]!, this.#symbols[this.#next[at]!]!);
    const tail = this.#tails[pair]!;
    this.#pairAt[at] = pair;
    this.#previousPlace[at] = tail;
    this.#nextPlace[at] = NONE;
    if (tail === NONE) this.#heads[pair] = at;
    else this.#nextPlace[tail] = at;
    this.#tails[pair] = at;
    this.#counts[pair]! += this.#wordCounts[this.#wordOf[at]!]!;
  }

  /** Takes the pair that begins at `at` out of the counts. */
  #unlink(at: number): void {
    const pair = this.#pairAt[at]!;
    const before = this.#previousPlace[at]!;
    const after = this.#nextPlace[at]!;
    if (before === NONE) this.#heads[pair] = after;
    else this.#nextPlace[before] = after;
    if (after === NONE) this.#tails[pair] = before;
    else this.#previousPlace[after] = before;
    this.#pairAt[at] = NONE;
    this.#counts[pair]! -= this.#wordCounts[this.#wordOf[at]!]!;
  }

  #indexOf(left: number, right: number): number {
    const known = this.#pairs.get(left, right);
    if (known >= 0) return known;
    const pair = this.#lefts.push(left) - 1;
    this.#pairs.set(left, right, pair);
    this.#rights.push(right);
    this.#counts.push(0);
    this.#heads.push(NONE);
    this.#tails.push(NONE);
    return pair;
  }
}

/**
 * The pairs of an index, most frequent first; of equals, the lowest left symbol, then the lowest right one.
 *
 * Counts only fall once a pair is in the queue, so a stale count is noticed when the pair comes up, and the
 * pair is put back where it belongs.
 */
export class PairQueue {
  readonly #pairs: PairIndex;
  /** Count by which each pair was last queued. */
  readonly #queued: number[] = [];
  readonly #heap: NumberHeap;

  constructor(pairs: PairIndex) {
    this.#pairs = pairs;
    this.#heap = new NumberHeap((a, b) => this.#comesBefore(a, b));
  }

  /** Removes and returns the first pair with at least `minCount` occurrences; undefined if there is none. */
  pop(minCount: number): number | undefined {
    for (let pair = this.#queued.length; pair < this.#pairs.size; pair++) this.#push(pair, minCount);
    while (this.#heap.size > 0) {
      const pair = this.#heap.pop();
      if (this.#queued[pair] === this.#pairs.count(pair)) return pair;
      this.#push(pair, minCount);
    }
    return undefined;
  }

  #push(pair: number, minCount: number): void {
    const count = this.#pairs.count(pair);
    this.#queued[pair] = count;
    if (count >= minCount) this.#heap.push(pair);
  }

  #comesBefore(a: number, b: number): boolean {
    const byCount = this.#queued[b]! - this.#queued[a]!;
    const byLeft = this.#pairs.left(a) - this.#pairs.left(b);
    return (byCount || byLeft || this.#pairs.right(a) - this.#pairs.right(b)) < 0;
  }
}
