import { FormatError } from "../core/errors.ts";
import { AddedTokens } from "./added-tokens.ts";
import { type MergeRule, MergeRules } from "./bpe-merge.ts";
import { createPipeline } from "./parse-tokenizer.ts";
import { type Piece, readSentencePieceFile, type SentencePieceFile } from "./sentencepiece-file.ts";
import type { RoleNames } from "./special-ids.ts";
import { type AlignedText, sizeAt, TextEdit } from "./stages/aligned-text.ts";
import { Bpe, byteToken } from "./stages/bpe.ts";
import { Charsmap } from "./stages/charsmap.ts";
import { type Normalizer, readNormalizer, sequenceOf } from "./stages/normalizers.ts";
import { Unigram } from "./stages/unigram.ts";
import { type WordModel, WordTokens } from "./stages/word-model.ts";
import { wordwise } from "./stages/wordwise.ts";
import type { Tokenizer } from "./tokenizer.ts";
import {
  type AddedToken,
  bpeModelJson,
  type JsonObject,
  specialToken,
  type TokenizerJson,
} from "./tokenizer-json.ts";
import { encodeUtf8 } from "./utf8.ts";

const MARK = "▁";
const MAX_LEADING = 1_000_000;

/** Which tokens are put around a text. */
export interface Surround {
  readonly bos: boolean;
  readonly eos: boolean;
}

/**
 * Reads a SentencePiece `.model` (Kudo & Richardson 2018, arXiv:1808.06226). Ids are SentencePiece's own; control symbols
 * are special tokens, of which text becomes none.
 *
 * @param surround tokens that `encodeInput` adds; SentencePiece itself adds none
 * @throws {FormatError} if it is damaged, or of a kind that is not known.
 */
export function parseSentencePiece(
  bytes: Uint8Array,
  where: string,
  { surround = { bos: false, eos: false }, named }: { surround?: Surround; named?: RoleNames } = {},
): Tokenizer {
  const file = readSentencePieceFile(bytes, where);
  const json = toTokenizerJson(file, surround, where);
  const model = file.kind === "bpe" ? bpeModel(file, where) : unigramModel(file, where);
  const roles: [keyof RoleNames, number | undefined][] = [
    ["bos", file.bosId],
    ["eos", file.eosId],
    ["pad", file.padId],
    ["unk", unknownIdOf(file)],
  ];
  const own = Object.fromEntries(
    roles.flatMap(([role, id]) => (id === undefined ? [] : [[role, file.pieces[id]!.text]])),
  );
  return createPipeline(
    json,
    where,
    { ...own, ...named },
    { model, normalize: normalizerOf(file, json, where) },
  );
}

/** The `tokenizer.json` that says the same, for the Hugging Face library. */
function toTokenizerJson(file: SentencePieceFile, surround: Surround, where: string): TokenizerJson {
  const added = file.pieces.flatMap((piece, id): AddedToken[] => {
    if (piece.type === "control" || piece.type === "unknown") return [specialToken(id, piece.text)];
    return piece.type === "user-defined" ? [{ ...specialToken(id, piece.text), special: false }] : [];
  });
  // Spaces that decoding leaves out at the start: the prefix, or all.
  const leading = file.removesExtraSpaces ? MAX_LEADING : file.addsPrefix ? 1 : 0;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: normalizerJson(file),
    pre_tokenizer: null,
    post_processor: templateJson(file, surround),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: MARK }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(leading > 0 ? [{ type: "Strip", content: " ", start: leading, stop: 0 }] : []),
      ],
    },
    model: file.kind === "bpe" ? bpeJson(file, where) : unigramJson(file),
  };
}

function normalizerJson({ charsmap, removesExtraSpaces, addsPrefix }: SentencePieceFile): JsonObject {
  const replace = (pattern: object, content: string) => ({ type: "Replace", pattern, content });
  const encoded = Buffer.from(charsmap).toString("base64");
  return {
    type: "Sequence",
    normalizers: [
      ...(charsmap.length > 0 ? [{ type: "Precompiled", precompiled_charsmap: encoded }] : []),
      ...(removesExtraSpaces ? [replace({ Regex: "\\A +" }, ""), replace({ Regex: " {2,}" }, " ")] : []),
      ...(addsPrefix ? [{ type: "Prepend", prepend: MARK }] : []),
      replace({ String: " " }, MARK),
      // At the end SentencePiece takes a mark for a space.
      ...(removesExtraSpaces ? [replace({ Regex: `${MARK}+\\z` }, "")] : []),
    ],
  };
}

