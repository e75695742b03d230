import { softmax } from "../core/largest.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { EncoderModel, TokenIds } from "./encoder-model.ts";

export interface NextSentenceOptions {
  /** Cut pairs that are longer than the model reads; they are refused otherwise. */
  readonly truncate?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * For each pair of texts, how probable it is that the second follows the first.
 *
 * @throws {ConfigError} if the model has no head for it.
 * @throws {DataError} if a pair is longer than the model reads and may not be cut.
 * @example
 * const [probability] = await isNextSentence(model, [["It rained.", "The street was wet."]]);
 */
export async function isNextSentence(
  model: EncoderModel,
  pairs: readonly (readonly [text: string, next: string] | TokenIds)[],
  { truncate, signal }: NextSentenceOptions = {},
): Promise<number[]> {
  const pooled = model.head("pooled", "whole texts");
  const logits = model.head("nextSentenceLogits", "next sentences");
  const build = (hidden: Tensor) => ({ scores: logits(pooled(hidden)) });
  const items = model.encode(pairs, { truncate });
  const rows = await model.rows({ name: "next sentence", build }, items, signal);
  return rows.map(({ scores }) => softmax(scores!)[0]!); // BERT's label 0: it follows
}
