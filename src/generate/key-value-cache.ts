import { type HostTensor, numElements } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import type { DecoderShape } from "../models/contracts.ts";
import { cachedHeadSize } from "../nn/causal-attention.ts";

// R rows · G key/value heads · M slots of a row · D head width · W window

/** Slots a row begins with, when it may have more. */
const FIRST_SLOTS = 256;

/** Most tokens of a row that are read at once: a rolling cache has room for so many beside its window. */
export const PIECE_TOKENS = 512;

/** Where a row stands. Slot s holds the token at position `evicted + s`. */
interface Row {
  /** Tokens read so far. */
  length: number;
  /** How many of them, from the first on, no further token can see and the cache has let go. */
  evicted: number;
}

/**
 * Keys and values of every layer, for several sequences: a row each.
 *
 * Memory grows by doubling up to what the capacity needs. With a sliding window W it stops growing at
 * W − 1 + {@link PIECE_TOKENS} slots: when they are full, the W − 1 tokens that the next one still sees move to the front
 * (a rolling buffer that is turned once in so many tokens instead of with each). Keys carry their absolute position, so
 * which slot they lie in makes no difference (Jiang et al. 2023, §2, "Rolling Buffer Cache").
 */
export class KeyValueCache {
  readonly numRows: number;
  /** Most tokens of a row. */
  readonly capacity: number;
  readonly #numHeads: number;
  readonly #headSize: number;
  readonly #window: number | undefined;
  readonly #mostSlots: number;
  readonly #rows: Row[];
  #slots: number;
  /** Keys and values of layer 0, of layer 1 …: each `(R, G, M, D)`. */
  #planes: Float32Array[];

