import { DataError } from "../core/errors.ts";
import { AddedTokens } from "./added-tokens.ts";
import {
  type EncodedInput,
  emptyPieces,
  type InputOptions,
  joinInput,
  joinWindows,
  type Pieces,
  type WindowOptions,
} from "./encoded-input.ts";
import type { PostProcessor } from "./post-processor.ts";
import { findSpecialIds, type SpecialIds, type SpecialRole } from "./special-ids.ts";
import type { DecodeOptions, Decoding, Tokenizer } from "./tokenizer.ts";
import { hashJson, requireEndOfText, type TokenizerJson, type TokenList } from "./tokenizer-json.ts";

/** Ordinary text to tokens. */
export interface TextEncoder {
  encode(text: string): Uint32Array;
  /** The same ids, and which characters each stands for. */
  encodePieces(text: string): Pieces;
}

/** Tokens to text. */
export interface TokenDecoder {
  /** All at once; special ids are already gone. */
  decode(ids: ArrayLike<number>): string;
  start(): Decoding;
  /** Bytes of a token that is not special. */
  tokenBytes(id: number): Uint8Array;
}

/** What a tokenizer is made of. */
export interface TokenizerParts {
  readonly json: TokenizerJson;
  readonly tokens: TokenList;
  readonly encoder: TextEncoder;
  readonly decoder: TokenDecoder;
  readonly processor: PostProcessor;
  /** Spelling of special tokens by role, where a file says so. */
  readonly named?: Readonly<Partial<Record<SpecialRole, string>>> | undefined;
}

/** A tokenizer as a pipeline of parts. */
export class PipelineTokenizer implements Tokenizer {
  readonly specials: SpecialIds;
  readonly specialIds: ReadonlySet<number>;
  readonly #parts: TokenizerParts;
  readonly #added: AddedTokens;
  #hash: string | undefined;

  constructor(parts: TokenizerParts) {
    this.#parts = parts;
    this.#added = new AddedTokens(parts.tokens.added);
    this.specials = findSpecialIds((text) => parts.tokens.ids.get(text), parts.named);
    this.specialIds = parts.tokens.specialIds;
  }

  get vocabularySize(): number {
    return this.#parts.tokens.texts.length;
  }

  get endOfTextId(): number {
    return requireEndOfText(this.#parts.tokens.endOfTextId);
  }

  encode(text: string): Uint32Array {
    return this.#parts.encoder.encode(text);
  }

  encodeMarked(text: string): Uint32Array {
    const segments = this.#added.split(text, true);
    const parts = segments.map(({ start, end, id }) =>
      id === undefined ? this.encode(text.slice(start, end)) : Uint32Array.of(id),
    );
    const ids = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      ids.set(part, at);
      at += part.length;
    }
    return ids;
  }

  encodeInput(text: string, pair?: string, options: InputOptions = {}): EncodedInput {
    const second = pair === undefined ? undefined : this.#pieces(pair, options.marked);
    return joinInput(this.#parts.processor, this.#pieces(text, options.marked), second, options);
  }

  encodeWindows(text: string, pair: string | undefined, options: WindowOptions): EncodedInput[] {
    const second = pair === undefined ? undefined : this.#pieces(pair, options.marked);
    return joinWindows(this.#parts.processor, this.#pieces(text, options.marked), second, options);
  }

  decode(ids: ArrayLike<number>, { skipSpecial = true }: DecodeOptions = {}): string {
    const kept = new Uint32Array(ids.length);
    let count = 0;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      this.#requireId(id, `decode, token ${i}`);
      if (skipSpecial && this.specialIds.has(id)) continue;
      kept[count++] = id;
    }
    return this.#parts.decoder.decode(kept.subarray(0, count));
  }

  startDecoding({ skipSpecial = true }: DecodeOptions = {}): Decoding {
    const decoding = this.#parts.decoder.start();
    return {
      push: (id) => {
        this.#requireId(id, "decode");
        return skipSpecial && this.specialIds.has(id) ? "" : decoding.push(id);
      },
      flush: () => decoding.flush(),
    };
  }

  tokenBytes(id: number): Uint8Array {
    this.#requireId(id, "tokenBytes");
    return this.specialIds.has(id) ? new Uint8Array(0) : this.#parts.decoder.tokenBytes(id);
  }

  tokenText(id: number): string {
    this.#requireId(id, "tokenText");
    return this.#parts.tokens.texts[id]!;
  }

  idOf(text: string): number | undefined {
    return this.#parts.tokens.ids.get(text);
  }

  toJSON(): TokenizerJson {
    return this.#parts.json;
  }

  hash(): string {
    this.#hash ??= hashJson(this.#parts.json);
    return this.#hash;
  }

  #pieces(text: string, marked: boolean | undefined): Pieces {
    if (!marked) return this.#parts.encoder.encodePieces(text);
    const all = emptyPieces();
    for (const { start, end, id } of this.#added.split(text, true)) {
      if (id === undefined) {
        appendPieces(all, this.#parts.encoder.encodePieces(text.slice(start, end)), start);
      } else {
        appendPieces(all, { ids: [id], starts: [start], ends: [end] }, 0);
      }
    }
    return all;
  }

  #requireId(id: number, where: string): void {
    const size = this.vocabularySize;
    if (Number.isInteger(id) && id >= 0 && id < size) return;
    throw new DataError({ where, expected: `a token id in [0, ${size})`, got: String(id) });
  }
}

function appendPieces(all: Pieces, { ids, starts, ends }: Pieces, shift: number): void {
  for (const [i, id] of ids.entries()) {
    all.ids.push(id);
    all.starts.push(starts[i]! + shift);
    all.ends.push(ends[i]! + shift);
  }
}
