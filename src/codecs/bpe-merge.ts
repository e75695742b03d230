import { NumberHeap } from "./number-heap.ts";
import { PairTable } from "./pair-table.ts";

/** Rank of a pair that no merge rule joins. */
const NO_RANK = 0x7fffffff;

/** Up to this many symbols a scan for the best pair beats a heap. */
const SHORT_LENGTH = 48;

/** A merge rule: tokens `left` and `right`, side by side, become `result`. */
export interface MergeRule {
  readonly left: number;
  readonly right: number;
  readonly result: number;
  /** Lower ones are applied first; rules of equal rank from left to right. Default: its place in the list. */
  readonly rank?: number | undefined;
}

/**
 * Byte-pair merging (Sennrich et al. 2016, arXiv:1508.07909): of all adjacent pairs with a rule, the one of
 * lowest rank is joined first, the leftmost of equals; until no rule applies.
 */
export class MergeRules {
  /** Number of each pair's rule. */
  readonly #rules: PairTable;
  readonly #results: Int32Array;
  /** Rank of each rule; undefined where it is the rule's number. */
  readonly #ranks: Int32Array | undefined;
  readonly #scanRanks: Int32Array = new Int32Array(SHORT_LENGTH);

  /** @param rules in order of rank */
  constructor(rules: readonly MergeRule[]) {
    this.#rules = new PairTable(rules.length);
    this.#results = Int32Array.from(rules, (rule) => rule.result);
    for (const [rule, { left, right }] of rules.entries()) this.#rules.set(left, right, rule);
    if (rules.some(({ rank }) => rank !== undefined)) {
      this.#ranks = Int32Array.from(rules, ({ rank }, rule) => rank ?? rule);
    }
  }

  /**
   * Merges the first `length` symbols in place and returns how many are left.
   *
   * @param spans for each symbol how many first symbols it is made of; added up as they merge
   */
  apply(symbols: Int32Array, length: number, spans?: Int32Array): number {
    if (length < 2) return length;
    const isShort = length <= SHORT_LENGTH;
    return isShort ? this.#applyByScan(symbols, length, spans) : this.#applyByHeap(symbols, length, spans);
  }

  #rank(left: number, right: number): number {
    const rule = this.#rules.get(left, right);
    if (rule < 0) return NO_RANK;
    return this.#ranks ? this.#ranks[rule]! : rule;
  }

  /** What the pair becomes; it has a rule. */
  #result(rank: number, left: number, right: number): number {
    return this.#results[this.#ranks ? this.#rules.get(left, right) : rank]!;
  }

  #applyByScan(symbols: Int32Array, length: number, spans?: Int32Array): number {
    const scanRanks = this.#scanRanks;
    for (let i = 0; i + 1 < length; i++) scanRanks[i] = this.#rank(symbols[i]!, symbols[i + 1]!);
    while (length > 1) {
      let best = 0;
      for (let i = 1; i + 1 < length; i++) if (scanRanks[i]! < scanRanks[best]!) best = i;
      const rank = scanRanks[best]!;
      if (rank === NO_RANK) break;
      symbols[best] = this.#result(rank, symbols[best]!, symbols[best + 1]!);
      if (spans) {
        spans[best]! += spans[best + 1]!;
        spans.copyWithin(best + 1, best + 2, length);
      }
      length--;
      for (let i = best + 1; i < length; i++) {
        symbols[i] = symbols[i + 1]!;
        scanRanks[i] = scanRanks[i + 1]!;
      }
      if (best + 1 < length) scanRanks[best] = this.#rank(symbols[best]!, symbols[best + 1]!);
      if (best > 0) scanRanks[best - 1] = this.#rank(symbols[best - 1]!, symbols[best]!);
    }
    return length;
  }

  /** O(n log n): a linked list of symbols and a heap of (rank, position), stale entries skipped. */
  #applyByHeap(symbols: Int32Array, length: number, spans?: Int32Array): number {
    const next = Int32Array.from({ length }, (_, i) => i + 1);
    const previous = Int32Array.from({ length }, (_, i) => i - 1);
    const ranks = new Int32Array(length).fill(NO_RANK);
    const heap = new NumberHeap((a, b) => a < b, length);
    const update = (at: number): void => {
      const after = next[at]!;
      ranks[at] = after < length ? this.#rank(symbols[at]!, symbols[after]!) : NO_RANK;
      if (ranks[at] !== NO_RANK) heap.push(ranks[at]! * length + at);
    };
    for (let i = 0; i + 1 < length; i++) update(i);
    while (heap.size > 0) {
      const key = heap.pop();
      const at = key % length;
      const rank = (key - at) / length;
      if (ranks[at] !== rank) continue;
      const gone = next[at]!;
      symbols[at] = this.#result(rank, symbols[at]!, symbols[gone]!);
      if (spans) spans[at]! += spans[gone]!;
      ranks[gone] = NO_RANK;
      next[at] = next[gone]!;
      if (next[at]! < length) previous[next[at]!] = at;
      update(at);
      if (previous[at]! >= 0) update(previous[at]!);
    }
    if (spans) compact(spans, next, length);
    return compact(symbols, next, length);
  }
}

/** Moves the items of the linked list that begins at 0 to the front. */
function compact(symbols: Int32Array, next: Int32Array, length: number): number {
  let count = 0;
  for (let at = 0; at < length; at = next[at]!) symbols[count++] = symbols[at]!;
  return count;
}
