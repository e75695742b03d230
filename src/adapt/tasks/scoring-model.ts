// B texts · T tokens · C width · L labels

import { type HostTensor, hostTensor } from "../../core/dtype.ts";
import { ConfigError } from "../../core/errors.ts";
import type { CausalLM, Encoder, EncoderHeads, EncoderInput, TaskHead } from "../../models/contracts.ts";
import { type DecoderClassifier, lastTokenLogits } from "../../models/decoder-classifier.ts";
import type { Parameter } from "../../nn/scope.ts";
import { reachableNodes } from "../../tensor/graph.ts";
import { input, type Tensor } from "../../tensor/tensor.ts";
import type { BatchShape } from "../../train/objective.ts";

/** A score that leaves no probability. */
const LOW = -1e9;

/** A text as ids. */
export interface TextIds {
  readonly ids: ArrayLike<number>;
  readonly segmentIds: ArrayLike<number>;
}

/** A model and its head as a task sees them: ids in, scores out. */
export interface ScoringModel {
  readonly head: TaskHead;
  /** All parameters that the scores need, as well as those of other heads. */
  readonly parameters: readonly Parameter[];
  /** Those behind the hidden states: what is trained where the body is frozen. */
  readonly headParameters: readonly Parameter[];
  readonly shape: { readonly contextLength: number; readonly width: number };
  /**
   * Scores of a batch by name, from the inputs that {@link feeds} gives: `label`, or the `start` and `end` of answers, which are
   * very low at padding.
   */
  scores(shape: BatchShape): Readonly<Record<string, Tensor>>;
  /**
   * Computes what {@link feeds} needs of these texts besides their ids, where it is not known yet: features of a frozen body. Gives the
   * operations that took.
   */
  prepare?(
    texts: readonly TextIds[],
    batching: { readonly contextLength: number; readonly maxBuckets?: number },
  ): Promise<number>;
  /** The inputs for texts padded to that length. */
  feeds(texts: readonly TextIds[], contextLength: number): Record<string, HostTensor>;
}

/**
 * An encoder with a task's head, perhaps with an adapter on it.
 *
 * @throws {ConfigError} if it has no such head, or several.
 */
export function encoderScores(encoder: Encoder): ScoringModel {
  const { head, score } = readHead(encoder.heads);
  const inputs = ({ batchSize: B, contextLength: T }: BatchShape): EncoderInput => {
    const of = (name: string) => input(name, "int32", [B, T]);
    return { tokens: of("tokens"), segments: of("segments"), mask: of("mask") };
  };
  const tiny = inputs({ batchSize: 1, contextLength: 1 });
  const hidden = encoder.hidden(tiny);
  const { parameters, shape } = encoder;
  return {
    head,
    parameters,
    headParameters: parametersBetween(parameters, hidden, Object.values(score(hidden, tiny.mask))),
    shape,
    scores: (batch) => {
      const read = inputs(batch);
      return score(encoder.hidden(read), read.mask);
    },
    feeds: (texts, contextLength) => ({
      tokens: padded(texts, contextLength, ({ ids }) => ids),
      segments: padded(texts, contextLength, ({ segmentIds }) => segmentIds),
      mask: padded(texts, contextLength, ({ ids }) => new Int32Array(ids.length).fill(1)),
    }),
  };
}

/**
 * A decoder that sorts texts.
 *
 * @param model default: the classifier itself; else it with an adapter on it
 */
export function decoderScores(classifier: DecoderClassifier, model: CausalLM = classifier): ScoringModel {
  const { labels, problem, headParameters } = classifier;
  const { parameters, shape } = model;
  return {
    head: { kind: "sequence", labels, problem },
    parameters,
    headParameters,
    shape,
    scores: ({ batchSize: B, contextLength: T }) => {
      const tokens = input("tokens", "int32", [B, T]);
      return { label: lastTokenLogits(model, tokens, input("lastPlaces", "int32", [B])) };
    },
    feeds: (texts, contextLength) => ({
      tokens: padded(texts, contextLength, ({ ids }) => ids),
      lastPlaces: hostTensor(
        "int32",
        [texts.length],
        Int32Array.from(texts, ({ ids }) => classifier.lastPlace(ids)),
      ),
    }),
  };
}

/** The one head for a task that an encoder has, and its scores by name. */
function readHead({
  sequenceClassifier: texts,
  tokenClassifier: tokens,
  answerLogits: answers,
}: EncoderHeads): {
  readonly head: TaskHead;
  readonly score: (hidden: Tensor, mask: Tensor) => Readonly<Record<string, Tensor>>;
} {
  if (texts && !answers) {
    const { labels, problem } = texts;
    const head = { kind: "sequence", labels, problem } as const;
    return { head, score: (hidden) => ({ label: texts.logits(hidden) }) }; // (B, L)
  }
  if (tokens && !answers) {
    const head = { kind: "tokens", labels: tokens.labels } as const;
    return { head, score: (hidden) => ({ label: tokens.logits(hidden) }) }; // (B, T, L)
  }
  if (answers && !texts && !tokens) {
    return {
      head: { kind: "answers" },
      score: (hidden, mask) => {
        const { start, end } = answers(hidden); // (B, T)
        const low = start.scalar(LOW).broadcastTo(start.shape);
        const isToken = mask.greater(0);
        return { start: isToken.where(start, low), end: isToken.where(end, low) };
      },
    };
  }
  throw new ConfigError({
    where: "encoder",
    expected: "one head, for classes of texts, classes of tokens or answers",
    got: answers ? "several" : "none",
    fix: "Put a new one on it.",
  });
}

/** The parameters that results need, but not what they are computed from. */
export function parametersBetween(
  parameters: readonly Parameter[],
  from: Tensor,
  results: readonly Tensor[],
): readonly Parameter[] {
  const before = new Set(reachableNodes([from]));
  const between = new Set(reachableNodes(results).filter((node) => !before.has(node)));
  return parameters.filter(({ tensor }) => between.has(tensor.node));
}

function padded(
  texts: readonly TextIds[],
  contextLength: number,
  valuesOf: (text: TextIds) => ArrayLike<number>,
): HostTensor {
  const data = new Int32Array(texts.length * contextLength);
  texts.forEach((text, row) => {
    data.set(valuesOf(text), row * contextLength);
  });
  return hostTensor("int32", [texts.length, contextLength], data);
}
