import { createHash } from "node:crypto";

/** SHA-256 of a text's UTF-8 bytes. */
export function hashContent(text: string): Buffer {
  return createHash("sha256").update(text, "utf8").digest();
}

/**
 * The documents seen so far, by the first 128 bits of their SHA-256: 32 to 64 bytes a document, whatever its
 * length. Two different documents among a billion agree with a chance of about 10⁻²¹.
 *
 * @example
 * const seen = new ContentSet();
 * seen.add(hashContent("a")); // => true
 * seen.add(hashContent("a")); // => false
 */
export class ContentSet {
  // Open addressing, four words a slot; four zero words mean "empty".
  #slots = new Uint32Array(4 * 1024);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Remembers a content hash of at least 16 bytes; false if it was there already. */
  add(hash: Buffer): boolean {
    if (this.#size * 8 >= this.#slots.length) this.#grow();
    const words = [hash.readUInt32LE(0), hash.readUInt32LE(4), hash.readUInt32LE(8), hash.readUInt32LE(12)];
    const isNew = insert(this.#slots, words);
    if (isNew) this.#size++;
    return isNew;
  }

  #grow(): void {
    const larger = new Uint32Array(this.#slots.length * 2);
    for (let slot = 0; slot < this.#slots.length; slot += 4) {
      const words = this.#slots.subarray(slot, slot + 4);
      if (words.some((word) => word !== 0)) insert(larger, words);
    }
    this.#slots = larger;
  }
}

function insert(slots: Uint32Array, words: ArrayLike<number>): boolean {
  const mask = slots.length / 4 - 1;
  for (let slot = words[0]! & mask; ; slot = (slot + 1) & mask) {
    const at = slot * 4;
    if (matches(slots, at, words)) return false;
    if ((slots[at]! | slots[at + 1]! | slots[at + 2]! | slots[at + 3]!) === 0) {
      slots.set(words, at);
      return true;
    }
  }
}

function matches(slots: Uint32Array, at: number, words: ArrayLike<number>): boolean {
  return (
    slots[at] === words[0] &&
    slots[at + 1] === words[1] &&
    slots[at + 2] === words[2] &&
    slots[at + 3] === words[3]
  );
}
