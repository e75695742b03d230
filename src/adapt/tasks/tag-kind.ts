// B texts · T tokens · L labels

import { hostTensor } from "../../core/dtype.ts";
import { accuracy } from "../../eval/metrics/classification.ts";
import { spanQuality } from "../../eval/metrics/spans.ts";
import { input } from "../../tensor/tensor.ts";
import type { TaskQuality } from "../../train/quality.ts";
import type { TaskKind } from "./task-kind.ts";
import { classLoss, IGNORED_LABEL } from "./task-losses.ts";
import { errorOf } from "./text-kinds.ts";

/** The tags of a text's words, and the places of the tokens that carry them: of each word, its first. */
export interface TagTarget {
  /** Numbers of the tags, of the words that have a token. */
  readonly tags: readonly number[];
  readonly places: readonly number[];
}

/**
 * A tag for each word, carried by its first token; the others count neither in training nor in measuring. Tags such as `B-PER`, `I-PER`,
 * `O` are measured by the spans they mark, others by the share that is right.
 *
 * @param weights how much the words of each tag count
 */
export function wordTags(
  labels: readonly string[],
  weights?: readonly number[],
): TaskKind<TagTarget, readonly number[]> {
  const L = labels.length;
  const marksSpans = labels.every((label) => /^(?:O|[BIES]-.+)$/.test(label));
  return {
    name: "tags",
    loss: ({ label }, { batchSize: B, contextLength: T }, labelSmoothing) => {
      const targets = input("labels", "int32", [B, T]).reshape([B * T]);
      return classLoss(label!.reshape([B * T, L]), targets, { weights, labelSmoothing });
    },
    feeds: (targets, contextLength) => {
      const data = new Int32Array(targets.length * contextLength).fill(IGNORED_LABEL); // (B, T)
      targets.forEach(({ tags, places }, row) => {
        places.forEach((place, i) => {
          data[row * contextLength + place] = tags[i]!;
        });
      });
      return { labels: hostTensor("int32", [targets.length, contextLength], data) };
    },
    weightOf: ({ tags }) => tags.reduce((sum, tag) => sum + (weights?.[tag] ?? 1), 0),
    read: ({ label }, { target }) =>
      target.places.map((place) => {
        const scores = label!.subarray(place * L, (place + 1) * L);
        return scores.indexOf(Math.max(...scores));
      }),
    conclude: (rows, readings) => {
      const namesOf = (tags: readonly number[]) => tags.map((tag) => labels[tag]!);
      const texts = rows.map(({ target }, i) => ({
        expected: namesOf(target.tags),
        predicted: namesOf(readings[i]!),
      }));
      const predictions = rows.map(({ where, text }, i) => {
        const [expected, predicted] = [texts[i]!.expected.join(" "), texts[i]!.predicted.join(" ")];
        return { where, text, expected, predicted, isRight: expected === predicted };
      });
      const words = texts.flatMap(({ expected, predicted }) =>
        expected.map((tag, i) => ({ expected: tag, predicted: predicted[i]! })),
      );
      const share = accuracy(words);
      return { quality: marksSpans ? qualityOfSpans() : qualityOfWords(), predictions };

      function qualityOfSpans(): TaskQuality {
        const { precision, recall, f1 } = spanQuality(texts);
        const others = { precision, recall, "word accuracy": share };
        return { metric: "span F1", value: f1, higherIsBetter: true, others };
      }

      function qualityOfWords(): TaskQuality {
        const standardError = errorOf(share, words.length);
        return { metric: "word accuracy", value: share, higherIsBetter: true, standardError };
      }
    },
  };
}
