// B sequences · T tokens · P predictions a sequence

import type { Random } from "../core/random.ts";
import { chooseMasked, disguise, type MaskingRules, numChosen } from "./masking.ts";

/** Sequences with some tokens hidden, and which they were. Row-major. */
export interface MaskedBatch {
  readonly shape: MaskedShape;
  /** `(B, T)` */
  readonly tokens: Int32Array;
  /** `(B, T)`: 1 in the second text of a pair. */
  readonly segments: Int32Array;
  /** `(B, T)`: 0 at padding. */
  readonly mask: Int32Array;
  /** `(B, P)`: places within their sequence; 0 where fewer were chosen. */
  readonly positions: Int32Array;
  /** `(B, P)`: the token that was there; {@link NO_LABEL} where fewer were chosen. */
  readonly labels: Int32Array;
  /** `(B)`: 1 where the second text does not follow the first, {@link NO_LABEL} where there is no second. */
  readonly isRandom: Int32Array;
}

/** Sizes of a batch. */
export interface MaskedShape {
  readonly batchSize: number;
  readonly contextLength: number;
  readonly numPredictions: number;
}

/** The label of a prediction that does not count. */
export const NO_LABEL = -1;

/** One text, or two. */
export interface Passage {
  readonly first: Int32Array;
  readonly second?: { readonly tokens: Int32Array; readonly isRandom: boolean };
}

/** Special tokens around a passage: `[CLS] A [SEP]`, or `[CLS] A [SEP] B [SEP]`. */
export function numAround(pairs: boolean): number {
  return pairs ? 3 : 2;
}

/** Sizes of a batch of these sequences. */
export function maskedShape(
  sizes: { readonly batchSize: number; readonly contextLength: number },
  options: { readonly fraction: number; readonly pairs: boolean },
): MaskedShape {
  const { batchSize, contextLength } = sizes;
  const numPredictions = numChosen(contextLength - numAround(options.pairs), options.fraction);
  return { batchSize, contextLength, numPredictions };
}

/** A batch of nothing but padding, to be filled row by row. */
export function emptyMaskedBatch(shape: MaskedShape, padId: number): MaskedBatch {
  const { batchSize: B, contextLength: T, numPredictions: P } = shape;
  return {
    shape,
    tokens: new Int32Array(B * T).fill(padId),
    segments: new Int32Array(B * T),
    // A sequence with nothing to look at has no attention weights; so its first token counts as one.
    mask: Int32Array.from({ length: B * T }, (_, at) => Number(at % T === 0)),
    positions: new Int32Array(B * P),
    labels: new Int32Array(B * P).fill(NO_LABEL),
    isRandom: new Int32Array(B).fill(NO_LABEL),
  };
}

/**
 * Writes a passage into one row and hides some of its tokens.
 *
 * @param how `disguised` as in training, or `masked`: each chosen token is `[MASK]`, as in use
 */
export function fillRow(
  batch: MaskedBatch,
  row: number,
  { first, second }: Passage,
  rules: MaskingRules,
  random: Random,
  how: "disguised" | "masked",
): void {
  const { contextLength: T, numPredictions: P } = batch.shape;
  const { clsId, sepId, maskId } = rules.vocabulary;
  const tokens = batch.tokens.subarray(row * T, (row + 1) * T);
  const length = first.length + (second ? second.tokens.length + 3 : 2);
  tokens[0] = clsId;
  tokens.set(first, 1);
  tokens[first.length + 1] = sepId;
  if (second) {
    tokens.set(second.tokens, first.length + 2);
    tokens[length - 1] = sepId;
    batch.segments.fill(1, row * T + first.length + 2, row * T + length);
    batch.isRandom[row] = Number(second.isRandom);
  }
  batch.mask.fill(1, row * T, row * T + length);
  const chosen = chooseMasked(tokens.subarray(0, length), rules, random);
  batch.positions.set(chosen, row * P);
  batch.labels.set(
    chosen.map((at) => tokens[at]!),
    row * P,
  );
  if (how === "disguised") disguise(tokens, chosen, rules.vocabulary, random);
  else for (const at of chosen) tokens[at] = maskId;
}

/**
 * Makes a pair for next-sentence prediction from a window of text: the window's longest stretch within one document is
 * cut in two. Half of the time the second part is replaced by as much text from elsewhere; always, if there is nothing
 * to cut.
 *
 * @param drawElsewhere another window, from the same source
 */
export function cutPair(
  window: Int32Array,
  separatorId: number,
  random: Random,
  drawElsewhere: () => Int32Array,
): Passage {
  const stretch = longestStretch(window, separatorId);
  const isRandom = random.uniform() < 0.5 || stretch.length < 2;
  const cut = stretch.length < 2 ? stretch.length : 1 + random.integer(stretch.length - 1);
  const following = stretch.subarray(cut);
  const elsewhere = isRandom ? longestStretch(drawElsewhere(), separatorId) : following;
  const room = stretch.length < 2 ? window.length - cut : following.length;
  return { first: stretch.subarray(0, cut), second: { tokens: elsewhere.subarray(0, room), isRandom } };
}

function longestStretch(window: Int32Array, separatorId: number): Int32Array {
  let longest = window.subarray(0, 0);
  for (let start = 0; start <= window.length; ) {
    const found = window.indexOf(separatorId, start);
    const end = found < 0 ? window.length : found;
    if (end - start > longest.length) longest = window.subarray(start, end);
    start = end + 1;
  }
  return longest;
}
