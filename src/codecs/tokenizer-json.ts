import { createHash } from "node:crypto";
import { DataError, FormatError } from "../core/errors.ts";
import { loneSurrogateAt } from "./utf8.ts";

/** The document separator of GPT-2 and of every tokenizer trained here. */
export const END_OF_TEXT = "<|endoftext|>";

/** Published vocabularies leave out up to a few hundred ids. */
const MAX_HOLES = 4096;
/** Text is searched for added tokens at every place. */
const MAX_ADDED_LENGTH = 2048;

/** A token that is matched as a whole instead of being built by merges. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

/** How our trainers fill in the model: plain BPE, no variations. */
export function bpeModelJson(
  tokens: readonly string[],
  merges: readonly (readonly [string, string])[],
): JsonObject {
  return {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    // Not by assignment: a token may be called "__proto__".
    vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
    merges: merges.map(([left, right]) => `${left} ${right}`),
  };
}

/** Content of a Hugging Face `tokenizer.json`; parts that do not touch ids are carried along unread. */
export interface TokenizerJson {
  readonly version: string;
  readonly truncation: unknown;
  readonly padding: unknown;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: JsonObject;
}

/** The tokens of a file, checked: each text occurs once. */
export interface TokenList {
  /** Text of each id as the file spells it; "" for an id that the file leaves out. */
  readonly texts: readonly string[];
  readonly ids: ReadonlyMap<string, number>;
  /** Ids that ordinary text never becomes and that decode to nothing. */
  readonly specialIds: ReadonlySet<number>;
  /** Tokens that are matched as a whole. */
  readonly added: readonly AddedToken[];
  /** Undefined when the file has no `<|endoftext|>`. */
  readonly endOfTextId: number | undefined;
}

/** Properties of a JSON object; the names are the file's, so `in` and prototypes must not answer. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The `added_tokens` record of a special token, as our trainers write it. */
export function specialToken(id: number, content: string): AddedToken {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

/** @throws {FormatError} if `value` is not a JSON object. */
export function requireObject(value: unknown, where: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new FormatError({ where, expected: "a JSON object", got: describe(value) });
}

/** @throws {FormatError} if `value` is not an array. */
export function requireArray(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new FormatError({ where, expected: "an array", got: describe(value) });
}

/** A value in an error message: short, on one line. */
export function describe(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/**
 * Reads `model.vocab` and `added_tokens`.
 *
 * @throws {FormatError} on wrong types, an id given twice, or ids far beyond the number of tokens.
 */
export function readTokens(json: TokenizerJson, where: string): TokenList {
  const ids = new Map<string, number>();
  const owners = new Map<number, string>();
  const vocabularyWhere = `${where} model.vocab`;
  for (const [text, id] of vocabularyEntries(json.model.vocab, vocabularyWhere)) {
    assign(ids, owners, text, id, vocabularyWhere);
  }
  const added = requireArray(json.added_tokens, `${where} added_tokens`).map((entry, i) =>
    readAddedToken(ids, owners, entry, `${where} added_tokens[${i}]`),
  );
  const specialIds = new Set(added.filter(({ special }) => special).map(({ id }) => id));
  const endOfTextId = ids.get(END_OF_TEXT);
  if (endOfTextId !== undefined) specialIds.add(endOfTextId);
  const size = [...owners.keys()].reduce((largest, id) => Math.max(largest, id), -1) + 1;
  if (size > 2 * owners.size + MAX_HOLES) {
    const expected = `ids of about the number of tokens, ${owners.size}`;
    throw new FormatError({ where: vocabularyWhere, expected, got: `id ${size - 1}` });
  }
  const texts = Array.from({ length: size }, (_, id) => owners.get(id) ?? "");
  return { texts, ids, specialIds, added, endOfTextId };
}

/** Tokens by text, in an object, or texts with scores, in order. */
function* vocabularyEntries(vocabulary: unknown, where: string): Generator<readonly [string, unknown]> {
  if (!Array.isArray(vocabulary)) {
    const object = requireObject(vocabulary, where);
    for (const text of Object.keys(object)) yield [text, object[text]];
    return;
  }
  for (const [id, entry] of vocabulary.entries()) {
    if (!Array.isArray(entry) || typeof entry[0] !== "string" || !Number.isFinite(entry[1])) {
      const failure = { where: `${where}[${id}]`, expected: "[text, score]", got: describe(entry) };
      throw new FormatError(failure);
    }
    yield [entry[0], id];
  }
}

/** @throws {DataError} if the tokenizer has no separator. */
export function requireEndOfText(id: number | undefined): number {
  if (id !== undefined) return id;
  const expected = `a tokenizer with the document separator ${END_OF_TEXT}`;
  throw new DataError({ where: "endOfTextId", expected, got: "one without it" });
}

/** SHA-256, in hexadecimal, of the JSON with all object keys sorted: equal content, equal hash. */
export function hashJson(json: unknown): string {
  return createHash("sha256").update(canonicalJson(json)).digest("hex");
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const object = value as JsonObject;
  const keys = Object.keys(object).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(object[key])}`).join(",")}}`;
}

function assign(
  ids: Map<string, number>,
  owners: Map<number, string>,
  text: string,
  id: unknown,
  where: string,
): number {
  if (typeof id !== "number" || !Number.isInteger(id) || id < 0) {
    throw new FormatError({ where, expected: `an id ≥ 0 for ${describe(text)}`, got: describe(id) });
  }
  if (loneSurrogateAt(text) >= 0) {
    throw new FormatError({ where, expected: "tokens of well-formed text", got: describe(text) });
  }
  const owner = owners.get(id);
  const known = ids.get(text);
  if ((owner !== undefined && owner !== text) || (known !== undefined && known !== id)) {
    const got = owner !== undefined ? `id ${id} for ${describe(owner)} too` : `ids ${known} and ${id}`;
    throw new FormatError({ where, expected: `one id for ${describe(text)}`, got });
  }
  ids.set(text, id);
  owners.set(id, text);
  return id;
}

function readAddedToken(
  ids: Map<string, number>,
  owners: Map<number, string>,
  entry: unknown,
  where: string,
): AddedToken {
  const token = requireObject(entry, where);
  if (typeof token.content !== "string") {
    throw new FormatError({ where, expected: "content: a string", got: describe(token.content) });
  }
  if (token.content.length > MAX_ADDED_LENGTH) {
    const expected = `content of at most ${MAX_ADDED_LENGTH} characters`;
    throw new FormatError({ where, expected, got: String(token.content.length) });
  }
  const flag = (name: string): boolean => token[name] === true;
  return {
    id: assign(ids, owners, token.content, token.id, where),
    content: token.content,
    single_word: flag("single_word"),
    lstrip: flag("lstrip"),
    rstrip: flag("rstrip"),
    normalized: flag("normalized"),
    special: flag("special"),
  };
}
