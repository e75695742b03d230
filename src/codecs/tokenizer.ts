import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../core/errors.ts";
import type { EncodedInput, InputOptions, WindowOptions } from "./encoded-input.ts";
import type { SpecialIds } from "./special-ids.ts";
import type { TokenizerJson } from "./tokenizer-json.ts";

export { hasTokenizer, loadTokenizer } from "./load-tokenizer.ts";
export { parseTokenizer } from "./parse-tokenizer.ts";

/** What to do with special tokens when decoding. */
export interface DecodeOptions {
  /** Default true: special tokens are "". False: they are written out. */
  readonly skipSpecial?: boolean | undefined;
}

/** A decoding that goes on: see {@link StreamDecoder}. */
export interface Decoding {
  push(id: number): string;
  flush(): string;
}

/** Ways to take text apart. */
export type TokenizerKind = "characters" | "byte-level BPE" | "BPE" | "WordPiece" | "unigram" | "words";

/** Text ↔ token ids. */
export interface Tokenizer {
  readonly kind: TokenizerKind;
  /** Ids are 0 … vocabularySize - 1, special ones included. */
  readonly vocabularySize: number;
  /** Ids of special tokens by role. */
  readonly specials: SpecialIds;
  /** All special ids: ordinary text never becomes one (but the unknown token), and they decode to nothing. */
  readonly specialIds: ReadonlySet<number>;
  /**
   * Id of the document separator: `<|endoftext|>`, else the eos token.
   *
   * @throws {DataError} if a published tokenizer has none.
   */
  readonly endOfTextId: number;
  /**
   * Ids of ordinary text. Never yields a special id: the text `<|endoftext|>` becomes the tokens of its
   * letters, so that no document can pretend to end.
   *
   * @throws {DataError} if the text is not well-formed Unicode or, for characters, holds an unknown one.
   */
  encode(text: string): Uint32Array;
  /**
   * Ids of text in which the written forms of special tokens are those tokens: what a chat template renders.
   * Adds no others. Never for text from strangers.
   *
   * @throws {DataError} as `encode`.
   */
  encodeMarked(text: string): Uint32Array;
  /**
   * One text, or two, as a model wants it: with special tokens around, segments, and the place of each token in the text.
   *
   * @throws {DataError} as `encode`, and if the result is longer than `maxLength` and nothing may be cut.
   */
  encodeInput(text: string, pair?: string, options?: InputOptions): EncodedInput;
  /**
   * The same for a text that is too long: windows that overlap, together all of it.
   *
   * @throws {DataError} as `encode`, and if there is no room for a window.
   */
  encodeWindows(text: string, pair: string | undefined, options: WindowOptions): EncodedInput[];
  /**
   * Text of ids: special tokens are "" unless asked for, invalid UTF-8 becomes U+FFFD.
   *
   * @throws {DataError} at an id that is not in the vocabulary.
   */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** Begins decoding one id at a time; {@link StreamDecoder} is the comfortable form. */
  startDecoding(options?: DecodeOptions): Decoding;
  /**
   * The bytes one token stands for, in the midst of a text; none for special tokens.
   *
   * @throws {DataError} if the id is not in the vocabulary.
   */
  tokenBytes(id: number): Uint8Array;
  /**
   * A token as the vocabulary spells it, such as `Ġthe`, `##ing`, `▁the`, `[CLS]`.
   *
   * @throws {DataError} if the id is not in the vocabulary.
   */
  tokenText(id: number): string;
  /** The id of a token so spelled. */
  idOf(text: string): number | undefined;
  /** Content of the Hugging Face `tokenizer.json`. */
  toJSON(): TokenizerJson;
  /** SHA-256 of that content. Checkpoints store it, and a run refuses to resume with another. */
  hash(): string;
}

/**
 * Decodes a stream of ids, one at a time, never splitting a character: what could still become something else is
 * held back. The pieces joined are what `decode` gives for all ids.
 *
 * @example
 * const stream = new StreamDecoder(tokenizer);
 * [...tokenizer.encode("é!")].map((id) => stream.push(id)).join("") + stream.flush(); // => "é!"
 */
export class StreamDecoder {
  readonly #decoding: Decoding;

  constructor(tokenizer: Tokenizer, options?: DecodeOptions) {
    this.#decoding = tokenizer.startDecoding(options);
  }

  /**
   * The text that `id` completes; may be "".
   *
   * @throws {DataError} if the id is not in the vocabulary.
   */
  push(id: number): string {
    return this.#decoding.push(id);
  }

  /** What is held back when the stream ends: "", or U+FFFD for a character cut short. */
  flush(): string {
    return this.#decoding.flush();
  }
}

/**
 * The files that make a tokenizer part of a model directory, by name: `tokenizer.json`, `tokenizer_config.json` and
 * `special_tokens_map.json`, which Python's `AutoTokenizer.from_pretrained(directory)` reads.
 *
 * @param options.contextLength longest sequence of the model, in tokens
 * @throws {ConfigError} if the context length is not a positive integer.
 */
export function tokenizerFiles(
  tokenizer: Tokenizer,
  { contextLength }: { contextLength: number },
): Record<string, string> {
  if (!Number.isSafeInteger(contextLength) || contextLength < 1) {
    const got = String(contextLength);
    throw new ConfigError({ where: "contextLength", expected: "an integer ≥ 1", got });
  }
  const json = tokenizer.toJSON();
  const specials = Object.fromEntries(
    Object.entries(tokenizer.specials).map(([role, id]) => [`${role}_token`, tokenizer.tokenText(id)]),
  );
  const config = {
    // Reads tokenizer.json as it is; the class "GPT2Tokenizer" of transformers 5 would rebuild it.
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: contextLength,
    clean_up_tokenization_spaces: false,
    // Not passed on unasked, and a BERT without its segments takes a pair for one text.
    ...(hasSegments(tokenizer) && { model_input_names: ["input_ids", "token_type_ids", "attention_mask"] }),
    ...specials,
  };
  const text = (content: unknown) => `${JSON.stringify(content, null, 2)}\n`;
  return {
    "tokenizer.json": text(json),
    "tokenizer_config.json": text(config),
    "special_tokens_map.json": text(specials),
  };
}

/** Whether pairs are told apart by segments, as BERT's are. */
function hasSegments(tokenizer: Tokenizer): boolean {
  return tokenizer.specials.cls !== undefined && tokenizer.encodeInput("", "").segmentIds.includes(1);
}

/** Writes {@link tokenizerFiles} into a directory, which is created if need be. */
export function saveTokenizer(
  directory: string,
  tokenizer: Tokenizer,
  options: { contextLength: number },
): void {
  const files = tokenizerFiles(tokenizer, options);
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
}
