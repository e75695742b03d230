import { DataError } from "../core/errors.ts";
import {
  type EncodedInput,
  type InputOptions,
  joinInput,
  joinWindows,
  type Pieces,
  type WindowOptions,
} from "./encoded-input.ts";
import { type PostProcessor, trimOffsets } from "./post-processor.ts";
import { findSpecialIds, type RoleNames, type SpecialIds } from "./special-ids.ts";
import type { DecodeOptions, Decoding, Tokenizer, TokenizerKind } from "./tokenizer.ts";
import { hashJson, requireEndOfText, type TokenizerJson, type TokenList } from "./tokenizer-json.ts";

/** Text to tokens; `marked` text has written special tokens that are meant. */
export interface TextEncoder {
  encode(text: string, marked: boolean): Uint32Array;
  /** The same ids, and which characters each stands for. */
  encodePieces(text: string, marked: boolean): Pieces;
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
  readonly named?: RoleNames | undefined;
}

/** A tokenizer as a pipeline of parts. */
export class PipelineTokenizer implements Tokenizer {
  readonly specials: SpecialIds;
  readonly specialIds: ReadonlySet<number>;
  readonly #parts: TokenizerParts;
  #hash: string | undefined;

  constructor(parts: TokenizerParts) {
    this.#parts = parts;
    this.specials = findSpecialIds((text) => parts.tokens.ids.get(text), parts.named);
    this.specialIds = parts.tokens.specialIds;
  }

  get kind(): TokenizerKind {
    return kindOf(this.#parts.json);
  }

  get vocabularySize(): number {
    return this.#parts.tokens.texts.length;
  }

  get endOfTextId(): number {
    return requireEndOfText(this.#parts.tokens.endOfTextId ?? this.specials.eos);
  }

  encode(text: string): Uint32Array {
    return this.#parts.encoder.encode(text, false);
  }

  encodeMarked(text: string): Uint32Array {
    return this.#parts.encoder.encode(text, true);
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

  #pieces(text: string, marked: boolean = false): Pieces {
    const { encoder, processor, tokens } = this.#parts;
    const pieces = encoder.encodePieces(text, marked);
    if (processor.trim) trimOffsets(pieces, processor.trim, tokens.texts);
    return pieces;
  }

  #requireId(id: number, where: string): void {
    const size = this.vocabularySize;
    if (Number.isInteger(id) && id >= 0 && id < size) return;
    throw new DataError({ where, expected: `a token id in [0, ${size})`, got: String(id) });
  }
}

function kindOf({ model, pre_tokenizer, decoder }: TokenizerJson): TokenizerKind {
  if (model.type === "WordPiece") return "WordPiece";
  if (model.type === "Unigram") return "unigram";
  if (model.type === "WordLevel") return "words";
  if (JSON.stringify(decoder ?? null).includes('"ByteLevel"')) return "byte-level BPE";
  const isWhole =
    (pre_tokenizer ?? null) === null && Array.isArray(model.merges) && model.merges.length === 0;
  return isWhole ? "characters" : "BPE";
}
