import { FormatError } from "../core/errors.ts";
import type { Pieces } from "./encoded-input.ts";
import { describe, type JsonObject, requireArray, requireObject, type TokenList } from "./tokenizer-json.ts";
import { CODE_POINT_CLASS, WHITESPACE } from "./unicode-classes.ts";

/** One place of a template: the text, the second text, or a token that is added. */
export type TemplateItem =
  | { readonly kind: "text" | "pair"; readonly segment: number }
  | { readonly kind: "added"; readonly id: number; readonly segment: number };

/** How offsets leave out spaces: `addsPrefix` keeps the one that was put before the text. */
export interface OffsetTrim {
  readonly addsPrefix: boolean;
}

/** Which tokens stand around a text, and around and between two. */
export class PostProcessor {
  /** Whether the offsets of tokens leave out the white space at their ends. */
  readonly trim: OffsetTrim | undefined;
  readonly #single: readonly TemplateItem[];
  readonly #pair: readonly TemplateItem[];

  constructor(single: readonly TemplateItem[], pair: readonly TemplateItem[], trim?: OffsetTrim) {
    this.#single = single;
    this.#pair = pair;
    this.trim = trim;
  }

  /** The template in order. */
  items(hasPair: boolean): readonly TemplateItem[] {
    return hasPair ? this.#pair : this.#single;
  }

  /** How many tokens the template adds. */
  numAdded(hasPair: boolean): number {
    return this.items(hasPair).filter(({ kind }) => kind === "added").length;
  }

  /** The same template with another trim. */
  withTrim(trim: OffsetTrim | undefined): PostProcessor {
    return new PostProcessor(this.#single, this.#pair, trim);
  }
}

const TEXT: TemplateItem = { kind: "text", segment: 0 };

/** Adds nothing: a pair is one text after the other. */
export const NO_TEMPLATE: PostProcessor = new PostProcessor([TEXT], [TEXT, { kind: "pair", segment: 1 }]);

/**
 * Reads the `post_processor` part of a `tokenizer.json`; null adds nothing.
 *
 * @throws {FormatError} if it is not of a known kind, or names a token that is not there.
 */
export function readPostProcessor(json: unknown, tokens: TokenList, where: string): PostProcessor {
  if ((json ?? null) === null) return NO_TEMPLATE;
  const object = requireObject(json, where);
  switch (object.type) {
    case "TemplateProcessing":
      return readTemplate(object, where, tokens.texts.length);
    case "BertProcessing":
      return bertLike(object, where, tokens.texts.length);
    case "RobertaProcessing":
      return robertaLike(object, where, tokens.texts.length);
    case "ByteLevel":
      return NO_TEMPLATE.withTrim(trimOf(object));
    case "Sequence":
      return requireArray(object.processors, `${where}.processors`)
        .map((part, i) => readPostProcessor(part, tokens, `${where}.processors[${i}]`))
        .reduce(merged, NO_TEMPLATE);
  }
  const expected = "one of TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence";
  throw new FormatError({ where: `${where}.type`, expected, got: describe(object.type) });
}

/**
 * Leaves out of the offsets the white space at both ends of tokens, as the library's ByteLevel does.
 *
 * @param texts of the tokens, by id
 */
export function trimOffsets(pieces: Pieces, trim: OffsetTrim, texts: readonly string[]): void {
  for (const [i, id] of pieces.ids.entries()) {
    const text = texts[id]!;
    let leading = spacesAt(text, 1);
    const trailing = spacesAt(text, -1);
    const isFirst = i === 0 || pieces.starts[i] === 0;
    if (leading > 0 && isFirst && trim.addsPrefix) leading--;
    pieces.starts[i] = Math.min(pieces.starts[i]! + leading, pieces.ends[i]!);
    if (pieces.ends[i]! >= trailing) pieces.ends[i] = Math.max(pieces.ends[i]! - trailing, pieces.starts[i]!);
  }
}

/** White space, written or in the byte alphabet, at the start (direction 1) or the end (-1) of a token. */
function spacesAt(text: string, direction: 1 | -1): number {
  let count = 0;
  for (let at = direction === 1 ? 0 : text.length - 1; at >= 0 && at < text.length; at += direction) {
    if (text[at] !== "Ġ" && CODE_POINT_CLASS[text.charCodeAt(at)] !== WHITESPACE) break;
    count++;
  }
  return count;
}

/** Of two templates the one that adds something. */
function merged(first: PostProcessor, second: PostProcessor): PostProcessor {
  const template = second.numAdded(false) + second.numAdded(true) > 0 ? second : first;
  return template.withTrim(second.trim ?? first.trim);
}

function trimOf(json: JsonObject): OffsetTrim | undefined {
  return json.trim_offsets === false ? undefined : { addsPrefix: json.add_prefix_space !== false };
}

function bertLike(json: JsonObject, where: string, size: number): PostProcessor {
  const cls = namedToken(json.cls, `${where}.cls`, size);
  const sep = namedToken(json.sep, `${where}.sep`, size);
  const single = [added(cls, 0), TEXT, added(sep, 0)];
  return new PostProcessor(single, [...single, { kind: "pair", segment: 1 }, added(sep, 1)]);
}

function robertaLike(json: JsonObject, where: string, size: number): PostProcessor {
  const cls = namedToken(json.cls, `${where}.cls`, size);
  const sep = namedToken(json.sep, `${where}.sep`, size);
  const single = [added(cls, 0), TEXT, added(sep, 0)];
  const pair: TemplateItem[] = [...single, added(sep, 0), { kind: "pair", segment: 0 }, added(sep, 0)];
  return new PostProcessor(single, pair, trimOf(json));
}

function added(id: number, segment: number): TemplateItem {
  return { kind: "added", id, segment };
}

/** `["[CLS]", 101]` */
function namedToken(value: unknown, where: string, size: number): number {
  return requireId(Array.isArray(value) ? value[1] : undefined, where, size);
}

function requireId(id: unknown, where: string, size: number): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < size) return id;
  throw new FormatError({ where, expected: `a token with an id below ${size}`, got: describe(id) });
}

function readTemplate(json: JsonObject, where: string, size: number): PostProcessor {
  const special = requireObject(json.special_tokens ?? {}, `${where}.special_tokens`);
  const read = (key: string): TemplateItem[] =>
    requireArray(json[key], `${where}.${key}`).flatMap((item, i) =>
      readItem(requireObject(item, `${where}.${key}[${i}]`), special, `${where}.${key}[${i}]`, size),
    );
  return new PostProcessor(read("single"), read("pair"));
}

function readItem(item: JsonObject, special: JsonObject, where: string, size: number): TemplateItem[] {
  const isSequence = item.Sequence !== undefined;
  const content = requireObject(item.Sequence ?? item.SpecialToken, where);
  const { id, type_id: segment } = content;
  if (segment !== 0 && segment !== 1) {
    throw new FormatError({ where: `${where}.type_id`, expected: "0 or 1", got: describe(segment) });
  }
  if (isSequence) {
    if (id === "A" || id === "B") return [{ kind: id === "A" ? "text" : "pair", segment }];
    throw new FormatError({ where: `${where}.id`, expected: '"A" or "B"', got: describe(id) });
  }
  const name = typeof id === "string" && Object.hasOwn(special, id) ? special[id] : undefined;
  const token = requireObject(name, `${where}, special token ${describe(id)}`);
  return requireArray(token.ids, `${where}.ids`).map((one) => added(requireId(one, where, size), segment));
}
