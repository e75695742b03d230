import { FormatError } from "../../core/errors.ts";
import { decodeUtf8 } from "../utf8.ts";

/** Longest replacement that is read; published ones have 18 characters. */
const MAX_REPLACEMENT_BYTES = 1024;

/**
 * SentencePiece's compiled normalization rules: a double-array trie of byte strings (Aoe 1989, in the layout of
 * darts-clone), whose values point at replacements in a pool of zero-terminated strings.
 */
export class Charsmap {
  readonly #units: Uint32Array;
  readonly #pool: Uint8Array;
  readonly #replacements = new Map<number, string>();

  /** @throws {FormatError} if the sizes contradict one another. */
  constructor(bytes: Uint8Array, where: string) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const trieBytes = bytes.length < 4 ? -1 : view.getUint32(0, true);
    if (trieBytes < 0 || trieBytes % 4 !== 0 || trieBytes > bytes.length - 4) {
      const got =
        trieBytes < 0 ? `${bytes.length} bytes` : `a table of ${trieBytes} bytes in ${bytes.length}`;
      throw new FormatError({ where, expected: "a charsmap: its size, a table, strings", got });
    }
    this.#units = new Uint32Array(trieBytes / 4);
    for (let i = 0; i < this.#units.length; i++) this.#units[i] = view.getUint32(4 + 4 * i, true);
    this.#pool = bytes.subarray(4 + trieBytes);
  }

  /**
   * The longest prefix of `bytes[start, end)` with a replacement (SentencePiece), or the shortest, which the Hugging Face
   * library uses. Undefined if there is none.
   */
  match(
    bytes: Uint8Array,
    start: number,
    end: number,
    which: "longest" | "shortest",
  ): { readonly length: number; readonly text: string } | undefined {
    let found: { length: number; value: number } | undefined;
    let node = offsetOf(this.#unit(0));
    for (let at = start; at < end && bytes[at] !== 0; at++) {
      node ^= bytes[at]!;
      const unit = this.#unit(node);
      if ((unit & 0x800000ff) !== bytes[at]) break;
      node ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 0) continue;
      found = { length: at + 1 - start, value: this.#unit(node) & 0x7fffffff };
      if (which === "shortest") break;
    }
    return found && { length: found.length, text: this.#replacement(found.value) };
  }

  /** A damaged table leads outside of itself: there is nothing. */
  #unit(index: number): number {
    return this.#units[index] ?? 0;
  }

  #replacement(from: number): string {
    const known = this.#replacements.get(from);
    if (known !== undefined) return known;
    const limit = Math.min(this.#pool.length, from + MAX_REPLACEMENT_BYTES);
    let end = Math.min(from, limit);
    while (end < limit && this.#pool[end] !== 0) end++;
    const text = decodeUtf8(this.#pool.subarray(Math.min(from, limit), end));
    this.#replacements.set(from, text);
    return text;
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
}
