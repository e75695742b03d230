import { FormatError } from "../../core/errors.ts";
import { BYTE_TO_CHAR, bytesToAlphabet } from "../byte-alphabet.ts";
import type { SetTest } from "../code-point-set.ts";
import { readSplitPattern, type SplitPattern } from "../regex/split-pattern.ts";
import { describe, type JsonObject, requireArray, requireObject } from "../tokenizer-json.ts";
import {
  ACCENTS,
  BERT_ACCENTS,
  BERT_CONTROLS,
  CODE_POINT_CLASS,
  isChinese,
  lowercaseOf,
  WHITESPACE,
} from "../unicode-classes.ts";
import { encodeUtf8 } from "../utf8.ts";
import { type AlignedText, sizeAt, TextEdit } from "./aligned-text.ts";
import { Charsmap } from "./charsmap.ts";
import { isAscii, type NormalForm, normalForm } from "./normal-forms.ts";

/** Changes text before it is cut into words. */
export type Normalizer = (text: AlignedText) => AlignedText;

const READERS: Readonly<Record<string, (json: JsonObject, where: string) => Normalizer>> = {
  NFC: () => formNormalizer("NFC"),
  NFD: () => formNormalizer("NFD"),
  NFKC: () => formNormalizer("NFKC"),
  NFKD: () => formNormalizer("NFKD"),
  Lowercase: () => lowercase,
  StripAccents: () => (text) => removeAll(text, ACCENTS),
  BertNormalizer: (json) => bertNormalizer(json),
  Strip: (json) => (text) => strip(text, json.strip_left !== false, json.strip_right !== false),
  Prepend: (json, where) => {
    const prefix = requireString(json.prepend, `${where}.prepend`);
    return (text) => prepend(text, prefix);
  },
  Replace: (json, where) => {
    const content = requireString(json.content, `${where}.content`);
    const pattern = readSplitPattern(json.pattern, `${where}.pattern`);
    return (text) => replaceAll(text, pattern, content);
  },
  Precompiled: (json, where) => {
    const bytes = Buffer.from(requireString(json.precompiled_charsmap, where), "base64");
    const charsmap = new Charsmap(bytes, `${where}.precompiled_charsmap`);
    const rules = rulesOf(charsmap);
    return (text) => mapGraphemes(text, rules);
  },
  ByteLevel: () => spellBytes,
  Sequence: (json, where) => {
    const parts = requireArray(json.normalizers, `${where}.normalizers`);
    return sequenceOf(parts.map((part, i) => readNormalizer(part, `${where}.normalizers[${i}]`)));
  },
};

/**
 * Reads the `normalizer` part of a `tokenizer.json`; null is none.
 *
 * @throws {FormatError} if it is not of a known kind.
 */
export function readNormalizer(json: unknown, where: string): Normalizer {
  if ((json ?? null) === null) return (text) => text;
  const object = requireObject(json, where);
  const { type } = object;
  if (typeof type === "string" && Object.hasOwn(READERS, type)) return READERS[type]!(object, where);
  const expected = `one of ${Object.keys(READERS).join(", ")}`;
  throw new FormatError({ where: `${where}.type`, expected, got: describe(type) });
}

/** One normalizer after the other. */
export function sequenceOf(steps: readonly Normalizer[]): Normalizer {
  return (text) => steps.reduce((current, step) => step(current), text);
}

/** Puts `prefix` before a text that is not empty; it stands for the first character. */
export function prepend(source: AlignedText, prefix: string): AlignedText {
  if (source.text === "" || prefix === "") return source;
  const first = source.text.slice(0, sizeAt(source.text, 0));
  const edit = new TextEdit(source);
  edit.replaceNext(prefix + first);
  return edit.finish();
}

/** Replaces what a pattern finds; the content stands for the last character of what it replaces. */
export function replaceAll(source: AlignedText, pattern: SplitPattern, content: string): AlignedText {
  const found = pattern.findAll(source.text);
  if (found.length === 0) return source;
  const edit = new TextEdit(source);
  for (let i = 0; i < found.length; i += 2) {
    edit.keepTo(found[i]!);
    edit.skipTo(found[i + 1]!);
    edit.insert(content);
  }
  return edit.finish();
}

/** Spells text as the bytes of its UTF-8, in GPT-2's alphabet. */
export function spellBytes(source: AlignedText): AlignedText {
  const edit = new TextEdit(source);
  const { text } = source;
  while (edit.at < text.length) {
    const code = text.charCodeAt(edit.at);
    if (code < 0x80) edit.replaceNext(BYTE_TO_CHAR[code]!);
    else edit.replaceNext(bytesToAlphabet(encodeUtf8(text.slice(edit.at, edit.at + sizeAt(text, edit.at)))));
  }
  return edit.finish();
}

