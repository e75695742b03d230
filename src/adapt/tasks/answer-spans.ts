// How answers are found in a text that a model has scored, for using models and for measuring them alike.

import type { EncodedInput } from "../../codecs/encoded-input.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { ConfigError, DataError } from "../../core/errors.ts";
import { largest, softmax } from "../../core/largest.ts";

/** A question and the text that holds its answer. */
export interface Question {
  readonly question: string;
  readonly context: string;
}

/** A stretch of the context. */
export interface Answer {
  /** Empty for "no answer". */
  readonly text: string;
  /** Where it is in the context: string indices, end exclusive. */
  readonly start: number;
  readonly end: number;
  /** Probability of its first token times that of its last one, in its window. */
  readonly score: number;
}

/** How long contexts are read. */
export interface QuestionWindowOptions {
  /** Most that the model can read. */
  readonly contextLength: number;
  /** Tokens that are read at once, question and special ones included; default 384, or the model's context. */
  readonly maxLength?: number | undefined;
  /** Tokens that a window repeats of the one before, where the context is longer; default 128, or less in small windows. */
  readonly stride?: number | undefined;
}

/** What is read at once by default, as in the reference implementation. */
const DEFAULT_MAX_LENGTH = 384;
const DEFAULT_STRIDE = 128;

/**
 * A question with its context, in windows that overlap where the context is long.
 *
 * @param where names the question in errors
 * @throws {ConfigError} if the length is out of range.
 * @throws {DataError} if a text is empty, or the question leaves no room.
 */
export function questionWindows(
  tokenizer: Tokenizer,
  { question, context }: Question,
  { contextLength, maxLength = Math.min(DEFAULT_MAX_LENGTH, contextLength), stride }: QuestionWindowOptions,
  where: string,
): EncodedInput[] {
  if (!Number.isSafeInteger(maxLength) || maxLength < 1 || maxLength > contextLength) {
    const expected = `an integer in [1, ${contextLength}]`;
    throw new ConfigError({ where: "maxLength", expected, got: `${maxLength}` });
  }
  for (const [name, text] of Object.entries({ question, context })) {
    if (text.trim() !== "") continue;
    const expected = "a text with something in it";
    throw new DataError({ where: `${where}, ${name}`, expected, got: "an empty one" });
  }
  const room = maxLength - tokenizer.encodeInput(question, "").ids.length;
  const shared = stride ?? Math.max(0, Math.min(DEFAULT_STRIDE, Math.floor(room / 2)));
  return tokenizer.encodeWindows(question, context, { maxLength, stride: shared });
}

/** A window with how probable each of its tokens is to be an end of the answer. */
export interface ScoredWindow {
  /** Probability of each token of the window to be the first of the answer, and the last; 0 outside of the context. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** Probability that the window has no answer. */
  readonly none: number;
}

/** Probabilities among the tokens of the context and the first of all, which stands for "no answer". */
export function scoreWindow(
  tokenizer: Tokenizer,
  { ids, sources }: EncodedInput,
  start: Float32Array,
  end: Float32Array,
): ScoredWindow {
  const isFirst = (place: number) => place === 0 && ids[0] === tokenizer.specials.cls;
  const open = Array.from(ids, (_, place) => sources[place] === 1 || isFirst(place));
  const among = (scores: Float32Array) =>
    softmax(open.map((isOpen, place) => (isOpen ? scores[place]! : Number.NEGATIVE_INFINITY)));
  const [starts, ends] = [among(start), among(end)];
  const none = starts[0]! * ends[0]!;
  if (isFirst(0)) [starts[0], ends[0]] = [0, 0];
  return { starts, ends, none };
}

/** How answers are chosen. */
export interface SpanOptions {
  readonly topK: number;
  readonly maxAnswerTokens: number;
  readonly context: string;
}

/** The best answers in a window. They are whole words, although the model judges pieces. */
export function bestSpans(
  tokenizer: Tokenizer,
  { ids, offsets, sources }: EncodedInput,
  { starts, ends }: ScoredWindow,
  { topK, maxAnswerTokens, context }: SpanOptions,
): Answer[] {
  const spans: { readonly first: number; readonly last: number }[] = [];
  for (let first = 0; first < ids.length; first++) {
    if (sources[first] !== 1) continue;
    for (let last = first; last < Math.min(first + maxAnswerTokens, ids.length); last++) {
      if (sources[last] === 1) spans.push({ first, last });
    }
  }
  const scores = spans.map(({ first, last }) => starts[first]! * ends[last]!);
  const isPiece = (place: number) => sources[place] === 1 && /^##./.test(tokenizer.tokenText(ids[place]!));
  return largest(scores, topK).map((best) => {
    let { first, last } = spans[best]!;
    while (isPiece(first) && sources[first - 1] === 1) first--;
    while (last + 1 < ids.length && isPiece(last + 1)) last++;
    const [start, end] = [offsets[first]![0], offsets[last]![1]];
    return { text: context.slice(start, end), start, end, score: scores[best]! };
  });
}
