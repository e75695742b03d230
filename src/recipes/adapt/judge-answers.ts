import type { Tokenizer } from "../../codecs/tokenizer.ts";
import type { Weights } from "../../core/weights.ts";
import type { Engine } from "../../engine/engine.ts";
import { answerF1 } from "../../eval/metrics/answer-match.ts";
import { Decoder } from "../../generate/decoder.ts";
import { generate, generateBatch } from "../../generate/generate.ts";
import type { CausalLM } from "../../models/contracts.ts";
import type { TaskQuality } from "../../train/quality.ts";
import { renderMistakes } from "../../train/report/mistakes.ts";
import type { Judgement } from "./task.ts";

/** Texts that are continued side by side. */
const ROWS = 4;

/** A held-out prompt, and what should be written. */
export interface Question {
  /** As it is shown. */
  readonly prompt: string;
  /** As the model reads it. */
  readonly ids: ArrayLike<number>;
  readonly completion: string;
  readonly where: string;
}

/** How answers are written. */
export interface AnsweringOptions {
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  /** So many of the questions are asked; the first ones. */
  readonly numJudged: number;
  readonly maxTokens: number;
}

/** Answers questions greedily and compares them with what should have been written, white space at the ends aside. */
export async function judgeAnswers(
  model: CausalLM,
  weights: Weights,
  questions: readonly Question[],
  { engine, tokenizer, numJudged, maxTokens }: AnsweringOptions,
): Promise<Judgement | undefined> {
  const asked = questions.slice(0, numJudged).filter((question) => roomFor(question, model) > 0);
  if (asked.length === 0) return undefined;
  const decoder = new Decoder(engine, model, weights, { rows: Math.min(ROWS, asked.length) });
  try {
    const shortest = Math.min(...asked.map((question) => roomFor(question, model)));
    const written = await generateBatch({
      ...{ decoder, tokenizer, prompts: asked.map(({ ids }) => ids) },
      maxTokens: Math.min(maxTokens, shortest),
      sampling: { temperature: 0 },
    });
    const predictions = asked.map(({ prompt, completion, where }, i) => {
      const answer = written[i]![0]!.text;
      return {
        where,
        prompt,
        expected: completion,
        got: answer,
        isRight: answer.trim() === completion.trim(),
      };
    });
    const wrong = predictions.filter(({ isRight }) => !isRight);
    return {
      quality: exactMatch(predictions),
      sections: [renderMistakes(wrong, predictions.length)],
      predictions,
    };
  } finally {
    decoder.dispose();
  }
}

/** One greedy answer. */
export async function writeAnswer(
  model: CausalLM,
  weights: Weights,
  question: Question,
  { engine, tokenizer, maxTokens }: AnsweringOptions,
): Promise<{ prompt: string; text: string }> {
  const { prompt, ids } = question;
  const room = roomFor(question, model);
  if (room < 1) return { prompt, text: "" };
  const decoder = new Decoder(engine, model, weights);
  try {
    const { text } = await generate({
      ...{ decoder, tokenizer, tokens: ids },
      maxTokens: Math.min(maxTokens, room),
      sampling: { temperature: 0 },
    });
    return { prompt, text };
  } finally {
    decoder.dispose();
  }
}

function roomFor({ ids }: Question, { shape }: CausalLM): number {
  return shape.contextLength - ids.length;
}

interface Answered {
  readonly expected: string;
  readonly got: string;
  readonly isRight: boolean;
}

function exactMatch(answers: readonly Answered[]): TaskQuality {
  const n = answers.length;
  const share = n === 0 ? 0 : answers.filter(({ isRight }) => isRight).length / n;
  const overlap =
    n === 0 ? 0 : answers.reduce((sum, { got, expected }) => sum + answerF1(got, [expected]), 0) / n;
  return {
    metric: "exact match",
    value: share,
    higherIsBetter: true,
    standardError: Math.sqrt((share * (1 - share)) / Math.max(1, n)),
    others: { "F1 of words": overlap },
  };
}
