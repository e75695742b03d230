import { Random } from "../../core/random.ts";
import { type NgramModel, trainNgram } from "../ngram.ts";
import { makePrediction, type Prediction } from "../tasks/prediction.ts";
import type { Task } from "../tasks/task.ts";
import type { TaskExample, TaskExamples } from "../tasks/task-rows.ts";
import { fieldValues, fillTemplate } from "../tasks/template.ts";
import { Bm25 } from "./bm25.ts";

/** What can be had without a network, and its answers to each example. */
export interface TaskBaseline {
  readonly name: string;
  readonly predictions: readonly Prediction[];
}

/** Longest n-gram of bytes. */
const ORDER = 5;

export interface TaskBaselineOptions {
  /** Of the coin; default 1. */
  readonly seed?: number | undefined;
  /** Text that bytes are counted in, such as what a model was pretrained on; default the task's training rows. */
  readonly text?: string | undefined;
}

/**
 * The baselines that suit a task. From training rows, where there are any: the answer that is most common, and the answer of the row that is most similar
 * (BM25). Besides: a copy of part of the question, if the task says which; the sentence most similar to the question; a coin; counts of bytes.
 */
export function taskBaselines(
  task: Task,
  { training, evaluation }: TaskExamples,
  { seed = 1, text = training.map(({ input }) => input).join("\n") }: TaskBaselineOptions = {},
): TaskBaseline[] {
  const counted = (byCounting: (model: NgramModel) => readonly Prediction[]): TaskBaseline[] => {
    if (text === "") return [];
    const model = trainNgram(bytesOf(text), { order: ORDER, vocabularySize: 256 });
    return [{ name: `${ORDER}-gram`, predictions: byCounting(model) }];
  };
  const always = (name: string, answerTo: (example: TaskExample) => string): TaskBaseline => ({
    name,
    predictions: evaluation.map((example) => makePrediction(example, answerTo(example))),
  });
  switch (task.method) {
    case "program":
      return [];
    case "perplexity":
      return counted((model) =>
        evaluation.map((example) =>
          makePrediction(example, "", { likelihood: countText(model, example.input) }),
        ),
      );
    case "pair": {
      const random = new Random(seed).fork("coin");
      const coin = always("coin", ({ expected, row }) =>
        random.integer(2) === 0 ? expected[0]! : fillTemplate(task.contrast!, row),
      );
      const likelier = (model: NgramModel) => (example: TaskExample) => {
        const contrast = fillTemplate(task.contrast!, example.row);
        const isRight = countText(model, example.input).nats < countText(model, contrast).nats;
        return makePrediction(example, isRight ? example.input : contrast);
      };
      return [coin, ...counted((model) => evaluation.map(likelier(model)))];
    }
    case "extract":
      return [...learned(training, always), always("nearest sentence", nearestSentence)];
    default: {
      const { copy } = task;
      const copied = copy === undefined ? [] : [always("copy", ({ row }) => fillTemplate(copy, row))];
      return [...learned(training, always), ...copied];
    }
  }
}

function learned(
  training: readonly TaskExample[],
  always: (name: string, answerTo: (example: TaskExample) => string) => TaskBaseline,
): TaskBaseline[] {
  if (training.length === 0) return [];
  const common = mostCommon(training.map(({ expected }) => expected[0] ?? ""));
  const index = new Bm25(training.map(({ input }) => input));
  const nearest = (input: string) => {
    const place = index.nearest(input);
    return place === undefined ? common : (training[place]!.expected[0] ?? "");
  };
  return [always("majority", () => common), always("retrieval", ({ input }) => nearest(input))];
}

function mostCommon(answers: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  return [...counts].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
}

function nearestSentence({ row, input }: TaskExample): string {
  const sentences = fieldValues("context", row)[0]!.split(/(?<=[.!?])\s+/u);
  return sentences[new Bm25(sentences).nearest(input) ?? 0]!;
}

/** How likely counting finds a text; bytes are its tokens. */
function countText(model: NgramModel, text: string) {
  const bytes = bytesOf(text);
  return { nats: model.totalNats(bytes), bytes: bytes.length, tokens: bytes.length };
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
