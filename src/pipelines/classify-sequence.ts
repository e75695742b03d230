import { ConfigError } from "../core/errors.ts";
import { softmax } from "../core/largest.ts";
import type { ClassificationProblem, SequenceClassifier } from "../models/contracts.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { ClassifierModel } from "./classifier-model.ts";
import type { EncoderModel, EncoderText } from "./encoder-model.ts";

/** What is made of scores: probabilities that add up to 1, one probability a label, or nothing. */
export type ClassificationActivation = "softmax" | "sigmoid" | "none";

const ACTIVATION_OF: Readonly<Record<ClassificationProblem, ClassificationActivation>> = {
  "single-label": "softmax",
  "multi-label": "sigmoid",
  regression: "none",
};

export interface ClassifySequenceOptions {
  /** Default: what the model's problem calls for. */
  readonly activation?: ClassificationActivation | undefined;
  /** Only that many labels, of the highest scores; default: all. */
  readonly topK?: number | undefined;
  /** Cut texts that are longer than the model reads; they are refused otherwise. */
  readonly truncate?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A label and how well it suits: a probability, or for a regression the value itself. */
export interface LabelScore {
  readonly label: string;
  readonly score: number;
}

/**
 * How well each label suits each text, best first.
 *
 * @throws {ConfigError} if the model has no head for it.
 * @throws {DataError} if a text is longer than the model reads and may not be cut.
 * @example
 * const [[best]] = await classifySequence(model, ["What a film!"]);
 * best; // { label: "POSITIVE", score: 0.9998 }
 */
export async function classifySequence(
  model: EncoderModel | ClassifierModel,
  texts: readonly EncoderText[],
  options: ClassifySequenceOptions = {},
): Promise<LabelScore[][]> {
  const classifier = classifierOf(model);
  const { activation = ACTIVATION_OF[classifier.problem], truncate, signal } = options;
  const { topK = classifier.labels.length } = options;
  if (!["softmax", "sigmoid", "none"].includes(activation)) {
    const expected = "one of softmax, sigmoid, none";
    throw new ConfigError({ where: "activation", expected, got: JSON.stringify(activation) });
  }
  if (!Number.isSafeInteger(topK) || topK < 1) {
    throw new ConfigError({ where: "topK", expected: "an integer ≥ 1", got: `${topK}` });
  }
  const rows = await scoreTexts(model, classifier, texts, { truncate, signal });
  return rows.map((scores) => {
    const values = activate(scores, activation);
    const labelled = classifier.labels.map((label, i) => ({ label, score: values[i]! }));
    return labelled.sort((a, b) => b.score - a.score).slice(0, topK);
  });
}

/**
 * What a model sorts texts by.
 *
 * @throws {ConfigError} if it has no head for it.
 */
export function classifierOf(model: EncoderModel | ClassifierModel): SequenceClassifier {
  if (model instanceof ClassifierModel) return model.loaded.model;
  return model.head("sequenceClassifier", "classes of texts");
}

async function scoreTexts(
  model: EncoderModel | ClassifierModel,
  classifier: SequenceClassifier,
  texts: readonly EncoderText[],
  { truncate, signal }: Pick<ClassifySequenceOptions, "truncate" | "signal">,
): Promise<Float32Array[]> {
  if (model instanceof ClassifierModel) return model.scores(texts, { truncate, signal });
  const items = model.encode(texts, { truncate });
  const task = { name: "classify texts", build: (hidden: Tensor) => ({ scores: classifier.logits(hidden) }) };
  const rows = await model.rows(task, items, signal);
  return rows.map(({ scores }) => scores!);
}

function activate(scores: Float32Array, activation: ClassificationActivation): ArrayLike<number> {
  if (activation === "softmax") return softmax(scores);
  return activation === "sigmoid" ? Array.from(scores, (score) => 1 / (1 + Math.exp(-score))) : scores;
}
