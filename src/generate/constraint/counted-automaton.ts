import type { ByteAutomaton } from "./byte-automaton.ts";
import { intersect, type TableAutomaton } from "./byte-automaton.ts";

const QUOTE = 0x22;

/** States 0 and 1 are before the opening and after the closing quote; then come those of the unit, once a count. */
const BEFORE = 0;
const AFTER = 1;
const FIRST = 2;

/**
 * `"` unit `"`, the unit between `min` and `max` times: strings by their number of characters. Counts are arithmetic, not states in a
 * table, so a million characters cost no more than ten.
 *
 * The unit's own automaton must be over where it accepts (no unit begins another), and take no quote at its start.
 */
export class CountedAutomaton implements ByteAutomaton {
  readonly start: number = BEFORE;
  readonly #unit: TableAutomaton;
  readonly #numInside: number;
  readonly #min: number;
  readonly #max: number;
  /** Counts from here on are the same. */
  readonly #cap: number;

  constructor(unit: TableAutomaton, min: number, max: number) {
    this.#unit = unit;
    this.#min = min;
    this.#max = max;
    this.#numInside = unit.numStates;
    this.#cap = max === Number.POSITIVE_INFINITY ? min : max;
  }

  /** The strings that the other automaton's texts can spell; undefined if there are none. */
  restrictedTo(texts: TableAutomaton, where: string): CountedAutomaton | undefined {
    const unit = intersect(this.#unit, texts, where);
    return unit && new CountedAutomaton(unit, this.#min, this.#max);
  }

  next(state: number, byte: number): number {
    if (state < FIRST) return state === BEFORE && byte === QUOTE ? FIRST : -1;
    const count = Math.floor((state - FIRST) / this.#numInside);
    const first = FIRST + count * this.#numInside; // the state of that count, before a unit
    if (state === first) {
      if (byte === QUOTE) return count >= this.#min ? AFTER : -1;
      if (count >= this.#max) return -1;
    }
    const next = this.#unit.next(state - first, byte);
    if (next < 0) return -1;
    if (!this.#unit.isAccepting(next)) return first + next;
    return count < this.#cap ? first + this.#numInside : first;
  }

  isAccepting(state: number): boolean {
    return state === AFTER;
  }

  isFinal(state: number): boolean {
    return state === AFTER;
  }

  distance(state: number): number {
    if (state === AFTER) return 0;
    const { count, inside } = state === BEFORE ? { count: 0, inside: 0 } : this.#split(state);
    const isInside = inside !== 0;
    const missing = Math.max(0, this.#min - count - Number(isInside));
    const ahead = isInside ? this.#unit.distance(inside) : 0;
    return Number(state === BEFORE) + ahead + missing * this.#unit.distance(0) + 1;
  }

  nearerByte(state: number): number {
    if (state === BEFORE) return QUOTE;
    const { count, inside } = this.#split(state);
    return inside === 0 && count >= this.#min ? QUOTE : this.#unit.nearerByte(inside);
  }

  horizonKey(state: number, horizon: number): number {
    if (state < FIRST) return state;
    const { count, inside } = this.#split(state);
    const toMin = Math.min(Math.max(0, this.#min - count), horizon + 1);
    const toMax = Math.min(this.#max - count, horizon + 1);
    return FIRST + (toMin * (horizon + 2) + toMax) * this.#numInside + inside;
  }

  #split(state: number): { count: number; inside: number } {
    const count = Math.floor((state - FIRST) / this.#numInside);
    return { count, inside: state - FIRST - count * this.#numInside };
  }
}
