import {
  type Answer,
  bestSpans,
  type Question,
  questionWindows,
  scoreWindow,
} from "../adapt/tasks/answer-spans.ts";
import { ConfigError } from "../core/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { EncoderModel } from "./encoder-model.ts";

export type { Answer, Question } from "../adapt/tasks/answer-spans.ts";

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
  const { tokenizer } = model;
  const { contextLength } = model.loaded.model.shape;
  const windows = questions.map((question, i) => {
    const found = questionWindows(tokenizer, question, { ...options, contextLength }, `question ${i + 1}`);
    for (const window of found) model.check(window, `question ${i + 1}`, options.maxLength ?? contextLength);
    return found;
  });
  const build = (hidden: Tensor) => logits(hidden);
  const rows = await model.rows({ name: "answer questions", build }, windows.flat(), signal);
  let next = 0;
  return questions.map(({ context }, i) => {
    const found = new Map<string, Answer>();
    let none = 1;
    for (const window of windows[i]!) {
      const { start, end } = rows[next++]!;
      const scored = scoreWindow(tokenizer, window, start!, end!);
      none = Math.min(none, scored.none);
      for (const answer of bestSpans(tokenizer, window, scored, { topK, maxAnswerTokens, context })) {
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
