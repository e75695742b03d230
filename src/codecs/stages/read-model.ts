import { FormatError } from "../../core/errors.ts";
import { MergeRules } from "../bpe-merge.ts";
import { readMerges } from "../read-merges.ts";
import { describe, type JsonObject, requireArray, type TokenList } from "../tokenizer-json.ts";
import { Bpe, byteToken } from "./bpe.ts";
import { Unigram } from "./unigram.ts";
import type { WordModel } from "./word-model.ts";
import { WordLevel, WordPiece } from "./word-piece.ts";
import { wordwise } from "./wordwise.ts";

/** What a reader of models gets. */
interface Source {
  readonly model: JsonObject;
  readonly tokens: TokenList;
  /** Ids of the tokens that text may become: special ones are not among them. */
  readonly ids: ReadonlyMap<string, number>;
  readonly where: string;
}

const READERS: Readonly<Record<string, (source: Source) => WordModel>> = {
  BPE: readBpe,
  WordPiece: readWordPiece,
  WordLevel: ({ model, tokens, ids, where }) => new WordLevel(ids, namedId(model.unk_token, tokens, where)),
  Unigram: readUnigram,
};

/**
 * Reads the `model` part of a `tokenizer.json`.
 *
 * @throws {FormatError} if it is not of a known kind, or contradicts itself.
 */
export function readModel(model: JsonObject, tokens: TokenList, where: string): WordModel {
  const { type } = model;
  if (typeof type !== "string" || !Object.hasOwn(READERS, type)) {
    const expected = `one of ${Object.keys(READERS).join(", ")}`;
    throw new FormatError({ where: `${where}.type`, expected, got: describe(type) });
  }
  const ids = new Map([...tokens.ids].filter(([, id]) => !tokens.specialIds.has(id)));
  return READERS[type]!({ model, tokens, ids, where });
}

function readBpe({ model, tokens, ids, where }: Source): WordModel {
  if ((model.dropout ?? 0) !== 0) {
    const got = describe(model.dropout);
    throw new FormatError({ where: `${where}.dropout`, expected: "null or 0", got });
  }
  const prefix = optionalString(model.continuing_subword_prefix, `${where}.continuing_subword_prefix`);
  const suffix = optionalString(model.end_of_word_suffix, `${where}.end_of_word_suffix`);
  const ignoresMerges = model.ignore_merges === true;
  const bpe = new Bpe({
    ids,
    rules: new MergeRules(readMerges(model.merges, tokens, prefix, `${where}.merges`)),
    prefix,
    suffix,
    unknownId: namedId(model.unk_token, tokens, where),
    fusesUnknown: model.fuse_unk === true,
    hasByteFallback: model.byte_fallback === true,
    ignoresMerges,
  });
  return prefix + suffix === "" && !ignoresMerges ? wordwise(bpe, ids.keys(), ids.has("▁")) : bpe;
}

function readWordPiece({ model, tokens, ids, where }: Source): WordModel {
  const unknownId = namedId(model.unk_token ?? "[UNK]", tokens, where);
  const maxCharacters = model.max_input_chars_per_word ?? 100;
  if (typeof maxCharacters !== "number" || !Number.isSafeInteger(maxCharacters) || maxCharacters < 0) {
    const failure = { where: `${where}.max_input_chars_per_word`, expected: "an integer ≥ 0" };
    throw new FormatError({ ...failure, got: describe(maxCharacters) });
  }
  const prefix = optionalString(
    model.continuing_subword_prefix ?? "##",
    `${where}.continuing_subword_prefix`,
  );
  return new WordPiece({ ids, prefix, unknownId: unknownId!, maxCharacters, where });
}

function readUnigram({ model, ids, where }: Source): WordModel {
  const unknownId = model.unk_id ?? undefined;
  const vocabulary = requireArray(model.vocab, `${where}.vocab`);
  if (unknownId !== undefined && !isIdBelow(unknownId, vocabulary.length)) {
    const expected = `null or an id below ${vocabulary.length}`;
    throw new FormatError({ where: `${where}.unk_id`, expected, got: describe(unknownId) });
  }
  const bytes = Array.from({ length: 256 }, (_, byte) => ids.get(byteToken(byte)));
  const hasBytes = model.byte_fallback === true && !bytes.includes(undefined);
  return new Unigram({
    tokens: [...ids].filter(([, id]) => id < vocabulary.length && id !== unknownId),
    scores: Float64Array.from(vocabulary, (entry) => (entry as readonly [string, number])[1]),
    unknownId,
    byteIds: hasBytes ? (bytes as number[]) : undefined,
    isSinglePrecision: false,
    where,
  });
}

function isIdBelow(id: unknown, size: number): id is number {
  return typeof id === "number" && Number.isInteger(id) && id >= 0 && id < size;
}

/** Id of the token that stands for the unknown; undefined for null. */
function namedId(name: unknown, tokens: TokenList, where: string): number | undefined {
  if ((name ?? null) === null) return undefined;
  const id = typeof name === "string" ? tokens.ids.get(name) : undefined;
  if (id !== undefined) return id;
  const expected = "a token of the vocabulary";
  throw new FormatError({ where: `${where}.unk_token`, expected, got: describe(name) });
}

function optionalString(value: unknown, where: string): string {
  if ((value ?? null) === null) return "";
  if (typeof value === "string") return value;
  throw new FormatError({ where, expected: "a string or null", got: describe(value) });
}
