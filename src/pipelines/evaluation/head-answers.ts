import { ConfigError } from "../../core/errors.ts";
import { makePrediction, type Prediction } from "../../eval/tasks/prediction.ts";
import { fieldValues } from "../../eval/tasks/template.ts";
import { answerQuestion } from "../answer-question.ts";
import type { ClassifierModel } from "../classifier-model.ts";
import { classifierOf, classifySequence } from "../classify-sequence.ts";
import { EncoderModel } from "../encoder-model.ts";
import type { AnswerRequest } from "./decoder-answers.ts";

/**
 * A model's answers by its head, in the order of the examples: those of an encoder, or of a decoder that sorts texts.
 *
 * @throws {ConfigError} if such models cannot do the task, the model has no head for it, or its labels are others.
 * @throws {DataError} if a text is longer than the model reads and may not be cut.
 */
export async function headAnswers(
  model: EncoderModel | ClassifierModel,
  { task, examples, labels, signal }: AnswerRequest,
  truncate: boolean,
): Promise<Prediction[]> {
  if (task.method === "choice") {
    const known = classifierOf(model).labels;
    if (!known.some((label) => labels.includes(label))) {
      const expected = `a model with the labels of task ${task.name}, such as ${labels[0]}`;
      throw new ConfigError({ where: model.loaded.directory, expected, got: `labels such as ${known[0]}` });
    }
    const texts = examples.map(({ input }) => input);
    const found = await classifySequence(model, texts, { truncate, signal });
    return examples.map((example, i) => {
      const probabilities = Object.fromEntries(found[i]!.map(({ label, score }) => [label, score]));
      return makePrediction(example, found[i]![0]!.label, { probabilities });
    });
  }
  if (task.method === "extract" && model instanceof EncoderModel) {
    const questions = examples.map(({ row, input }) => ({
      question: input,
      context: fieldValues("context", row)[0]!,
    }));
    const found = await answerQuestion(model, questions, { signal });
    return examples.map((example, i) => makePrediction(example, found[i]![0]?.text ?? ""));
  }
  throw new ConfigError({
    where: `task ${task.name}`,
    expected: "a model that predicts the next token",
    got: model instanceof EncoderModel ? "an encoder" : "a decoder with a head that sorts texts",
    fix: "Encoders do tasks of choice and extraction; decoders with a head those of choice.",
  });
}
