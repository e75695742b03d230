import { DataError } from "../core/errors.ts";

/** The byte string of every token id, in one buffer. */
export class TokenBytes {
  readonly #bytes: Uint8Array;
  /** Token `id` lies at [offsets[id], offsets[id + 1]). */
  readonly #offsets: Uint32Array;

  constructor(tokens: readonly Uint8Array[]) {
    this.#offsets = new Uint32Array(tokens.length + 1);
    for (const [id, bytes] of tokens.entries()) this.#offsets[id + 1] = this.#offsets[id]! + bytes.length;
    this.#bytes = new Uint8Array(this.#offsets[tokens.length]!);
    for (const [id, bytes] of tokens.entries()) this.#bytes.set(bytes, this.#offsets[id]);
  }

  /** Number of tokens. */
  get size(): number {
    return this.#offsets.length - 1;
  }

  /**
   * A copy of one token's bytes.
   *
   * @throws {DataError} if there is no such id.
   */
  at(id: number): Uint8Array {
    this.#require(id, "tokenBytes");
    return this.#bytes.slice(this.#offsets[id], this.#offsets[id + 1]);
  }

  /**
   * The bytes of a sequence of tokens.
   *
   * @throws {DataError} at the first id that is not a token.
   */
  join(ids: ArrayLike<number>): Uint8Array {
    let length = 0;
    for (let i = 0; i < ids.length; i++) {
      this.#require(ids[i]!, `decode, token ${i}`);
      length += this.#offsets[ids[i]! + 1]! - this.#offsets[ids[i]!]!;
    }
    const joined = new Uint8Array(length);
    let at = 0;
    for (let i = 0; i < ids.length; i++) {
      const end = this.#offsets[ids[i]! + 1]!;
      for (let from = this.#offsets[ids[i]!]!; from < end; from++) joined[at++] = this.#bytes[from]!;
    }
    return joined;
  }

  #require(id: number, where: string): void {
    if (Number.isInteger(id) && id >= 0 && id < this.size) return;
    throw new DataError({ where, expected: `a token id in [0, ${this.size})`, got: String(id) });
  }
}
