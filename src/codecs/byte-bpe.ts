import { FormatError } from "../core/errors.ts";
import { type MergeRule, MergeRules } from "./bpe-merge.ts";
import { alphabetToBytes, BYTE_TO_CHAR } from "./byte-alphabet.ts";
import { PairTable } from "./pair-table.ts";
import { PreTokenCache } from "./pre-token-cache.ts";
import { preTokenEnd } from "./pre-tokenizer.ts";
import { TokenBytes } from "./token-bytes.ts";
import type { Tokenizer } from "./tokenizer.ts";
import {
  describe,
  hashJson,
  readTokens,
  requireArray,
  requireEndOfText,
  type TokenizerJson,
  type TokenList,
} from "./tokenizer-json.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

/**
 * Byte-level BPE as in GPT-2 (Radford et al. 2019): text is UTF-8, cut by GPT-2's split pattern, and each
 * piece's bytes are merged. With all 256 bytes in the vocabulary every text has ids and comes back exactly.
 * A published vocabulary that lacks bytes drops them, as the Hugging Face library does: see `missingBytes`.
 */
export class ByteBpeTokenizer implements Tokenizer {
  /** Bytes without a token, which `encode` cannot represent; empty for everything trained here. */
  readonly missingBytes: readonly number[];
  readonly #json: TokenizerJson;
  readonly #tokens: TokenBytes;
  readonly #endOfTextId: number | undefined;
  /** Id of each byte, -1 if it has none. */
  readonly #byteIds: Int32Array;
  readonly #rules: MergeRules;
  readonly #cache: PreTokenCache = new PreTokenCache();
  #symbols: Int32Array = new Int32Array(64);
  #hash: string | undefined;

  /**
   * @param where names the source in errors
   * @throws {FormatError} if tokens or merges contradict themselves or one another.
   */
  constructor(json: TokenizerJson, where: string) {
    const list = readTokens(json, where);
    const rules = readMerges(requireArray(json.model.merges, `${where} model.merges`), list, where);
    this.#json = json;
    this.#tokens = new TokenBytes(list.texts.map((text, id) => bytesOf(text, list.specialIds.has(id))));
    this.#endOfTextId = list.endOfTextId;
    this.#byteIds = Int32Array.from(BYTE_TO_CHAR, (char) => byteId(list, char));
    this.#rules = new MergeRules(rules);
    this.missingBytes = [...this.#byteIds.keys()].filter((byte) => this.#byteIds[byte] === -1);
    const unknown = json.model.unk_token ?? null;
    if (unknown !== null && this.missingBytes.length > 0) {
      const got = `${describe(unknown)} and ${this.missingBytes.length} bytes without a token`;
      throw new FormatError({ where: `${where} model.unk_token`, expected: "null, or all 256 bytes", got });
    }
  }

  get vocabularySize(): number {
    return this.#tokens.size;
  }

  get endOfTextId(): number {
    return requireEndOfText(this.#endOfTextId);
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

  decode(ids: ArrayLike<number>): string {
    return decodeUtf8(this.#tokens.join(ids));
  }

  tokenBytes(id: number): Uint8Array {
    return this.#tokens.at(id);
  }

  toJSON(): TokenizerJson {
    return this.#json;
  }

  hash(): string {
    this.#hash ??= hashJson(this.#json);
    return this.#hash;
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

/** Characters outside the byte alphabet stand for themselves, as in the Hugging Face decoder. */
function bytesOf(text: string, isSpecial: boolean): Uint8Array {
  if (isSpecial) return new Uint8Array(0);
  return alphabetToBytes(text) ?? encodeUtf8(text);
}

function grown(ids: Uint32Array<ArrayBuffer>, needed: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(needed, ids.length * 2));
  larger.set(ids);
  return larger;
}

/** @throws {FormatError} on a merge that is malformed, given twice, or that names an unknown token. */
function readMerges(merges: readonly unknown[], list: TokenList, where: string): MergeRule[] {
  const seen = new PairTable(merges.length);
  return merges.map((merge, rank) => {
    const fail = (expected: string, got: unknown): never => {
      throw new FormatError({ where: `${where} model.merges[${rank}]`, expected, got: describe(got) });
    };
    const idOf = (text: string): number => {
      const id = list.ids.get(text);
      if (id === undefined) return fail("tokens of the vocabulary", text);
      return list.specialIds.has(id) ? fail("tokens that are not special", text) : id;
    };
    const parts: readonly unknown[] = typeof merge === "string" ? merge.split(" ") : asArray(merge);
    const [left, right] = parts;
    if (parts.length !== 2 || typeof left !== "string" || typeof right !== "string") {
      return fail('a pair of tokens, "a b" or ["a", "b"]', merge);
    }
    const rule = { left: idOf(left), right: idOf(right), result: idOf(left + right) };
    if (seen.get(rule.left, rule.right) >= 0) return fail("each pair once", merge);
    seen.set(rule.left, rule.right, rank);
    return rule;
  });
}

function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
