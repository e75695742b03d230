import type { EncodedInput } from "../codecs/encoded-input.ts";
import { ConfigError, DataError } from "../core/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { EncoderModel } from "./encoder-model.ts";
import { largest, softmax } from "../core/largest.ts";

/** A question and the text that holds its answer. */
export interface Question {
  readonly question: string;
  readonly context: string;
}

export interface AnswerOptions {
  /** Answers to each question; default 1. */
  readonly topK?: number | undefined;
  /** Longest answer; default 15. */
  readonly maxAnswerTokens?: number | undefined;
  /** Tokens that are read at once, question and special ones included; default 384, or the model's context. */
  readonly maxLength?: number | undefined;
  /** Tokens that a window repeats of the one before, where the context is longer; default 128, or less in small windows. */
  readonly stride?: number | undefined;
  /** "No answer" is one of the answers, for models that were trained to say so. */
  readonly allowNone?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
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

/**
 * The stretches of each context that best answer the question, best first.
 *
 * Contexts of any length are read in windows that overlap.
 *
 * @throws {ConfigError} if the model has no head for it, or an option is out of range.
 * @throws {DataError} if a question leaves no room for its context, or either is empty.
 * @example
 * const [[answer]] = await answerQuestion(model, [{ question: "Who wrote it?", context: "Ada wrote it in 1843." }]);
 * answer; // { text: "Ada", start: 0, end: 3, score: 0.97 }
 */
export async function answerQuestion(
  model: EncoderModel,
  questions: readonly Question[],
  options: AnswerOptions = {},
): Promise<Answer[][]> {
  const { topK = 1, maxAnswerTokens = 15, allowNone = false, signal } = options;
  checkCount("topK", topK);
  checkCount("maxAnswerTokens", maxAnswerTokens);
  const logits = model.head("answerLogits", "answers");
  const windows = questions.map((question, i) => readWindows(model, question, options, i));
  const build = (hidden: Tensor) => logits(hidden);
  const rows = await model.rows({ name: "answer questions", build }, windows.flat(), signal);
  let next = 0;
  return questions.map(({ context }, i) => {
    const found = new Map<string, Answer>();
    let none = 1;
    for (const window of windows[i]!) {
      const { start, end } = rows[next++]!;
      const scored = scoreWindow(model, window, start!, end!);
      none = Math.min(none, scored.none);
      for (const answer of bestSpans(model, window, scored, { topK, maxAnswerTokens, context })) {
        const key = `${answer.start}–${answer.end}`;
        if (answer.score > (found.get(key)?.score ?? -1)) found.set(key, answer);
      }
    }
    const answers = [...found.values(), ...(allowNone ? [{ text: "", start: 0, end: 0, score: none }] : [])];
    return answers.sort((a, b) => b.score - a.score).slice(0, topK);
  });
}

function checkCount(where: string, count: number): void {
  if (Number.isSafeInteger(count) && count >= 1) return;
  throw new ConfigError({ where, expected: "an integer ≥ 1", got: `${count}` });
}

/** What is read at once by default, as in the reference implementation. */
const DEFAULT_MAX_LENGTH = 384;
const DEFAULT_STRIDE = 128;

function readWindows(
  model: EncoderModel,
  { question, context }: Question,
  options: AnswerOptions,
  index: number,
): EncodedInput[] {
  const { contextLength } = model.loaded.model.shape;
  const { maxLength = Math.min(DEFAULT_MAX_LENGTH, contextLength) } = options;
  if (!Number.isSafeInteger(maxLength) || maxLength < 1 || maxLength > contextLength) {
    const expected = `an integer in [1, ${contextLength}]`;
    throw new ConfigError({ where: "maxLength", expected, got: `${maxLength}` });
  }
  for (const [name, text] of Object.entries({ question, context })) {
    if (text.trim() !== "") continue;
    const where = `question ${index + 1}, ${name}`;
    throw new DataError({ where, expected: "a text with something in it", got: "an empty one" });
  }
  const room = maxLength - model.tokenizer.encodeInput(question, "").ids.length;
  const stride = options.stride ?? Math.max(0, Math.min(DEFAULT_STRIDE, Math.floor(room / 2)));
  const windows = model.tokenizer.encodeWindows(question, context, { maxLength, stride });
  for (const window of windows) model.check(window, `question ${index + 1}`, maxLength);
  return windows;
}

interface ScoredWindow {
  /** Probability of each token of the window to be the first of the answer, and the last; 0 outside of the context. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  readonly none: number;
}

/** Probabilities among the tokens of the context and the first of all, which stands for "no answer". */
function scoreWindow(
  model: EncoderModel,
  window: EncodedInput,
  start: Float32Array,
  end: Float32Array,
): ScoredWindow {
  const { ids, sources } = window;
  const isFirst = (place: number) => place === 0 && ids[0] === model.tokenizer.specials.cls;
  const open = Array.from(ids, (_, place) => sources[place] === 1 || isFirst(place));
  const among = (scores: Float32Array) =>
    softmax(open.map((isOpen, place) => (isOpen ? scores[place]! : Number.NEGATIVE_INFINITY)));
  const [starts, ends] = [among(start), among(end)];
  const none = starts[0]! * ends[0]!;
  if (isFirst(0)) [starts[0], ends[0]] = [0, 0];
  return { starts, ends, none };
}

interface SpanOptions {
  readonly topK: number;
  readonly maxAnswerTokens: number;
  readonly context: string;
}

function bestSpans(
  model: EncoderModel,
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
  const isPiece = (place: number) =>
    sources[place] === 1 && /^##./.test(model.tokenizer.tokenText(ids[place]!));
  return largest(scores, topK).map((best) => {
    let { first, last } = spans[best]!;
    // Answers are whole words, although the model judges pieces.
    while (isPiece(first) && sources[first - 1] === 1) first--;
    while (last + 1 < ids.length && isPiece(last + 1)) last++;
    const [start, end] = [offsets[first]![0], offsets[last]![1]];
    return { text: context.slice(start, end), start, end, score: scores[best]! };
  });
}