/** Changes character by character; `undefined` keeps one. */
export function mapCharacters(
  source: AlignedText,
  change: (char: string, point: number) => string | undefined,
): AlignedText {
  const { text } = source;
  let edit: TextEdit | undefined;
  for (let at = 0; at < text.length; ) {
    const point = text.codePointAt(at)!;
    const size = point > 0xffff ? 2 : 1;
    const changed = change(text.slice(at, at + size), point);
    if (changed !== undefined) {
      edit ??= new TextEdit(source);
      edit.keepTo(at);
      if (changed === "") edit.skipTo(at + size);
      else edit.replaceNext(changed);
    }
    at += size;
  }
  return edit ? edit.finish() : source;
}

/** Leaves out white space at the ends. */
export function strip(source: AlignedText, left: boolean, right: boolean): AlignedText {
  const { text } = source;
  let [start, end] = [0, text.length];
  while (left && start < end && isSpace(text.charCodeAt(start))) start++;
  while (right && end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return source.slice(start, end);
}

/** @throws {FormatError} if the value is not a string. */
export function requireString(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  throw new FormatError({ where, expected: "a string", got: describe(value) });
}

function formNormalizer(form: NormalForm): Normalizer {
  return (text) => normalForm(text, form);
}

function lowercase(source: AlignedText): AlignedText {
  return mapCharacters(source, (char) => {
    const lower = lowercaseOf(char);
    return lower === char ? undefined : lower;
  });
}

function removeAll(source: AlignedText, set: SetTest): AlignedText {
  if (isAscii(source.text)) return source;
  return mapCharacters(source, (_, point) => (set.has(point) ? "" : undefined));
}

/** As Google's BERT prepares text (Devlin et al. 2018, `tokenization.py`). */
function bertNormalizer(json: JsonObject): Normalizer {
  const steps: Normalizer[] = [];
  const isLowercase = json.lowercase !== false;
  if (json.clean_text !== false) steps.push(cleanText);
  if (json.handle_chinese_chars !== false) steps.push(spaceChinese);
  if (json.strip_accents ?? isLowercase) {
    steps.push(formNormalizer("NFD"), (text) => removeAll(text, BERT_ACCENTS));
  }
  if (isLowercase) steps.push(lowercase);
  return sequenceOf(steps);
}

function cleanText(source: AlignedText): AlignedText {
  return mapCharacters(source, (_, point) => {
    if (point === 0 || point === 0xfffd || BERT_CONTROLS.has(point)) return "";
    return point !== 0x20 && isSpace(point) ? " " : undefined;
  });
}

function spaceChinese(source: AlignedText): AlignedText {
  if (isAscii(source.text)) return source;
  return mapCharacters(source, (char, point) => (isChinese(point) ? ` ${char} ` : undefined));
}

/**
 * SentencePiece's rules as the Hugging Face library applies them: to graphemes of less than six bytes, else to single
 * characters, and by the shortest rule that begins one.
 */
function mapGraphemes(source: AlignedText, rules: (part: string) => string | undefined): AlignedText {
  const edit = new TextEdit(source);
  for (const grapheme of graphemesOf(source.text)) {
    const whole = grapheme.length < 6 ? rules(grapheme) : undefined;
    if (whole !== undefined) {
      substitute(edit, grapheme, whole);
      continue;
    }
    for (const char of grapheme) {
      const single = char === grapheme ? undefined : rules(char);
      if (single === undefined) edit.keepTo(edit.at + char.length);
      else substitute(edit, char, single);
    }
  }
  return edit.finish();
}

/** The replacement of a grapheme or character of less than six bytes; those met before are remembered, within bounds. */
function rulesOf(charsmap: Charsmap): (part: string) => string | undefined {
  const known = new Map<string, string | undefined>();
  return (part) => {
    if (known.has(part)) return known.get(part);
    const bytes = encodeUtf8(part);
    const found = bytes.length < 6 ? charsmap.match(bytes, 0, bytes.length, "shortest")?.text : undefined;
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(part, found);
    return found;
  };
}

const MAX_KNOWN = 1 << 15;

/** Characters stand for one another in order; one too many for the last one, and what is left over is left out. */
function substitute(edit: TextEdit, old: string, replacement: string): void {
  const oldCount = [...old].length;
  const characters = [...replacement];
  for (const [i, char] of characters.entries()) {
    if (i < oldCount) edit.replaceNext(char);
    else edit.insert(char);
  }
  edit.skip(oldCount - characters.length);
}

/** Code units that are segmented at a time: what the segmenter takes grows with the square of the text. */
const WINDOW = 512;

function* graphemesOf(text: string): Generator<string> {
  const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    const next = at + 1 < text.length ? text.charCodeAt(at + 1) : 0;
    if (code < 0x80 && next < 0x80) {
      const size = code === 0x0d && next === 0x0a ? 2 : 1;
      yield text.slice(at, at + size);
      at += size;
      continue;
    }
    const window = text.slice(at, at + WINDOW);
    const segments = Array.from(segmenter.segment(window), ({ segment }) => segment);
    // The last one may go on behind the window.
    if (at + WINDOW < text.length && segments.length > 1) segments.pop();
    yield* segments;
    for (const segment of segments) at += segment.length;
  }
}

function isSpace(point: number): boolean {
  return CODE_POINT_CLASS[point] === WHITESPACE;
}
