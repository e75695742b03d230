import { ConfigError, DataError, FormatError } from "../core/errors.ts";
import { ByteDecoder } from "./byte-decoder.ts";
import { emptyPieces, type Pieces } from "./encoded-input.ts";
import { MarkedEncoder, type PlainEncoder } from "./marked-encoder.ts";
import { PipelineTokenizer } from "./pipeline-tokenizer.ts";
import { readPostProcessor } from "./post-processor.ts";
import { TokenBytes } from "./token-bytes.ts";
import {
  bpeModelJson,
  describe,
  END_OF_TEXT,
  readTokens,
  requireArray,
  specialToken,
  type TokenizerJson,
  type TokenList,
} from "./tokenizer-json.ts";
import { encodeUtf8, requireWellFormed } from "./utf8.ts";
import { BERT_SPECIAL_TOKENS, bertTemplate } from "./vocabulary-files.ts";

/**
 * One id per character (Unicode code point). In `tokenizer.json` it is a BPE model without merges and
 * without a pre-tokenizer, whose tokens are fused without spaces: the Hugging Face library then does the same.
 *
 * @param where names the source in errors
 * @throws {FormatError} if a token is not one character, or an id is missing or given twice.
 */
export function createCharTokenizer(json: TokenizerJson, where: string): PipelineTokenizer {
  const tokens = readTokens(json, where);
  const merges = requireArray(json.model.merges, `${where} model.merges`);
  if (merges.length > 0) {
    const expected = "none (characters never merge)";
    throw new FormatError({ where: `${where} model.merges`, expected, got: `${merges.length}` });
  }
  return new PipelineTokenizer({
    json,
    tokens,
    encoder: new MarkedEncoder(new CharEncoder(tokens, `${where} model.vocab`), tokens.added),
    decoder: new ByteDecoder(new TokenBytes(tokens.texts.map((text) => encodeUtf8(text)))),
    processor: readPostProcessor(json.post_processor, tokens, `${where} post_processor`),
  });
}

class CharEncoder implements PlainEncoder {
  /** Id of each code point up to the largest known one, -1 for unknown ones. */
  readonly #ids: Int32Array;
  readonly #numCharacters: number;

  constructor(list: TokenList, where: string) {
    this.#ids = codePointIds(list, where);
    this.#numCharacters = list.texts.length - list.specialIds.size;
  }

  encode(text: string): Uint32Array {
    const ids = new Uint32Array(text.length);
    let length = 0;
    for (let at = 0; at < text.length; at++) {
      const codePoint = text.codePointAt(at)!;
      const id = codePoint < this.#ids.length ? this.#ids[codePoint]! : -1;
      if (id < 0) throw this.#unknown(text, at);
      ids[length++] = id;
      if (codePoint > 0xffff) at++; // the second half of its surrogate pair
    }
    return length === ids.length ? ids : ids.slice(0, length);
  }

  encodePieces(text: string): Pieces {
    const pieces = emptyPieces();
    let at = 0;
    for (const id of this.encode(text)) {
      const start = at;
      at += text.codePointAt(at)! > 0xffff ? 2 : 1;
      pieces.ids.push(id);
      pieces.starts.push(start);
      pieces.ends.push(at);
    }
    return pieces;
  }

  #unknown(text: string, at: number): DataError {
    const codePoint = text.codePointAt(at)!;
    const hex = codePoint.toString(16).toUpperCase().padStart(4, "0");
    return new DataError({
      where: "encode",
      expected: `one of the tokenizer's ${this.#numCharacters} characters`,
      got: `${JSON.stringify(String.fromCodePoint(codePoint))} (U+${hex}) at position ${at}`,
      fix: "Train the tokenizer on text that has it, or use byte-level BPE, which knows every character.",
    });
  }
}

/** Which model a tokenizer is for: it decides the special tokens. */
export interface CharTokenizerOptions {
  /**
   * `decoder`, the default: `<|endoftext|>`, the last id. `encoder`: `[PAD] [UNK] [CLS] [SEP] [MASK]`, ids 0 to 4, and a text
   * is put between [CLS] and [SEP].
   */
  readonly for?: "decoder" | "encoder";
}

/**
 * A character tokenizer of the given texts: their code points in ascending order get the ids 0, 1 …, after or before the
 * special tokens.
 *
 * @throws {ConfigError} if there is no text.
 * @throws {DataError} if a text is not well-formed Unicode.
 * @example
 * [...trainCharTokenizer(["cab"]).encode("abba")]; // => [0, 1, 1, 0]
 */
export function trainCharTokenizer(
  texts: Iterable<string>,
  options: CharTokenizerOptions = {},
): PipelineTokenizer {
  const seen = new Uint8Array(0x110000);
  for (const text of texts) {
    requireWellFormed(text);
    for (let at = 0; at < text.length; at++) {
      const codePoint = text.codePointAt(at)!;
      seen[codePoint] = 1;
      if (codePoint > 0xffff) at++;
    }
  }
  const codePoints = [...seen.keys()].filter((codePoint) => seen[codePoint] === 1);
  if (codePoints.length === 0) {
    throw new ConfigError({ where: "trainCharTokenizer", expected: "some text", got: "none" });
  }
  const characters = codePoints.map((codePoint) => String.fromCodePoint(codePoint));
  const json = options.for === "encoder" ? bertCharJson(characters) : charTokenizerJson(characters);
  return createCharTokenizer(json, "trainCharTokenizer");
}

function charTokenizerJson(characters: readonly string[]): TokenizerJson {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [specialToken(characters.length, END_OF_TEXT)],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: "Fuse" },
    model: bpeModelJson([...characters, END_OF_TEXT], []),
  };
}

function bertCharJson(characters: readonly string[]): TokenizerJson {
  const [cls, sep] = ["[CLS]", "[SEP]"];
  return {
    ...charTokenizerJson(characters),
    added_tokens: BERT_SPECIAL_TOKENS.map((text, id) => specialToken(id, text)),
    post_processor: bertTemplate(
      [cls, BERT_SPECIAL_TOKENS.indexOf(cls)],
      [sep, BERT_SPECIAL_TOKENS.indexOf(sep)],
    ),
    model: bpeModelJson([...BERT_SPECIAL_TOKENS, ...characters], []),
  };
}

function codePointIds({ texts, specialIds }: TokenList, where: string): Int32Array {
  const codePoints = texts.map((text, id) => {
    const codePoint = text.codePointAt(0)!;
    if (specialIds.has(id)) return -1;
    if (String.fromCodePoint(codePoint) === text) return codePoint;
    throw new FormatError({ where, expected: "single characters and special tokens", got: describe(text) });
  });
  const ids = new Int32Array(codePoints.reduce((max, codePoint) => Math.max(max, codePoint), -1) + 1).fill(
    -1,
  );
  for (const [id, codePoint] of codePoints.entries()) if (codePoint >= 0) ids[codePoint] = id;
  return ids;
}
