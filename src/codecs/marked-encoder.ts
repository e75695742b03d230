import { AddedTokens } from "./added-tokens.ts";
import { emptyPieces, type Pieces } from "./encoded-input.ts";
import type { TextEncoder } from "./pipeline-tokenizer.ts";
import type { AddedToken } from "./tokenizer-json.ts";

/** Text without added tokens to tokens. */
export interface PlainEncoder {
  encode(text: string): Uint32Array;
  encodePieces(text: string): Pieces;
}

/** Cuts added tokens out of the text, and leaves the rest to a plain encoder. */
export class MarkedEncoder implements TextEncoder {
  readonly #plain: PlainEncoder;
  readonly #added: AddedTokens;

  constructor(plain: PlainEncoder, added: readonly AddedToken[]) {
    this.#plain = plain;
    this.#added = new AddedTokens(added);
  }

  encode(text: string, marked: boolean): Uint32Array {
    const segments = this.#added.split(text, marked);
    if (segments.length === 1 && segments[0]!.id === undefined) return this.#plain.encode(text);
    const parts = segments.map(({ start, end, id }) =>
      id === undefined ? this.#plain.encode(text.slice(start, end)) : Uint32Array.of(id),
    );
    const ids = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      ids.set(part, at);
      at += part.length;
    }
    return ids;
  }

  encodePieces(text: string, marked: boolean): Pieces {
    const all = emptyPieces();
    for (const { start, end, id } of this.#added.split(text, marked)) {
      const whole = { ids: [id!], starts: [0], ends: [end - start] };
      const pieces = id === undefined ? this.#plain.encodePieces(text.slice(start, end)) : whole;
      for (let i = 0; i < pieces.ids.length; i++) {
        all.ids.push(pieces.ids[i]!);
        all.starts.push(pieces.starts[i]! + start);
        all.ends.push(pieces.ends[i]! + start);
      }
    }
    return all;
  }
}
