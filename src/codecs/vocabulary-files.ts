import { FormatError } from "../core/errors.ts";
import {
  bpeModelJson,
  describe,
  type JsonObject,
  specialToken,
  type TokenizerJson,
} from "./tokenizer-json.ts";

// The older files of a vocabulary, as the `tokenizer.json` that says the same.

/** BERT's special tokens; in tokenizers trained here they get the first ids, in this order. */
export const BERT_SPECIAL_TOKENS: readonly string[] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/**
 * BERT's `vocab.txt`, one token a line.
 *
 * @param config `tokenizer_config.json`: `do_lower_case` (default true), `strip_accents`, `tokenize_chinese_chars` and the names
 *   of special tokens
 * @throws {FormatError} if the special tokens are not in it.
 */
export function bertTokenizerJson(text: string, config: JsonObject, where: string): TokenizerJson {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const vocab = Object.fromEntries(lines.map((line, id) => [line, id]));
  const role = (name: string, usual: string): string => {
    const token = tokenText(config[name]) ?? usual;
    if (Object.hasOwn(vocab, token)) return token;
    throw new FormatError({ where, expected: `a line ${describe(token)}, the ${name}`, got: "none" });
  };
  const cls = role("cls_token", "[CLS]");
  const sep = role("sep_token", "[SEP]");
  const unknown = role("unk_token", "[UNK]");
  const others = [tokenText(config.pad_token) ?? "[PAD]", tokenText(config.mask_token) ?? "[MASK]"];
  const special = [unknown, cls, sep, ...others.filter((token) => Object.hasOwn(vocab, token))];
  return wordPieceJson({
    vocab,
    special: special.map((token) => [token, vocab[token]!]),
    unknown,
    cls: [cls, vocab[cls]!],
    sep: [sep, vocab[sep]!],
    lowercase: config.do_lower_case !== false,
    stripAccents: (config.strip_accents as boolean | null | undefined) ?? null,
    spacesChinese: config.tokenize_chinese_chars !== false,
  });
}

/** What a WordPiece tokenizer in the manner of BERT is made of. */
export interface WordPieceParts {
  readonly vocab: Readonly<Record<string, number>>;
  readonly special: readonly (readonly [text: string, id: number])[];
  readonly unknown: string;
  readonly cls: readonly [text: string, id: number];
  readonly sep: readonly [text: string, id: number];
  readonly lowercase: boolean;
  /** Null: as `lowercase`. */
  readonly stripAccents: boolean | null;
  readonly spacesChinese: boolean;
}

/** The `tokenizer.json` of a WordPiece tokenizer in the manner of BERT. */
export function wordPieceJson(parts: WordPieceParts): TokenizerJson {
  const { vocab, special, unknown, cls, sep, lowercase, stripAccents, spacesChinese } = parts;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map(([text, id]) => specialToken(id, text)).sort((a, b) => a.id - b.id),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: spacesChinese,
      strip_accents: stripAccents,
      lowercase,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: bertTemplate(cls, sep),
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: unknown,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}

/** `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`. */
export function bertTemplate(
  cls: readonly [text: string, id: number],
  sep: readonly [text: string, id: number],
): JsonObject {
  const token = ([id]: readonly [string, number], type_id: number) => ({ SpecialToken: { id, type_id } });
  const single = [token(cls, 0), { Sequence: { id: "A", type_id: 0 } }, token(sep, 0)];
  const named = ([text, id]: readonly [string, number]) => ({ id: text, ids: [id], tokens: [text] });
  return {
    type: "TemplateProcessing",
    single,
    pair: [...single, { Sequence: { id: "B", type_id: 1 } }, token(sep, 1)],
    special_tokens: { [cls[0]]: named(cls), [sep[0]]: named(sep) },
  };
}

/**
 * GPT-2's `vocab.json` and `merges.txt`, byte-level; RoBERTa's template and CLIP's marks where the configuration names
 * those classes.
 *
 * @throws {FormatError} if the vocabulary is not an object.
 */
export function bpeTokenizerJson(
  vocabulary: JsonObject,
  mergesText: string,
  config: JsonObject,
): TokenizerJson {
  const merges = mergesText
    .split(/\r?\n/)
    .filter((line) => line !== "" && !line.startsWith("#version"))
    .map((line) => line.split(" ") as [string, string]);
  const type = String(config.tokenizer_class ?? "").replace(/Fast$/, "");
  const isClip = type === "CLIPTokenizer";
  const special = specialTexts(config, isClip ? "<|endoftext|>" : undefined).filter((text) =>
    Object.hasOwn(vocabulary, text),
  );
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: config.add_prefix_space === true,
    trim_offsets: true,
    use_regex: !isClip,
  };
  const json: TokenizerJson = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((text) => specialToken(vocabulary[text] as number, text)),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: { ...byteLevel, trim_offsets: false },
    decoder: byteLevel,
    model: { ...bpeModelJson([], merges), vocab: vocabulary },
  };
  if (isClip) return clipJson(json, vocabulary, config);
  if (type !== "RobertaTokenizer") return json;
  const pair = (text: string) => [text, vocabulary[text]];
  const cls = pair(tokenText(config.cls_token) ?? "<s>");
  const sep = pair(tokenText(config.sep_token) ?? "</s>");
  const roberta = { type: "RobertaProcessing", sep, cls, trim_offsets: true };
  return { ...json, post_processor: { ...roberta, add_prefix_space: byteLevel.add_prefix_space } };
}

/** CLIP's pattern of words, which are in lower case and end in `</w>`. */
const CLIP_PATTERN =
  "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

function clipJson(json: TokenizerJson, vocabulary: JsonObject, config: JsonObject): TokenizerJson {
  const pair = (text: string): [string, number] => [text, vocabulary[text] as number];
  return {
    ...json,
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: CLIP_PATTERN }, behavior: "Removed", invert: true },
        json.pre_tokenizer,
      ],
    },
    post_processor: {
      type: "RobertaProcessing",
      sep: pair(tokenText(config.eos_token) ?? "<|endoftext|>"),
      cls: pair(tokenText(config.bos_token) ?? "<|startoftext|>"),
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: "Sequence", decoders: [json.decoder, { type: "BPEDecoder", suffix: "</w>" }] },
    model: { ...json.model, unk_token: "<|endoftext|>", end_of_word_suffix: "</w>" },
  };
}

/** A token of a configuration: a string, or an object with its content. */
export function tokenText(value: unknown): string | undefined {
  const content = typeof value === "object" && value !== null ? (value as JsonObject).content : value;
  return typeof content === "string" ? content : undefined;
}

/** Texts of the special tokens that a configuration names. */
export function specialTexts(config: JsonObject, ...others: (string | undefined)[]): string[] {
  const names = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((role) =>
    tokenText(config[`${role}_token`]),
  );
  const texts = [...names, ...others, "<|endoftext|>"].filter((text) => text !== undefined);
  return [...new Set(texts)];
}
