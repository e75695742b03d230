// Eight bits for numbers that spread over many orders of magnitude.

import { allocate } from "../core/dtype.ts";

/** Neighbouring numbers that share a scale. */
export const CODED_BLOCK_SIZE = 256;

/** Orders of magnitude below the largest number of a block. */
const DECADES = 7;

/** Numbers in coded form: a byte each, and a float32 scale a block. */
export interface CodedArray {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/** Zeros for so many numbers, a multiple of the block's. */
export function allocateCoded(count: number, code: DynamicCode): CodedArray {
  const codes = (allocate("uint8", count) as Uint8Array).fill(code.zero);
  return { codes, scales: allocate("float32", count / CODED_BLOCK_SIZE) as Float32Array };
}

/**
 * A code of 256 levels in [−1, 1], or in [0, 1] for numbers that are never negative. Each decade has twice the levels of the
 * one below it, evenly spaced: the larger a number, the more precisely it is kept, and six orders of magnitude below
 * it there still is something between it and zero.
 *
 * @see Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", §2.2 (dynamic tree), §2.1 (blocks)
 */
export class DynamicCode {
  readonly levels: Float32Array;
  /** The code of zero. */
  readonly zero: number;
  /** A number has the code of how many of these lie below it. */
  readonly #borders: Float32Array;
  /** By the upper half of a float's bits, the code of the smallest number with that upper half. */
  readonly #first: Uint8Array;
  readonly #scaled = new Float32Array(CODED_BLOCK_SIZE);
  readonly #upperHalves = new Uint32Array(this.#scaled.buffer);

  /** @param isSigned if not, a number above zero never becomes zero: as a divisor it would be the end of the run */
  constructor(isSigned: boolean) {
    this.levels = makeLevels(isSigned);
    this.zero = this.levels.indexOf(0);
    const { levels } = this;
    this.#borders = levels.map((level, i) => (level + (levels[i + 1] ?? Number.POSITIVE_INFINITY)) / 2);
    if (!isSigned) this.#borders[0] = 0;
    this.#first = firstCodes(this.#borders);
  }

  /** Codes a stretch of numbers, from a block's start on. */
  encode(numbers: Float32Array, { codes, scales }: CodedArray, start: number): void {
    for (let at = 0; at < numbers.length; at += CODED_BLOCK_SIZE) {
      scales[(start + at) / CODED_BLOCK_SIZE] = this.#encodeBlock(numbers, at, codes, start + at);
    }
  }

  /** The numbers again. */
  decode({ codes, scales }: CodedArray, start: number, numbers: Float32Array): void {
    const { levels } = this;
    for (let at = 0; at < numbers.length; at += CODED_BLOCK_SIZE) {
      const scale = scales[(start + at) / CODED_BLOCK_SIZE]!;
      for (let i = at; i < at + CODED_BLOCK_SIZE; i++) numbers[i] = levels[codes[start + i]!]! * scale;
    }
  }

  /** @returns the scale: the largest magnitude */
  #encodeBlock(numbers: Float32Array, at: number, codes: Uint8Array, start: number): number {
    const [scaled, upperHalves, first, borders] = [
      this.#scaled,
      this.#upperHalves,
      this.#first,
      this.#borders,
    ];
    let peak = 0;
    for (let i = 0; i < CODED_BLOCK_SIZE; i++) {
      const size = Math.abs(numbers[at + i]!);
      if (size > peak) peak = size;
    }
    if (peak === 0) {
      codes.fill(this.zero, start, start + CODED_BLOCK_SIZE);
      return 0;
    }
    for (let i = 0; i < CODED_BLOCK_SIZE; i++) scaled[i] = numbers[at + i]! / peak;
    for (let i = 0; i < CODED_BLOCK_SIZE; i++) {
      const value = scaled[i]!;
      const code = first[upperHalves[i]! >>> 16]!;
      codes[start + i] = code + Number(value > borders[code]!); // upper halves lie closer to each other than borders
    }
    return peak;
  }
}

function makeLevels(isSigned: boolean): Float32Array {
  const levels = [0, 1];
  for (let decade = 0; decade < DECADES; decade++) {
    const count = isSigned ? 2 ** decade : 2 ** (decade + 1);
    for (let i = 0; i < count; i++) {
      const level = (0.1 + (0.9 * (i + 0.5)) / count) * 10 ** (decade - DECADES + 1);
      levels.push(level, ...(isSigned ? [-level] : []));
    }
  }
  return Float32Array.from(levels).sort();
}

function firstCodes(borders: Float32Array): Uint8Array {
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  const first = new Uint8Array(2 ** 16);
  let code = 0;
  // From the smallest number up: negative ones are the smaller the larger their bits are.
  for (let i = 0; i < first.length; i++) {
    const isNegative = i < 2 ** 15;
    const upper = isNegative ? 2 ** 16 - 1 - i : i - 2 ** 15;
    bits[0] = upper * 2 ** 16 + (isNegative ? 0xffff : 0);
    while (float[0]! > borders[code]!) code++;
    first[upper] = code;
  }
  return first;
}
