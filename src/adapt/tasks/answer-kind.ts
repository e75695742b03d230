// B windows

import type { EncodedInput } from "../../codecs/encoded-input.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { hostTensor } from "../../core/dtype.ts";
import { answerF1, answerMatches } from "../../eval/metrics/answer-match.ts";
import { input } from "../../tensor/tensor.ts";
import { type Answer, bestSpans, type Question, scoreWindow } from "./answer-spans.ts";
import type { TaskKind, TaskPrediction, TaskRow } from "./task-kind.ts";
import { answerLoss } from "./task-losses.ts";
import { errorOf, refuseSmoothing } from "./text-kinds.ts";

/** A window of a context and where the answer is in it: at `[CLS]`, place 0, where it is not. */
export interface AnswerTarget {
  readonly window: EncodedInput;
  /** Places of its first and its last token. */
  readonly start: number;
  readonly end: number;
  readonly asked: AskedQuestion;
}

/** A question whose context may be cut into several windows; they share this object. */
export interface AskedQuestion extends Question {
  /** Every right answer; none where there is none. */
  readonly right: readonly string[];
}

/** The best answer in a window, and how probable it is that there is none. */
export interface WindowAnswer {
  readonly best: Answer | undefined;
  readonly none: number;
}

/** How answers are read from scores. */
export interface AnswerReading {
  /** Longest answer; default 15. */
  readonly maxAnswerTokens?: number;
  /** That the text has no answer is one of the answers; default false. */
  readonly allowNone?: boolean;
}

/** The part of a text that answers a question, measured as SQuAD does. */
export function answerSpans(
  tokenizer: Tokenizer,
  { maxAnswerTokens = 15, allowNone = false }: AnswerReading = {},
): TaskKind<AnswerTarget, WindowAnswer> {
  return {
    name: "answer",
    loss: ({ start, end }, { batchSize: B }, labelSmoothing) => {
      refuseSmoothing("finding answers", labelSmoothing);
      const places = { start: input("starts", "int32", [B]), end: input("ends", "int32", [B]) };
      return answerLoss({ start: start!, end: end! }, places);
    },
    feeds: (targets) => ({
      starts: hostTensor(
        "int32",
        [targets.length],
        Int32Array.from(targets, ({ start }) => start),
      ),
      ends: hostTensor(
        "int32",
        [targets.length],
        Int32Array.from(targets, ({ end }) => end),
      ),
    }),
    weightOf: () => 1,
    read: ({ start, end }, { target: { window, asked } }) => {
      const scored = scoreWindow(tokenizer, window, start!, end!);
      const options = { topK: 1, maxAnswerTokens, context: asked.context };
      return { best: bestSpans(tokenizer, window, scored, options)[0], none: scored.none };
    },
    conclude: (rows, readings) => {
      const predictions = joinWindows(rows, readings, allowNone);
      const n = predictions.length;
      const share = predictions.filter(({ isRight }) => isRight).length / n;
      const overlap = predictions.reduce((sum, { overlap }) => sum + overlap, 0) / n;
      return {
        quality: {
          ...{ metric: "exact match", value: share, higherIsBetter: true },
          ...{ standardError: errorOf(share, n), others: { F1: overlap } },
        },
        predictions: predictions.map(({ overlap: _, ...prediction }) => prediction),
      };
    },
  };
}

/** One prediction a question: the best answer of all its windows. */
function joinWindows(
  rows: readonly TaskRow<AnswerTarget>[],
  readings: readonly WindowAnswer[],
  allowNone: boolean,
): (TaskPrediction & { readonly overlap: number })[] {
  const byQuestion = new Map<AskedQuestion, { where: string; best: Answer | undefined; none: number }>();
  for (const [i, { target, where }] of rows.entries()) {
    const { best, none } = readings[i]!;
    const known = byQuestion.get(target.asked);
    const isBetter = best && best.score > (known?.best?.score ?? -1);
    byQuestion.set(target.asked, {
      where,
      best: isBetter ? best : known?.best,
      none: Math.min(none, known?.none ?? 1),
    });
  }
  return [...byQuestion].map(([{ question, right }, { where, best, none }]) => {
    const isNone = best === undefined || (allowNone && none > best.score);
    const predicted = isNone ? "" : best.text;
    const isRight = right.length === 0 ? predicted === "" : answerMatches(predicted, right);
    return {
      ...{ where, text: question, expected: right.join(" | ") || "no answer", predicted, isRight },
      confidence: isNone ? none : best.score,
      overlap: right.length === 0 ? Number(isRight) : answerF1(predicted, right),
    };
  });
}
