import { FormatError } from "../core/errors.ts";
import { MergeRules } from "./bpe-merge.ts";
import { alphabetToBytes, BYTE_TO_CHAR } from "./byte-alphabet.ts";
import { ByteDecoder } from "./byte-decoder.ts";
import { emptyPieces, type Pieces } from "./encoded-input.ts";
import { MarkedEncoder, type PlainEncoder } from "./marked-encoder.ts";
import { PipelineTokenizer } from "./pipeline-tokenizer.ts";
import { readPostProcessor } from "./post-processor.ts";
import { PreTokenCache } from "./pre-token-cache.ts";
import { preTokenEnd } from "./pre-tokenizer.ts";
import { readMerges } from "./read-merges.ts";
import type { RoleNames } from "./special-ids.ts";
import { TokenBytes } from "./token-bytes.ts";
import { describe, readTokens, type TokenizerJson, type TokenList } from "./tokenizer-json.ts";
import { encodeUtf8 } from "./utf8.ts";

/**
 * Byte-level BPE as in GPT-2 (Radford et al. 2019): text is UTF-8, cut by GPT-2's split pattern, and each
 * piece's bytes are merged. With all 256 bytes in the vocabulary every text has ids and comes back exactly.
 * A published vocabulary that lacks bytes drops them, as the Hugging Face library does.
 *
 * @param where names the source in errors
 * @throws {FormatError} if tokens or merges contradict themselves or one another.
 */
export function createByteBpe(json: TokenizerJson, where: string, named?: RoleNames): PipelineTokenizer {
  const tokens = readTokens(json, where);
  const bytes = new TokenBytes(tokens.texts.map((text) => alphabetToBytes(text) ?? encodeUtf8(text)));
  return new PipelineTokenizer({
    json,
    tokens,
    encoder: new MarkedEncoder(new ByteBpeEncoder(json, tokens, where), tokens.added),
    decoder: new ByteDecoder(bytes),
    processor: readPostProcessor(json.post_processor, tokens, `${where} post_processor`),
    named,
  });
}

class ByteBpeEncoder implements PlainEncoder {
  /** Id of each byte, -1 if it has none: it is dropped. */
  readonly #byteIds: Int32Array;
  readonly #rules: MergeRules;
  readonly #lengths: Uint32Array;
  readonly #cache: PreTokenCache = new PreTokenCache();
  #symbols: Int32Array = new Int32Array(64);

  constructor(json: TokenizerJson, list: TokenList, where: string) {
    this.#rules = new MergeRules(readMerges(json.model.merges, list, "", `${where} model.merges`));
    this.#byteIds = Int32Array.from(BYTE_TO_CHAR, (char) => byteId(list, char));
    this.#lengths = Uint32Array.from(list.texts, (text) => text.length);
    const numMissing = this.#byteIds.filter((id) => id === -1).length;
    const unknown = json.model.unk_token ?? null;
    if (unknown !== null && numMissing > 0) {
      const got = `${describe(unknown)} and ${numMissing} bytes without a token`;
      throw new FormatError({ where: `${where} model.unk_token`, expected: "null, or all 256 bytes", got });
    }
  }

  encode(text: string): Uint32Array {
    const bytes = encodeUtf8(text);
    let ids = new Uint32Array((bytes.length >> 1) + 16);
    let length = 0;
    for (let start = 0; start < bytes.length; ) {
      const end = preTokenEnd(bytes, start, bytes.length);
      if (length + end - start > ids.length) ids = grown(ids, length + end - start);
      length = this.#encodePreToken(bytes, start, end, ids, length);
      start = end;
    }
    return ids.slice(0, length);
  }

  encodePieces(text: string): Pieces {
    const bytes = encodeUtf8(text);
    const at = codeUnitsOfBytes(bytes);
    const pieces = emptyPieces();
    const ids = new Uint32Array(bytes.length);
    for (let start = 0; start < bytes.length; ) {
      const end = preTokenEnd(bytes, start, bytes.length);
      const count = this.#encodePreToken(bytes, start, end, ids, 0);
      let from = start;
      for (const id of ids.subarray(0, count)) {
        while (this.#byteIds[bytes[from]!] === -1) from++;
        let to = from;
        for (let left = this.#lengths[id]!; left > 0; to++) if (this.#byteIds[bytes[to]!] !== -1) left--;
        pieces.ids.push(id);
        pieces.starts.push(at.starts[from]!);
        pieces.ends.push(at.ends[to - 1]!);
        from = to;
      }
      start = end;
    }
    return pieces;
  }

  /** Appends the ids of one pre-token to `ids` at `length`; returns the new length. */
  #encodePreToken(bytes: Uint8Array, start: number, end: number, ids: Uint32Array, length: number): number {
    const place = this.#cache.find(bytes, start, end);
    if (place >= 0) return this.#cache.copy(place, ids, length);
    if (this.#symbols.length < end - start) this.#symbols = new Int32Array((end - start) * 2);
    const symbols = this.#symbols;
    let count = 0;
    for (let at = start; at < end; at++) {
      const id = this.#byteIds[bytes[at]!]!;
      if (id >= 0) symbols[count++] = id;
    }
    count = this.#rules.apply(symbols, count);
    this.#cache.add(place, bytes, start, end, symbols, count);
    for (let i = 0; i < count; i++) ids[length + i] = symbols[i]!;
    return length + count;
  }
}

function byteId({ ids, specialIds }: TokenList, char: string): number {
  const id = ids.get(char);
  return id === undefined || specialIds.has(id) ? -1 : id;
}

/** For each byte of UTF-8, where its character starts and ends in the string. */
function codeUnitsOfBytes(bytes: Uint8Array): { starts: Uint32Array; ends: Uint32Array } {
  const starts = new Uint32Array(bytes.length);
  const ends = new Uint32Array(bytes.length);
  let [start, end] = [0, 0];
  for (const [i, byte] of bytes.entries()) {
    if ((byte & 0xc0) !== 0x80) {
      start = end;
      end += byte >= 0xf0 ? 2 : 1;
    }
    starts[i] = start;
    ends[i] = end;
  }
  return { starts, ends };
}

function grown(ids: Uint32Array<ArrayBuffer>, needed: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(needed, ids.length * 2));
  larger.set(ids);
  return larger;
}
