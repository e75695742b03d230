import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, FormatError } from "../core/errors.ts";
import { createByteBpe } from "./byte-bpe.ts";
import { createCharTokenizer } from "./char-tokenizer.ts";
import type { EncodedInput, InputOptions, WindowOptions } from "./encoded-input.ts";
import type { SpecialIds } from "./special-ids.ts";
import { describe, type JsonObject, requireObject, type TokenizerJson } from "./tokenizer-json.ts";

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

/** Text ↔ token ids. */
export interface Tokenizer {
  /** Ids are 0 … vocabularySize - 1, special ones included. */
  readonly vocabularySize: number;
  /** Ids of special tokens by role. */
  readonly specials: SpecialIds;
  /** All special ids: ordinary text never becomes one (but the unknown token), and they decode to nothing. */
  readonly specialIds: ReadonlySet<number>;
  /**
   * Id of the document separator, `<|endoftext|>`.
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
 * Reads `tokenizer.json` in a model directory.
 *
 * @throws {ConfigError} if the file cannot be read.
 * @throws {FormatError} if it is not a tokenizer of a known kind, or contradicts itself.
 */
export function loadTokenizer(directory: string): Tokenizer {
  const path = join(directory, "tokenizer.json");
  return parseTokenizer(parseJson(readText(path), path), path);
}

/**
 * Reads the content of a Hugging Face `tokenizer.json`: byte-level BPE with GPT-2's split pattern, or
 * characters as `trainCharTokenizer` writes them.
 *
 * Post-processors only add special tokens, and truncation and padding only shape batches; ordinary
 * `encode` does none of these, so those parts are kept but not interpreted.
 *
 * @param where names the source in errors
 * @throws {FormatError} if it is not a tokenizer of a known kind, or contradicts itself.
 */
export function parseTokenizer(json: unknown, where: string): Tokenizer {
  const file = requireObject(json, where);
  const model = requireObject(file.model, `${where} model`);
  requireKnown(model.type ?? "BPE", ["BPE"], `${where} model.type`); // files before 2021 do not say
  requireKnown(file.normalizer ?? null, [null], `${where} normalizer`);
  requireKnown(model.dropout ?? null, [null, 0], `${where} model.dropout`);
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    requireKnown(model[key] ?? "", [""], `${where} model.${key}`);
  }
  for (const key of ["byte_fallback", "ignore_merges"]) {
    requireKnown(model[key] ?? false, [false], `${where} model.${key}`);
  }
  const claimed: unknown = {
    ...file,
    added_tokens: file.added_tokens ?? [],
    model: { ...model, type: "BPE" },
  };
  const tokenizerJson = claimed as TokenizerJson; // the constructors check what they read of it
  if ((file.pre_tokenizer ?? null) === null) {
    requireCharacters(file, model, where);
    return createCharTokenizer(tokenizerJson, where);
  }
  requireByteLevel(file, where);
  return createByteBpe(tokenizerJson, where);
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
  const textOf = new Map(Object.entries(json.model.vocab).map(([text, id]) => [id, text]));
  const specials = Object.fromEntries(
    Object.entries(tokenizer.specials).map(([role, id]) => [`${role}_token`, textOf.get(id)]),
  );
  const config = {
    // Reads tokenizer.json as it is; the class "GPT2Tokenizer" of transformers 5 would rebuild it.
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: contextLength,
    clean_up_tokenization_spaces: false,
    ...specials,
  };
  const text = (content: unknown) => `${JSON.stringify(content, null, 2)}\n`;
  return {
    "tokenizer.json": text(json),
    "tokenizer_config.json": text(config),
    "special_tokens_map.json": text(specials),
  };
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

function requireCharacters(file: JsonObject, model: JsonObject, where: string): void {
  const decoder = requireObject(file.decoder ?? {}, `${where} decoder`);
  requireKnown(decoder.type, ["Fuse"], `${where} decoder.type (no pre_tokenizer, so characters)`);
  requireKnown(model.unk_token ?? null, [null], `${where} model.unk_token`);
}

function requireByteLevel(file: JsonObject, where: string): void {
  const preTokenizer = requireObject(file.pre_tokenizer, `${where} pre_tokenizer`);
  requireKnown(preTokenizer.type, ["ByteLevel"], `${where} pre_tokenizer.type`);
  requireKnown(preTokenizer.add_prefix_space, [false], `${where} pre_tokenizer.add_prefix_space`);
  requireKnown(preTokenizer.use_regex ?? true, [true], `${where} pre_tokenizer.use_regex`);
  const decoder = requireObject(file.decoder, `${where} decoder`);
  requireKnown(decoder.type, ["ByteLevel"], `${where} decoder.type`);
}

function requireKnown(value: unknown, known: readonly unknown[], where: string): void {
  if (known.includes(value)) return;
  throw new FormatError({
    where,
    expected: known.map((item) => JSON.stringify(item)).join(" or "),
    got: describe(value),
    fix: "Plinth reads byte-level BPE with GPT-2's split pattern, and its own character tokenizers.",
  });
}

function readText(path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const failure = { where: path, expected: "a readable tokenizer file", got: oneLine(cause) };
    throw new ConfigError({ ...failure, fix: "Name a model directory with a tokenizer.json." }, { cause });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError({ where: path, expected: "UTF-8 text", got: "other bytes" }, { cause });
  }
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError({ where, expected: "JSON", got: oneLine(cause) }, { cause });
  }
}

function oneLine(cause: unknown): string {
  return String((cause as Error).message).replaceAll(/\s+/g, " ");
}
