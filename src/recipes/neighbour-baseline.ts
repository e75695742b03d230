import { NO_LABEL } from "../data/masked-rows.ts";
import { type MaskedWindowsOptions, maskedWindows } from "../data/masked-windows.ts";
import type { TokenDataset } from "../data/token-dataset.ts";
import { fillByCounts, type Gap, MAX_NEIGHBOURS } from "../eval/neighbour-counts.ts";
import type { Baseline } from "../train/report.ts";

/** Training tokens that are counted, at most; enough for the score to stop moving. */
const MAX_TRAINING_TOKENS = 2_000_000;
const PIECE = 65_536;

/**
 * What counting alone fills in right of the very tokens that a model is measured on: by up to three visible neighbours to
 * either side, and by always guessing the most common token.
 */
export function scoreNeighbours(
  train: readonly TokenDataset[],
  heldOut: readonly TokenDataset[],
  options: MaskedWindowsOptions,
): [Baseline, Baseline] {
  const gaps = heldOut.flatMap((dataset) => [...findGaps(dataset, options)]);
  const { right, mostCommonRight } = fillByCounts(gaps, readPieces(train), options.vocabulary.size);
  const quality = (count: number) => {
    const maskedAccuracy = count / Math.max(1, gaps.length);
    const standardError = Math.sqrt((maskedAccuracy * (1 - maskedAccuracy)) / Math.max(1, gaps.length));
    return { maskedAccuracy, standardError };
  };
  return [
    { label: `counts of ${MAX_NEIGHBOURS} + ${MAX_NEIGHBOURS} neighbours`, ...quality(right) },
    { label: "most common token", ...quality(mostCommonRight) },
  ];
}

function* findGaps(dataset: TokenDataset, options: MaskedWindowsOptions): Generator<Gap> {
  const { specialIds } = options.vocabulary;
  for (const { tokens, labels, positions, shape } of maskedWindows(dataset, options)) {
    const { contextLength: T, numPredictions: P } = shape;
    for (const [i, token] of labels.entries()) {
      if (token === NO_LABEL) continue;
      const row = Math.floor(i / P);
      const sequence = tokens.subarray(row * T, (row + 1) * T);
      const look = (direction: 1 | -1) => visible(sequence, positions[i]!, direction, specialIds);
      yield { left: look(-1), right: look(1), token };
    }
  }
}

/** Neighbours up to the first that is hidden or special, nearest first. */
function visible(
  sequence: Int32Array,
  at: number,
  direction: 1 | -1,
  specialIds: ReadonlySet<number>,
): number[] {
  const found: number[] = [];
  for (let distance = 1; distance <= MAX_NEIGHBOURS; distance++) {
    const id = sequence[at + direction * distance];
    if (id === undefined || specialIds.has(id)) break;
    found.push(id);
  }
  return found;
}

function* readPieces(datasets: readonly TokenDataset[]): Generator<Int32Array> {
  let left = MAX_TRAINING_TOKENS;
  for (const dataset of datasets) {
    for (let at = 0; at < dataset.numTokens && left > 0; at += PIECE) {
      const piece = new Int32Array(Math.min(PIECE, dataset.numTokens - at, left));
      dataset.read(at, piece.length, piece);
      left -= piece.length;
      yield piece;
    }
  }
}
