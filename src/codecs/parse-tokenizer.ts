import { FormatError } from "../core/errors.ts";
import { createByteBpe } from "./byte-bpe.ts";
import { createCharTokenizer } from "./char-tokenizer.ts";
import { PipelineTokenizer } from "./pipeline-tokenizer.ts";
import { readPostProcessor } from "./post-processor.ts";
import type { RoleNames } from "./special-ids.ts";
import { readDecoder, spelledBytes } from "./stages/decoders.ts";
import { readNormalizer } from "./stages/normalizers.ts";
import { PieceDecoder } from "./stages/piece-decoder.ts";
import { PipelineEncoder, type Stages } from "./stages/pipeline-encoder.ts";
import { readPreTokenizer } from "./stages/pre-tokenizers.ts";
import { readModel } from "./stages/read-model.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { type JsonObject, readTokens, requireObject, type TokenizerJson } from "./tokenizer-json.ts";

/**
 * Reads the content of a Hugging Face `tokenizer.json`. Truncation and padding only shape batches and are not interpreted.
 *
 * @param where names the source in errors
 * @param named spelling of special tokens by role, where another file says so
 * @throws {FormatError} if it is not a tokenizer of a known kind, or contradicts itself.
 */
export function parseTokenizer(json: unknown, where: string, named?: RoleNames): Tokenizer {
  const file = requireObject(json, where);
  const model = requireObject(file.model, `${where} model`);
  const claimed: unknown = {
    ...file,
    added_tokens: file.added_tokens ?? [],
    model: { ...model, type: model.type ?? guessType(model) },
  };
  const tokenizerJson = claimed as TokenizerJson; // what is read of it is checked
  if (isCharacters(tokenizerJson)) return createCharTokenizer(tokenizerJson, where);
  if (isByteBpe(tokenizerJson)) return createByteBpe(tokenizerJson, where, named);
  return createPipeline(tokenizerJson, where, named);
}

/** Stages that stand in for those of the file. */
export type OtherStages = Partial<Pick<Stages, "normalize" | "split" | "model">>;

/** A tokenizer of any kind, in stages. */
export function createPipeline(
  json: TokenizerJson,
  where: string,
  named?: RoleNames,
  other: OtherStages = {},
): PipelineTokenizer {
  const tokens = readTokens(json, where);
  // User-defined pieces of SentencePiece belong to its model.
  const added = other.model ? tokens.added.filter(({ special }) => special) : tokens.added;
  const encoder = new PipelineEncoder({
    added,
    normalize: other.normalize ?? readNormalizer(json.normalizer, `${where} normalizer`),
    split: other.split ?? readPreTokenizer(json.pre_tokenizer, `${where} pre_tokenizer`),
    model: other.model ?? readModel(json.model, tokens, `${where} model`),
  });
  const isByteLevel = (json.decoder as JsonObject | null)?.type === "ByteLevel";
  return new PipelineTokenizer({
    json,
    tokens,
    encoder,
    decoder: new PieceDecoder(
      tokens.texts,
      readDecoder(json.decoder, `${where} decoder`),
      isByteLevel ? spelledBytes : undefined,
    ),
    processor: readPostProcessor(json.post_processor, tokens, `${where} post_processor`),
    named,
  });
}

/** Files before 2021 do not say. */
function guessType(model: JsonObject): string {
  if (Array.isArray(model.vocab)) return "Unigram";
  if (model.merges !== undefined) return "BPE";
  return model.continuing_subword_prefix === undefined ? "WordLevel" : "WordPiece";
}

/** As `trainCharTokenizer` writes them: unknown characters are an error then, where the library drops them. */
function isCharacters({ model, normalizer, pre_tokenizer, decoder }: TokenizerJson): boolean {
  const { merges } = model;
  const isPlain = isPlainBpe(model) && Array.isArray(merges) && merges.length === 0;
  const isUnsplit = (normalizer ?? null) === null && (pre_tokenizer ?? null) === null;
  return isPlain && isUnsplit && (model.unk_token ?? null) === null && typeOf(decoder) === "Fuse";
}

/** Byte-level BPE in the form of GPT-2, for which there is a faster encoder. */
function isByteBpe({ model, normalizer, pre_tokenizer, decoder }: TokenizerJson): boolean {
  const { add_prefix_space, use_regex } = (pre_tokenizer ?? {}) as JsonObject;
  const isByteLevel = typeOf(pre_tokenizer) === "ByteLevel" && typeOf(decoder) === "ByteLevel";
  const isPlain = isPlainBpe(model) && (normalizer ?? null) === null;
  return isPlain && isByteLevel && add_prefix_space === false && use_regex !== false;
}

function isPlainBpe(model: JsonObject): boolean {
  const isBare = (model.continuing_subword_prefix ?? "") === "" && (model.end_of_word_suffix ?? "") === "";
  const hasOption = model.byte_fallback === true || model.ignore_merges === true;
  return model.type === "BPE" && isBare && !hasOption && (model.dropout ?? 0) === 0;
}

function typeOf(part: unknown): unknown {
  return ((part ?? {}) as JsonObject).type;
}

/** @throws {FormatError} if text is not JSON. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const got = String((cause as Error).message).replaceAll(/\s+/g, " ");
    throw new FormatError({ where, expected: "JSON", got }, { cause });
  }
}
