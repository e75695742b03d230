import { ByteStringTable } from "./byte-string-table.ts";

/** Longer pre-tokens are rarely seen twice. */
const MAX_BYTES = 64;
const MAX_ENTRIES = 1 << 16;

/**
 * Ids of pre-tokens met before. Bounded (a few MB): when full it starts over, which changes speed only.
 */
export class PreTokenCache {
  readonly #table: ByteStringTable = new ByteStringTable();
  /** Entry `i` has ids [offsets[i], offsets[i + 1]); at most one per byte of the pre-token. */
  readonly #offsets: Int32Array = new Int32Array(MAX_ENTRIES + 1);
  #ids: Uint32Array<ArrayBuffer> = new Uint32Array(1 << 14);

  /** The entry of `bytes[start, end)`, or a negative place to give to `add`. */
  find(bytes: Uint8Array, start: number, end: number): number {
    return end - start > MAX_BYTES ? -1 : this.#table.find(bytes, start, end);
  }

  /** Writes an entry's ids to `ids` from `length` on; returns the new length. */
  copy(entry: number, ids: Uint32Array, length: number): number {
    const end = this.#offsets[entry + 1]!;
    for (let from = this.#offsets[entry]!; from < end; from++) ids[length++] = this.#ids[from]!;
    return length;
  }

  /** Remembers the first `count` of `symbols` for what `find` did not find. */
  add(
    place: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    symbols: Int32Array,
    count: number,
  ): void {
    if (end - start > MAX_BYTES) return;
    if (this.#table.size === MAX_ENTRIES) {
      this.#table.clear();
      place = this.#table.find(bytes, start, end);
    }
    const entry = this.#table.add(place, bytes, start, end);
    const offset = this.#offsets[entry]!;
    if (offset + count > this.#ids.length) {
      const larger = new Uint32Array(this.#ids.length * 2);
      larger.set(this.#ids);
      this.#ids = larger;
    }
    for (let i = 0; i < count; i++) this.#ids[offset + i] = symbols[i]!;
    this.#offsets[entry + 1] = offset + count;
  }
}
