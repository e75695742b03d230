/**
 * A set of byte strings that numbers them 0, 1, 2 … in order of arrival: an open-addressing hash table over
 * one growing buffer. A `Map` keyed by substrings costs several times as much per look-up.
 */
export class ByteStringTable {
  #bytes: Uint8Array = new Uint8Array(1 << 16);
  /** String `i` lies at [offsets[i], offsets[i + 1]). */
  #offsets: Int32Array = new Int32Array(1 << 10);
  #hashes: Int32Array = new Int32Array(1 << 10);
  /** Index + 1 of the string in that slot; 0 is empty. */
  #slots: Int32Array = new Int32Array(1 << 12);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes of all strings together. */
  get sizeBytes(): number {
    return this.#offsets[this.#size]!;
  }

  /** Number of `source[start, end)`, or -1 - slot: the place to give to `add`. */
  find(source: Uint8Array, start: number, end: number): number {
    const hash = hashBytes(source, start, end);
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const index = this.#slots[slot]! - 1;
      if (index < 0) return -1 - slot;
      if (this.#hashes[index] === hash && this.#equals(index, source, start, end)) return index;
    }
  }

  /** Adds what `find` did not find, at the place it returned, and numbers it. */
  add(place: number, source: Uint8Array, start: number, end: number): number {
    const index = this.#size++;
    this.#reserve(index, end - start);
    const offset = this.#offsets[index]!;
    for (let i = start; i < end; i++) this.#bytes[offset + i - start] = source[i]!;
    this.#offsets[index + 1] = offset + end - start;
    this.#hashes[index] = hashBytes(source, start, end);
    this.#slots[-1 - place] = index + 1;
    if (this.#size * 2 > this.#slots.length) this.#rehash(this.#slots.length * 2);
    return index;
  }

  /** The bytes of string `index`, as a view that the next `add` may detach. */
  at(index: number): Uint8Array {
    return this.#bytes.subarray(this.#offsets[index]!, this.#offsets[index + 1]!);
  }

  clear(): void {
    this.#size = 0;
    this.#slots.fill(0);
  }

  #equals(index: number, source: Uint8Array, start: number, end: number): boolean {
    const offset = this.#offsets[index]!;
    const length = end - start;
    if (this.#offsets[index + 1]! - offset !== length) return false;
    for (let i = 0; i < length; i++) {
      if (this.#bytes[offset + i] !== source[start + i]) return false;
    }
    return true;
  }

  #reserve(index: number, numBytes: number): void {
    if (index + 2 > this.#offsets.length) {
      this.#offsets = grown(this.#offsets, new Int32Array(this.#offsets.length * 2));
      this.#hashes = grown(this.#hashes, new Int32Array(this.#hashes.length * 2));
    }
    const needed = this.#offsets[index]! + numBytes;
    if (needed <= this.#bytes.length) return;
    this.#bytes = grown(this.#bytes, new Uint8Array(Math.max(needed, this.#bytes.length * 2)));
  }

  #rehash(numSlots: number): void {
    const slots = new Int32Array(numSlots);
    for (let index = 0; index < this.#size; index++) {
      let slot = this.#hashes[index]! & (numSlots - 1);
      while (slots[slot] !== 0) slot = (slot + 1) & (numSlots - 1);
      slots[slot] = index + 1;
    }
    this.#slots = slots;
  }
}

function grown<T extends Uint8Array | Int32Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}

/** FNV-1a, with a final mix because the table uses the low bits. */
function hashBytes(source: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ source[i]!, 0x01000193);
  return hash ^ (hash >>> 15);
}
