import { ConfigError, DataError, FormatError } from "../core/errors.ts";
import { ByteDecoder } from "./byte-decoder.ts";
import { emptyPieces, type Pieces } from "./encoded-input.ts";
import { PipelineTokenizer, type TextEncoder } from "./pipeline-tokenizer.ts";
import { NO_TEMPLATE, PostProcessor } from "./post-processor.ts";
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
    encoder: new CharEncoder(tokens, `${where} model.vocab`),
    decoder: new ByteDecoder(new TokenBytes(tokens.texts.map((text) => encodeUtf8(text)))),
    processor: templateOf(tokens),
  });
}

/** `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, where there are such tokens. */
function templateOf({ ids, specialIds }: TokenList): PostProcessor {
  const [cls, sep] = [ids.get("[CLS]"), ids.get("[SEP]")];
  if (cls === undefined || sep === undefined || !specialIds.has(cls) || !specialIds.has(sep)) {
    return NO_TEMPLATE;
  }
  const added = (id: number, segment: number) => ({ kind: "added", id, segment }) as const;
  const single = [added(cls, 0), { kind: "text", segment: 0 } as const, added(sep, 0)];
  return new PostProcessor(single, [...single, { kind: "pair", segment: 1 }, added(sep, 1)]);
}

class CharEncoder implements TextEncoder {
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

/** Special tokens of an encoder's vocabulary, in the order of BERT's. */
const ENCODER_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] as const;

/** Which model a tokenizer is for: it decides the special tokens. */
export interface CharTokenizerOptions {
  /** `decoder`, the default: `<|endoftext|>`, the last id. `encoder`: `[PAD] [UNK] [CLS] [SEP] [MASK]`, ids 0 to 4. */
  readonly for?: "decoder" | "encoder";
}

/**
 * A character tokenizer of the given texts: their code points in ascending order, and the special tokens of the kind of
 * model it is for. For a decoder ids 0, 1 … are the code points.
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
  const forEncoder = options.for === "encoder";
  const tokens = forEncoder ? [...ENCODER_TOKENS, ...characters] : [...characters, END_OF_TEXT];
  const special = forEncoder ? ENCODER_TOKENS : [END_OF_TEXT];
  return createCharTokenizer(charTokenizerJson(tokens, special, forEncoder), "trainCharTokenizer");
}

function charTokenizerJson(
  tokens: readonly string[],
  special: readonly string[],
  forEncoder: boolean,
): TokenizerJson {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((text) => specialToken(tokens.indexOf(text), text)),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: forEncoder ? pairTemplate((text) => tokens.indexOf(text)) : null,
    decoder: { type: "Fuse" },
    model: bpeModelJson(tokens, []),
  };
}

/** What {@link templateOf} does, for the Hugging Face library. */
function pairTemplate(idOf: (text: string) => number): object {
  const special = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
  const single = [special("[CLS]", 0), { Sequence: { id: "A", type_id: 0 } }, special("[SEP]", 0)];
  const describeToken = (text: string) => [text, { id: text, ids: [idOf(text)], tokens: [text] }];
  return {
    type: "TemplateProcessing",
    single,
    pair: [...single, { Sequence: { id: "B", type_id: 1 } }, special("[SEP]", 1)],
    special_tokens: Object.fromEntries(["[CLS]", "[SEP]"].map(describeToken)),
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