  constructor(shape: DecoderShape, numRows: number, capacity: number) {
    this.numRows = numRows;
    this.capacity = capacity;
    this.#numHeads = shape.numKeyValueHeads;
    this.#headSize = cachedHeadSize(shape.headSize);
    this.#window = shape.slidingWindow;
    this.#mostSlots = Math.min(
      capacity,
      shape.slidingWindow ? shape.slidingWindow - 1 + PIECE_TOKENS : capacity,
    );
    this.#slots = Math.min(FIRST_SLOTS, this.#mostSlots);
    this.#rows = Array.from({ length: numRows }, () => ({ length: 0, evicted: 0 }));
    this.#planes = Array.from({ length: 2 * shape.numLayers }, () => this.#newPlane());
  }

  /** Memory held, in bytes. */
  get byteLength(): number {
    return this.#planes.reduce((total, plane) => total + plane.byteLength, 0);
  }

  /** M; another number after a call of {@link reserve} means other memory. */
  get numSlots(): number {
    return this.#slots;
  }

  /** Tokens that a row has read. */
  lengthOf(row: number): number {
    return this.#rows[row]!.length;
  }

  /** Keys (`plane` 2·layer) or values (2·layer + 1) of neighbouring rows: `(count, G, M, D)`. */
  plane(plane: number, firstRow: number, count: number): HostTensor {
    const shape = [count, this.#numHeads, this.#slots, this.#headSize];
    const size = this.#numHeads * this.#lineSize;
    const data = this.#planes[plane]!.subarray(firstRow * size, (firstRow + count) * size);
    return { dtype: "float32", shape, data };
  }

  /** Makes room for further tokens of a row. @returns the slot of the first one */
  reserve(row: number, count: number): number {
    const state = this.#rows[row]!;
    const used = state.length - state.evicted;
    if (used + count > this.#slots && this.#slots < this.#mostSlots) this.#grow(used + count);
    if (used + count > this.#slots) this.#evict(row);
    return state.length - state.evicted;
  }

  /** Counts tokens whose keys and values have been written. */
  commit(row: number, count: number): void {
    this.#rows[row]!.length += count;
  }

  /** Whether everything that a token at position `length` sees is there, so that the row can be cut to that length. */
  canTruncate(row: number, length: number): boolean {
    const state = this.#rows[row]!;
    if (!Number.isInteger(length) || length < 0 || length > state.length) return false;
    return length === 0 || state.evicted <= Math.max(0, length - (this.#window ?? Infinity) + 1);
  }

  /** Forgets the tokens of a row from that position on. @throws {ConfigError} unless {@link canTruncate}. */
  truncate(row: number, length: number, where: string): void {
    const state = this.#rows[row]!;
    if (!this.canTruncate(row, length)) {
      const isThere = Number.isInteger(length) && length >= 0 && length <= state.length;
      throw new ConfigError({
        where: `${where}.truncate`,
        expected: isThere
          ? "0 or a length whose window is still in the rolling cache"
          : `an integer in [0, ${state.length}], the tokens in the cache`,
        got: `${length}`,
      });
    }
    state.length = length;
    if (length === 0) state.evicted = 0;
  }

  /** Makes row `to` like the first `length` tokens of row `from`. */
  copyRow(from: number, to: number, length: number = this.lengthOf(from)): void {
    if (from !== to) {
      const used = length - this.#rows[from]!.evicted;
      for (const plane of this.#planes) {
        for (let head = 0; head < this.#numHeads; head++) {
          this.#lineOf(plane, to, head, used).set(this.#lineOf(plane, from, head, used));
        }
      }
    }
    this.#rows[to] = { ...this.#rows[from]!, length };
  }

  /** Every row `i` becomes what row `parents[i]` was; the others stay. */
  reorder(parents: readonly number[]): void {
    const moved = parents.flatMap((from, to) => (from === to ? [] : [{ from, to }]));
    const isOverwritten = new Set(moved.map(({ to }) => to));
    const before = this.#rows.map((row) => ({ ...row }));
    for (const plane of this.#planes) {
      for (let head = 0; head < this.#numHeads; head++) {
        const lines = moved.map(({ from }) => {
          const line = this.#lineOf(plane, from, head, before[from]!.length - before[from]!.evicted);
          return isOverwritten.has(from) ? line.slice() : line;
        });
        moved.forEach(({ to }, i) => {
          this.#lineOf(plane, to, head, lines[i]!.length / this.#headSize).set(lines[i]!);
        });
      }
    }
    for (const { from, to } of moved) this.#rows[to] = { ...before[from]! };
  }

  get #lineSize(): number {
    return this.#slots * this.#headSize;
  }

  /** The first `count` slots of one head of a row. */
  #lineOf(plane: Float32Array, row: number, head: number, count: number): Float32Array {
    const start = (row * this.#numHeads + head) * this.#lineSize;
    return plane.subarray(start, start + count * this.#headSize);
  }

  #newPlane(): Float32Array {
    return new Float32Array(numElements([this.numRows, this.#numHeads, this.#slots, this.#headSize]));
  }

  #grow(needed: number): void {
    const before = this.#lineSize;
    this.#slots = Math.min(this.#mostSlots, Math.max(needed, 2 * this.#slots));
    this.#planes = this.#planes.map((plane) => {
      const wider = this.#newPlane();
      this.#rows.forEach(({ length, evicted }, row) => {
        // What is not used is not touched: the system gives it no memory before.
        const used = (length - evicted) * this.#headSize;
        for (let line = row * this.#numHeads; line < (row + 1) * this.#numHeads; line++) {
          wider.set(plane.subarray(line * before, line * before + used), line * this.#lineSize);
        }
      });
      return wider;
    });
  }

  /** Moves what the next token still sees to the front. */
  #evict(row: number): void {
    const state = this.#rows[row]!;
    const used = state.length - state.evicted;
    const dropped = Math.max(0, used - (this.#window! - 1));
    for (const plane of this.#planes) {
      for (let head = 0; head < this.#numHeads; head++) {
        this.#lineOf(plane, row, head, used).copyWithin(0, dropped * this.#headSize);
      }
    }
    state.evicted += dropped;
  }
}
