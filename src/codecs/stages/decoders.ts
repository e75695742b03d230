import { FormatError } from "../../core/errors.ts";
import { alphabetToBytes } from "../byte-alphabet.ts";
import { ByteDecoding } from "../byte-decoder.ts";
import { readSplitPattern } from "../regex/split-pattern.ts";
import { describe, type JsonObject, requireArray, requireObject } from "../tokenizer-json.ts";
import { encodeUtf8 } from "../utf8.ts";
import { requireString } from "./normalizers.ts";

/**
 * One step from tokens to text, in a stream: pieces go in one by one, and come out changed, fewer or more. What a step
 * cannot be certain of yet it holds back until the next piece or the end.
 */
export interface DecodingStep {
  push(piece: string): string[];
  flush(): string[];
}

/** Makes a step for each stream. */
export type DecodingStepMaker = () => DecodingStep;

/** Whether pieces are tokens still, or have been fused to a text that came in parts. */
interface Context {
  readonly isFused: boolean;
}

const READERS: Readonly<
  Record<string, (json: JsonObject, where: string, context: Context) => DecodingStepMaker>
> = {
  ByteLevel: () => byteLevel,
  WordPiece: wordPiece,
  Metaspace: metaspace,
  BPEDecoder: (json) => wordSuffix(json.suffix === undefined ? "</w>" : String(json.suffix)),
  ByteFallback: () => () => new ByteFallback(),
  Replace: replace,
  Strip: stripped,
};

/**
 * Reads the `decoder` part of a `tokenizer.json`; null joins the tokens with spaces.
 *
 * @throws {FormatError} if it is not of a known kind.
 */
export function readDecoder(json: unknown, where: string): DecodingStepMaker[] {
  if ((json ?? null) === null) return [eachPiece((piece, isFirst) => (isFirst ? piece : ` ${piece}`))];
  return readSteps(json, where, { isFused: false }).steps;
}

function readSteps(
  json: unknown,
  where: string,
  context: Context,
): { steps: DecodingStepMaker[]; context: Context } {
  const object = requireObject(json, where);
  const { type } = object;
  if (type === "Fuse") return { steps: [], context: { isFused: true } };
  if (type === "Sequence") {
    const steps: DecodingStepMaker[] = [];
    let current = context;
    for (const [i, part] of requireArray(object.decoders, `${where}.decoders`).entries()) {
      const read = readSteps(part, `${where}.decoders[${i}]`, current);
      steps.push(...read.steps);
      current = read.context;
    }
    return { steps, context: current };
  }
  if (typeof type === "string" && Object.hasOwn(READERS, type)) {
    return { steps: [READERS[type]!(object, where, context)], context };
  }
  const expected = `one of Fuse, Sequence, ${Object.keys(READERS).join(", ")}`;
  throw new FormatError({ where: `${where}.type`, expected, got: describe(type) });
}

/** A step that changes every piece by itself. */
export function eachPiece(change: (piece: string, isFirst: boolean) => string): DecodingStepMaker {
  return () => {
    let isFirst = true;
    return {
      push: (piece) => {
        const changed = change(piece, isFirst);
        isFirst = false;
        return [changed];
      },
      flush: () => [],
    };
  };
}

/** The bytes a token of GPT-2's alphabet spells; characters outside of it stand for themselves. */
export function spelledBytes(token: string): Uint8Array {
  return alphabetToBytes(token) ?? encodeUtf8(token);
}

function byteLevel(): DecodingStep {
  let piece = "";
  const decoding = new ByteDecoding(() => spelledBytes(piece));
  return {
    push: (next) => {
      piece = next;
      return [decoding.push(0)];
    },
    flush: () => [decoding.flush()],
  };
}

const CLEANUPS: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** Spaces between words, none before `##`; with `cleanup` none before punctuation, as BERT's tokenizers write. */
function wordPiece(json: JsonObject, where: string): DecodingStepMaker {
  const prefix = requireString(json.prefix ?? "##", `${where}.prefix`);
  const cleans = json.cleanup !== false;
  return eachPiece((piece, isFirst) => {
    const isInner = prefix !== "" && piece.startsWith(prefix);
    const spaced = isFirst ? piece : isInner ? piece.slice(prefix.length) : ` ${piece}`;
    return cleans ? CLEANUPS.reduce((text, [from, to]) => text.replaceAll(from, to), spaced) : spaced;
  });
}

