import type { Random } from "../core/random.ts";

const ROUNDS = 8;

/**
 * A seeded random order of 0 … length − 1 that takes no memory: `at(i)` computes where place `i` of the order
 * points. A balanced Feistel network permutes the smallest power of four that holds the length, and values
 * beyond the length are permuted again until they fall inside ("cycle walking"), four times on average at worst.
 *
 * @see Black & Rogaway 2002, "Ciphers with Arbitrary Finite Domains", §4 and §5.
 * @example
 * const order = new ShuffledIndices(3, new Random(1));
 * [order.at(0), order.at(1), order.at(2)].sort(); // => [0, 1, 2]
 */
export class ShuffledIndices {
  readonly length: number;
  readonly #keys: readonly number[];
  readonly #halfSize: number;

  /** @param length at most 2^52 */
  constructor(length: number, random: Random) {
    this.length = length;
    this.#keys = Array.from({ length: ROUNDS }, () => random.uint32());
    let halfBits = 1;
    while (4 ** halfBits < length) halfBits++;
    this.#halfSize = 2 ** halfBits;
  }

  /** The index at place `place` of the order. */
  at(place: number): number {
    let index = place;
    do index = this.#permute(index);
    while (index >= this.length);
    return index;
  }

  #permute(index: number): number {
    const size = this.#halfSize;
    let left = Math.floor(index / size);
    let right = index % size;
    for (const key of this.#keys) {
      const mixed = (left ^ (mix(right ^ key) & (size - 1))) >>> 0;
      left = right;
      right = mixed;
    }
    return left * size + right;
  }
}

/** MurmurHash3's 32-bit finaliser: every output bit depends on every input bit. */
function mix(word: number): number {
  let hash = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
