import { FormatError } from "../../core/errors.ts";
import type { SetTest } from "../code-point-set.ts";
import { readSplitPattern, regexPattern, type SplitPattern } from "../regex/split-pattern.ts";
import { describe, type JsonObject, requireArray, requireObject } from "../tokenizer-json.ts";
import { BERT_PUNCTUATION, CODE_POINT_CLASS, DIGITS, WHITESPACE } from "../unicode-classes.ts";
import type { AlignedText } from "./aligned-text.ts";
import { prepend, replaceAll, requireString, spellBytes } from "./normalizers.ts";
import { type Behavior, characters, readBehavior, splitText } from "./split-text.ts";

/** Cuts text into words, which a model then takes apart one by one. */
export type PreTokenizer = (text: AlignedText) => AlignedText[];

/** GPT-2's split pattern (Radford et al. 2019, `encoder.py`). */
export const GPT2_PATTERN =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const READERS: Readonly<Record<string, (json: JsonObject, where: string) => PreTokenizer>> = {
  ByteLevel: byteLevel,
  Whitespace: () => splitter(regexPattern("\\w+|[^\\w\\s]+", "rust", "Whitespace"), "Removed", true),
  WhitespaceSplit: () => splitter(characters(isSpace), "Removed"),
  BertPreTokenizer: () => (text) =>
    splitText(text, characters(isSpace), "Removed").flatMap((word) =>
      splitText(word, characters(isIn(BERT_PUNCTUATION)), "Isolated"),
    ),
  Punctuation: (json, where) =>
    splitter(characters(isIn(BERT_PUNCTUATION)), readBehavior(json.behavior ?? "Isolated", where)),
  Digits: (json) =>
    splitter(characters(isIn(DIGITS)), json.individual_digits === true ? "Isolated" : "Contiguous"),
  CharDelimiterSplit: (json, where) =>
    splitter(readSplitPattern(requireString(json.delimiter, where), where), "Removed"),
  Split: (json, where) =>
    splitter(
      readSplitPattern(json.pattern, `${where}.pattern`),
      readBehavior(json.behavior, where),
      json.invert === true,
    ),
  Metaspace: metaspace,
  Sequence: (json, where) => {
    const parts = requireArray(json.pretokenizers, `${where}.pretokenizers`);
    const steps = parts.map((part, i) => readPreTokenizer(part, `${where}.pretokenizers[${i}]`));
    return (text) => steps.reduce((words, step) => words.flatMap((word) => step(word)), [text]);
  },
};

/**
 * Reads the `pre_tokenizer` part of a `tokenizer.json`; null is none: the whole text is one word.
 *
 * @throws {FormatError} if it is not of a known kind.
 */
export function readPreTokenizer(json: unknown, where: string): PreTokenizer {
  if ((json ?? null) === null) return (text) => [text];
  const object = requireObject(json, where);
  const { type } = object;
  if (typeof type === "string" && Object.hasOwn(READERS, type)) return READERS[type]!(object, where);
  const expected = `one of ${Object.keys(READERS).join(", ")}`;
  throw new FormatError({ where: `${where}.type`, expected, got: describe(type) });
}

function splitter(pattern: SplitPattern, behavior: Behavior, isInverted: boolean = false): PreTokenizer {
  return (text) => splitText(text, pattern, behavior, isInverted);
}

function byteLevel(json: JsonObject): PreTokenizer {
  const hasPrefix = json.add_prefix_space !== false;
  const pattern = json.use_regex === false ? undefined : regexPattern(GPT2_PATTERN, "oniguruma", "ByteLevel");
  return (text) => {
    const prefixed = hasPrefix && !text.text.startsWith(" ") ? prepend(text, " ") : text;
    const words = pattern ? splitText(prefixed, pattern, "Isolated") : [prefixed];
    return words.map(spellBytes);
  };
}

/** SentencePiece's mark for spaces: in place of each, and before the text. */
function metaspace(json: JsonObject, where: string): PreTokenizer {
  const mark = requireString(json.replacement ?? "▁", `${where}.replacement`);
  const scheme = json.prepend_scheme ?? (json.add_prefix_space === false ? "never" : "always");
  if (scheme !== "always" && scheme !== "first" && scheme !== "never") {
    const expected = '"always", "first" or "never"';
    throw new FormatError({ where: `${where}.prepend_scheme`, expected, got: describe(scheme) });
  }
  const spaces = readSplitPattern(" ", where);
  const marks = readSplitPattern(mark, where);
  return (text) => {
    let marked = replaceAll(text, spaces, mark);
    const isWanted = scheme === "always" || (scheme === "first" && text.isFirst);
    if (isWanted && !marked.text.startsWith(mark)) marked = prepend(marked, mark);
    return json.split === false ? [marked] : splitText(marked, marks, "MergedWithNext");
  };
}

function isSpace(point: number): boolean {
  return CODE_POINT_CLASS[point] === WHITESPACE;
}

function isIn(set: SetTest): (point: number) => boolean {
  return (point) => set.has(point);
}
