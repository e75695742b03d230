const STRIDE = 4; // left, right, value, unused: a power of two keeps an entry within one cache line

/** A map from pairs of token ids to a non-negative integer, in one flat array (open addressing). */
export class PairTable {
  #entries: Int32Array;
  #mask: number;
  #size = 0;

  constructor(expectedSize = 1 << 10) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(16, expectedSize * 2)));
    this.#entries = new Int32Array(capacity * STRIDE).fill(-1);
    this.#mask = capacity - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** The pair's value, -1 if it has none. */
  get(left: number, right: number): number {
    return this.#entries[this.#place(left, right) + 2]!;
  }

  set(left: number, right: number, value: number): void {
    const place = this.#place(left, right);
    if (this.#entries[place] === -1) this.#size++;
    this.#entries[place] = left;
    this.#entries[place + 1] = right;
    this.#entries[place + 2] = value;
    if (this.#size * 2 > this.#mask) this.#grow();
  }

  /** Start of the pair's entry, or of the empty one where it belongs. */
  #place(left: number, right: number): number {
    const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    for (let slot = (hash ^ (hash >>> 15)) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const place = slot * STRIDE;
      const found = this.#entries[place]!;
      if (found === -1 || (found === left && this.#entries[place + 1] === right)) return place;
    }
  }

  #grow(): void {
    const old = this.#entries;
    this.#entries = new Int32Array(old.length * 2).fill(-1);
    this.#mask = this.#mask * 2 + 1;
    this.#size = 0;
    for (let place = 0; place < old.length; place += STRIDE) {
      if (old[place] !== -1) this.set(old[place]!, old[place + 1]!, old[place + 2]!);
    }
  }
}
