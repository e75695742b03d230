import { ConfigError } from "../../core/errors.ts";
import { integer, oneOf, readFields, real } from "../../core/fields.ts";
import type { ClassificationProblem, TaskHead } from "../contracts.ts";

/** Activations between the two linear layers of a block, and in the masked-language head. */
export const BERT_ACTIVATIONS = ["gelu", "gelu-tanh", "relu", "silu"] as const;

/** The shape of a BERT encoder, without its heads. */
export interface BertConfig {
  readonly vocabularySize: number;
  /** Most tokens the model can look at. */
  readonly contextLength: number;
  /** Kinds of segment: 2 where pairs of texts are told apart. */
  readonly numSegments: number;
  readonly width: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Width of the feed-forward hidden layer; 4 × width in every published model. */
  readonly feedForwardSize: number;
  readonly activation: (typeof BERT_ACTIVATIONS)[number];
  readonly layerNormEpsilon: number;
}

/** The heads of a BERT: what stands on its hidden states. */
export interface BertHeads {
  /** A dense layer on the first token; next-sentence and sequence classification stand on it. */
  readonly pooler?: boolean;
  /** Predicts masked tokens, by the table of token embeddings (`tied`) or a matrix of its own. */
  readonly maskedLanguage?: "tied" | "untied";
  readonly nextSentence?: boolean;
  readonly sequenceClassifier?: {
    readonly labels: readonly string[];
    readonly problem: ClassificationProblem;
  };
  readonly tokenClassifier?: { readonly labels: readonly string[] };
  readonly questionAnswering?: boolean;
}

/**
 * Checks a BERT configuration; the fallbacks are those of the published base model.
 *
 * @param where names the configuration in errors
 * @throws {ConfigError} if a key is unknown or out of range, or the width is not a multiple of the heads.
 */
export function bertConfig(given: Partial<BertConfig>, where = "bert"): BertConfig {
  const width = given.width ?? 768;
  const config = readFields<BertConfig>(
    where,
    {
      vocabularySize: integer(1, 2 ** 31 - 1, 30522),
      contextLength: integer(1, 2 ** 31 - 1, 512),
      numSegments: integer(1, 1024, 2),
      width: integer(1, 2 ** 20, 768),
      numLayers: integer(1, 1024, 12),
      numHeads: integer(1, 1024, 12),
      feedForwardSize: integer(1, 2 ** 22, 4 * width),
      activation: oneOf(BERT_ACTIVATIONS, "gelu"),
      layerNormEpsilon: real(0, 1, 1e-12),
    },
    given,
  );
  if (config.width % config.numHeads !== 0) {
    throw new ConfigError({
      where: `${where}.numHeads`,
      expected: `a divisor of width ${config.width}`,
      got: `${config.numHeads}`,
    });
  }
  return config;
}

/**
 * Checks that heads can stand together on one encoder.
 *
 * @throws {ConfigError} if a head lacks the pooler or its labels, or two would have the same name.
 */
export function bertHeads(heads: BertHeads, where = "bert heads"): BertHeads {
  const { pooler, nextSentence, sequenceClassifier, tokenClassifier } = heads;
  const onPooler = nextSentence ? "nextSentence" : sequenceClassifier ? "sequenceClassifier" : undefined;
  if (onPooler && !pooler) {
    throw new ConfigError({ where, expected: `a pooler, on which ${onPooler} stands`, got: "none" });
  }
  if (sequenceClassifier && tokenClassifier) {
    const expected = "one classifier, of sequences or of tokens, as both are published under one name";
    throw new ConfigError({ where, expected, got: "both" });
  }
  const labels = (sequenceClassifier ?? tokenClassifier)?.labels;
  if (labels?.length === 0) throw new ConfigError({ where, expected: "at least one label", got: "none" });
  return heads;
}

/** The heads that a task takes: its own, and what that stands on. */
export function bertHeadsFor(head: TaskHead): BertHeads {
  if (head.kind === "answers") return { questionAnswering: true };
  const { labels } = head;
  if (head.kind === "tokens") return { tokenClassifier: { labels } };
  return { pooler: true, sequenceClassifier: { labels, problem: head.problem } };
}