function templateJson(file: SentencePieceFile, { bos, eos }: Surround): JsonObject | null {
  const used = [bos ? file.bosId : undefined, eos ? file.eosId : undefined];
  const [before, after] = used.map((id) => (id === undefined ? [] : [file.pieces[id]!.text]));
  const token = (segment: number) => (id: string) => ({ SpecialToken: { id, type_id: segment } });
  const around = (id: "A" | "B", segment: number) => [
    ...before!.map(token(segment)),
    { Sequence: { id, type_id: segment } },
    ...after!.map(token(segment)),
  ];
  const special = used.flatMap((id) => (id === undefined ? [] : [[file.pieces[id]!.text, id] as const]));
  if (special.length === 0) return null;
  return {
    type: "TemplateProcessing",
    single: around("A", 0),
    pair: [...around("A", 0), ...around("B", 1)],
    special_tokens: Object.fromEntries(special.map(([id, one]) => [id, { id, ids: [one], tokens: [id] }])),
  };
}

function bpeJson(file: SentencePieceFile, where: string): JsonObject {
  const texts = file.pieces.map(({ text }) => text);
  const merges = mergeRules(file, where).map(({ left, right }) => [texts[left]!, texts[right]!] as const);
  const unknownId = unknownIdOf(file);
  return {
    ...bpeModelJson(texts, []),
    merges, // in pairs: pieces may hold spaces
    unk_token: unknownId === undefined ? null : texts[unknownId],
    fuse_unk: true,
    byte_fallback: file.hasByteFallback,
  };
}

function unigramJson(file: SentencePieceFile): JsonObject {
  return {
    type: "Unigram",
    unk_id: unknownIdOf(file) ?? null,
    byte_fallback: file.hasByteFallback,
    vocab: file.pieces.map(({ text, score }) => [text, score]),
  };
}

function bpeModel(file: SentencePieceFile, where: string): WordModel {
  const usable = file.pieces.flatMap(({ text, type }, id) =>
    isText(type) || type === "byte" ? [[text, id] as const] : [],
  );
  const ids = new Map(usable);
  const bpe = new Bpe({
    ids,
    rules: new MergeRules(mergeRules(file, where)),
    prefix: "",
    suffix: "",
    unknownId: unknownIdOf(file),
    fusesUnknown: true,
    hasByteFallback: file.hasByteFallback,
    ignoresMerges: false,
  });
  const plain = wordwise(bpe, ids.keys(), ids.has(MARK));
  const fixed = userDefined(file);
  return fixed.length === 0 ? plain : new FixedSymbols(plain, new AddedTokens(fixed));
}

/** Two pieces become one wherever that is a piece; higher scores first, then from left to right. */
function mergeRules({ pieces }: SentencePieceFile, where: string): MergeRule[] {
  const ids = new Map(pieces.flatMap(({ text, type }, id) => (type === "normal" ? [[text, id]] : [])));
  if (pieces.some(({ type }) => type === "unused")) {
    throw new FormatError({ where, expected: "no unused pieces in BPE", got: "some" });
  }
  const order = [...ids.values()].sort((a, b) => pieces[b]!.score - pieces[a]!.score || a - b);
  const rules: MergeRule[] = [];
  let rank = 0;
  for (const [i, result] of order.entries()) {
    const { text, score } = pieces[result]!;
    if (text.length > MAX_PIECE_LENGTH) {
      throw new FormatError({
        where,
        expected: `pieces of at most ${MAX_PIECE_LENGTH} characters`,
        got: "longer",
      });
    }
    if (i > 0 && score < pieces[order[i - 1]!]!.score) rank++;
    for (let at = sizeAt(text, 0); at < text.length; at += sizeAt(text, at)) {
      const [left, right] = [ids.get(text.slice(0, at)), ids.get(text.slice(at))];
      if (left !== undefined && right !== undefined) rules.push({ left, right, result, rank });
    }
  }
  return rules;
}

/** Each place in a piece is tried as a border; published pieces have up to 64 characters. */
const MAX_PIECE_LENGTH = 1024;

