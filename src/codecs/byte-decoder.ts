import type { TokenDecoder } from "./pipeline-tokenizer.ts";
import type { TokenBytes } from "./token-bytes.ts";
import type { Decoding } from "./tokenizer.ts";
import { decodeUtf8, incompleteTailLength } from "./utf8.ts";

/** Tokens that are byte strings: text is their bytes in a row, read as UTF-8. */
export class ByteDecoder implements TokenDecoder {
  readonly #tokens: TokenBytes;

  constructor(tokens: TokenBytes) {
    this.#tokens = tokens;
  }

  decode(ids: ArrayLike<number>): string {
    return decodeUtf8(this.#tokens.join(ids));
  }

  start(): Decoding {
    return new ByteDecoding((id) => this.#tokens.at(id));
  }

  tokenBytes(id: number): Uint8Array {
    return this.#tokens.at(id);
  }
}

/** Byte strings one at a time: bytes that could still become a character are held back. */
export class ByteDecoding implements Decoding {
  readonly #bytesOf: (id: number) => Uint8Array;
  /** An incomplete character: at most 3 bytes. */
  #pending: Uint8Array = new Uint8Array(0);

  constructor(bytesOf: (id: number) => Uint8Array) {
    this.#bytesOf = bytesOf;
  }

  push(id: number): string {
    const added = this.#bytesOf(id);
    const bytes = new Uint8Array(this.#pending.length + added.length);
    bytes.set(this.#pending);
    bytes.set(added, this.#pending.length);
    const complete = bytes.length - incompleteTailLength(bytes);
    this.#pending = bytes.slice(complete);
    return decodeUtf8(bytes.subarray(0, complete));
  }

  flush(): string {
    const rest = decodeUtf8(this.#pending);
    this.#pending = new Uint8Array(0);
    return rest;
  }
}