function metaspace(json: JsonObject, where: string): DecodingStepMaker {
  const mark = requireString(json.replacement ?? "▁", `${where}.replacement`);
  const isPrefixed =
    json.prepend_scheme === undefined ? json.add_prefix_space !== false : json.prepend_scheme !== "never";
  return eachPiece((piece, isFirst) => piece.replaceAll(mark, isFirst && isPrefixed ? "" : " "));
}

/** A mark at the end of words becomes a space, except at the end of the text. */
function wordSuffix(suffix: string): DecodingStepMaker {
  return () => {
    let held: string | undefined;
    const change = (piece: string, replacement: string): string =>
      suffix === "" ? piece : piece.replaceAll(suffix, replacement);
    return {
      push: (piece) => {
        if (piece === "") return [];
        const out = held === undefined ? [] : [change(held, " ")];
        held = piece;
        return out;
      },
      flush: () => {
        const out = held === undefined ? [] : [change(held, "")];
        held = undefined;
        return out;
      },
    };
  };
}

function replace(json: JsonObject, where: string, { isFused }: Context): DecodingStepMaker {
  const content = requireString(json.content, `${where}.content`);
  const pattern = readSplitPattern(json.pattern, `${where}.pattern`);
  const change = (text: string): string => {
    const found = pattern.findAll(text);
    let changed = "";
    let done = 0;
    for (let i = 0; i < found.length; i += 2) {
      changed += text.slice(done, found[i]) + content;
      done = found[i + 1]!;
    }
    return changed + text.slice(done);
  };
  return isFused ? () => new Whole(change) : eachPiece(change);
}

/** Leaves out up to `start` and `stop` times a character at the ends: of every piece, or of the fused text. */
function stripped(json: JsonObject, where: string, { isFused }: Context): DecodingStepMaker {
  const char = requireString(json.content, `${where}.content`);
  const [start, stop] = [countOf(json.start, `${where}.start`), countOf(json.stop, `${where}.stop`)];
  const change = (text: string): string => stripEnds(text, char, start, stop);
  if (!isFused) return eachPiece(change);
  return stop > 0 ? () => new Whole(change) : () => stripStart(char, start);
}

function stripEnds(text: string, char: string, start: number, stop: number): string {
  let [from, to] = [0, text.length];
  for (let i = 0; i < start && char !== "" && text.startsWith(char, from); i++) from += char.length;
  for (let i = 0; i < stop && char !== "" && to - char.length >= from && text.endsWith(char); i++) {
    if (!text.startsWith(char, to - char.length)) break;
    to -= char.length;
  }
  return text.slice(from, to);
}

function stripStart(char: string, count: number): DecodingStep {
  let left = char.length === 1 ? count : 0;
  return {
    push: (piece) => {
      let from = 0;
      while (left > 0 && piece[from] === char) {
        from++;
        left--;
      }
      if (from < piece.length) left = 0;
      return [piece.slice(from)];
    },
    flush: () => [],
  };
}

/** Holds everything back: for what only the whole text can tell. */
class Whole implements DecodingStep {
  readonly #change: (text: string) => string;
  #text = "";

  constructor(change: (text: string) => string) {
    this.#change = change;
  }

  push(piece: string): string[] {
    this.#text += piece;
    return [];
  }

  flush(): string[] {
    const changed = this.#change(this.#text);
    this.#text = "";
    return [changed];
  }
}

/**
 * Tokens `<0x0A>` are bytes; the bytes in a row are UTF-8, each that is not becomes U+FFFD (as SentencePiece has it; the
 * Hugging Face library gives up the whole row).
 */
class ByteFallback implements DecodingStep {
  readonly #decoding: ByteDecoding;
  #byte = 0;

  constructor() {
    this.#decoding = new ByteDecoding(() => Uint8Array.of(this.#byte));
  }

  push(piece: string): string[] {
    const digits = /^<0x([0-9A-F]{2})>$/.exec(piece)?.[1];
    if (digits === undefined) return [this.#decoding.flush(), piece];
    this.#byte = Number.parseInt(digits, 16);
    return [this.#decoding.push(0)];
  }

  flush(): string[] {
    return [this.#decoding.flush()];
  }
}

function countOf(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new FormatError({ where, expected: "an integer ≥ 0", got: describe(value) });
}
