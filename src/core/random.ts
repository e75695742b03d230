/** Everything a generator needs to continue where it stopped; four 32-bit words. */
export type RandomState = readonly [number, number, number, number];

/**
 * Seeded pseudo-random numbers: xoshiro128** (Blackman & Vigna 2018), seeded through splitmix32.
 *
 * Every source of chance in Plinth takes one of these explicitly; there is no global generator. The state
 * is four words, so it fits in a checkpoint and a resumed run draws the same numbers.
 *
 * @example
 * const a = new Random(7);
 * const b = Random.fromState(a.state());
 * a.uniform() === b.uniform(); // => true
 */
export class Random {
  #s0: number;
  #s1: number;
  #s2: number;
  #s3: number;

  constructor(seed: number) {
    const next = splitmix32(seed);
    this.#s0 = next();
    this.#s1 = next();
    this.#s2 = next();
    this.#s3 = next();
  }

  static fromState(state: RandomState): Random {
    const random = new Random(0);
    [random.#s0, random.#s1, random.#s2, random.#s3] = state;
    return random;
  }

  state(): RandomState {
    return [this.#s0, this.#s1, this.#s2, this.#s3];
  }

  /** An independent generator for a named purpose; does not advance this one. */
  fork(purpose: string): Random {
    let hash = 0x811c9dc5; // FNV-1a, 32 bits
    for (const word of [...this.state(), ...new TextEncoder().encode(purpose)]) {
      hash = Math.imul(hash ^ word, 0x01000193);
      hash ^= hash >>> 15;
    }
    return new Random(hash);
  }

  /** A 32-bit unsigned integer. */
  uint32(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.#s1, 5), 7), 9) >>> 0;
    const t = this.#s1 << 9;
    this.#s2 ^= this.#s0;
    this.#s3 ^= this.#s1;
    this.#s1 ^= this.#s2;
    this.#s0 ^= this.#s3;
    this.#s2 ^= t;
    this.#s3 = rotateLeft(this.#s3, 11);
    return result;
  }

  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 67108864 + (this.uint32() >>> 6)) / 9007199254740992;
  }

  /** Uniform integer in [0, bound), without modulo bias for any bound ≤ 2^53. */
  integer(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** Standard normal by the Box–Muller transform; one value per pair is discarded to keep the state small. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** A uniformly random order of 0 … length − 1 (Fisher–Yates). */
  permutation(length: number): Uint32Array {
    const order = Uint32Array.from({ length }, (_, i) => i);
    for (let i = length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swapped = order[i]!;
      order[i] = order[j]!;
      order[j] = swapped;
    }
    return order;
  }
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let word = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return word ^ (word >>> 15);
  };
}