function unigramModel(file: SentencePieceFile, where: string): WordModel {
  const scores = Float32Array.from(file.pieces, ({ score }) => score);
  let best = Number.NEGATIVE_INFINITY;
  for (const { score, type } of file.pieces) if (type === "normal") best = Math.max(best, score);
  const tokens = file.pieces.flatMap(({ text, type }, id) => (isText(type) ? [[text, id] as const] : []));
  const ids = new Map(file.pieces.map(({ text }, id) => [text, id]));
  for (const { content, id } of userDefined(file)) {
    scores[id] = encodeUtf8(content).length * best - 0.1; // as SentencePiece prefers them
  }
  const bytes = Array.from({ length: 256 }, (_, byte) => ids.get(byteToken(byte)));
  return new Unigram({
    tokens,
    scores: unigramScores(file.pieces, scores),
    unknownId: unknownIdOf(file),
    byteIds: file.hasByteFallback && !bytes.includes(undefined) ? (bytes as number[]) : undefined,
    isSinglePrecision: true,
    where,
  });
}

/** Only the scores of ordinary pieces say how bad an unknown character is. */
function unigramScores(pieces: readonly Piece[], scores: Float32Array): Float32Array {
  let least = Number.POSITIVE_INFINITY;
  for (const { score, type } of pieces) if (type === "normal") least = Math.min(least, score);
  return scores.map((score, id) => (pieces[id]!.type === "normal" || score > least ? score : least));
}

function isText(type: Piece["type"]): boolean {
  return type === "normal" || type === "user-defined";
}

function unknownIdOf({ pieces }: SentencePieceFile): number | undefined {
  const id = pieces.findIndex(({ type }) => type === "unknown");
  return id < 0 ? undefined : id;
}

function userDefined({ pieces }: SentencePieceFile): AddedToken[] {
  return pieces.flatMap(({ text, type }, id) =>
    type === "user-defined" ? [{ ...specialToken(id, text), special: false }] : [],
  );
}

/** Takes user-defined symbols out of a word; they merge with nothing. */
class FixedSymbols implements WordModel {
  readonly #model: WordModel;
  readonly #fixed: AddedTokens;

  constructor(model: WordModel, fixed: AddedTokens) {
    this.#model = model;
    this.#fixed = fixed;
  }

  encodeWord(word: string): WordTokens {
    const tokens = new WordTokens();
    for (const { start, end, id } of this.#fixed.split(word, false)) {
      if (id !== undefined) {
        tokens.add(id, start, end);
        continue;
      }
      const inner = this.#model.encodeWord(word.slice(start, end));
      for (const [i, one] of inner.ids.entries())
        tokens.add(one, inner.starts[i]! + start, inner.ends[i]! + start);
    }
    return tokens;
  }
}

/** The normalizer of the file: rules by the longest match, as SentencePiece has it, and not within user-defined symbols. */
function normalizerOf(file: SentencePieceFile, json: TokenizerJson, where: string): Normalizer {
  const steps = (json.normalizer as { normalizers: JsonObject[] }).normalizers
    .filter(({ type }) => type !== "Precompiled")
    .map((step) => readNormalizer(step, where));
  if (file.charsmap.length === 0) return sequenceOf(steps);
  const charsmap = new Charsmap(file.charsmap, `${where} precompiled_charsmap`);
  const fixed = new AddedTokens(userDefined(file));
  return sequenceOf([(text) => applyCharsmap(text, charsmap, fixed), ...steps]);
}

function applyCharsmap(source: AlignedText, charsmap: Charsmap, fixed: AddedTokens): AlignedText {
  const { text } = source;
  const bytes = encodeUtf8(text);
  const edit = new TextEdit(source);
  let byteAt = 0;
  for (const segment of fixed.split(text, false)) {
    if (segment.id !== undefined) {
      edit.keepTo(segment.end);
      byteAt += encodeUtf8(text.slice(segment.start, segment.end)).length;
      continue;
    }
    while (edit.at < segment.end) {
      const found = charsmap.match(bytes, byteAt, bytes.length, "longest");
      if (!found) {
        byteAt += byteLength(bytes[byteAt]!);
        edit.keepTo(edit.at + sizeAt(text, edit.at));
        continue;
      }
      const end = byteAt + found.length;
      let numCharacters = 0;
      while (byteAt < end) {
        byteAt += byteLength(bytes[byteAt]!);
        numCharacters++;
      }
      if (found.text === "") edit.skip(numCharacters);
      else {
        edit.replaceNext(found.text);
        edit.skip(numCharacters - 1);
      }
    }
  }
  return edit.finish();
}

function byteLength(lead: number): number {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}
