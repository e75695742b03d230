// B batch size · T context length

import { ConfigError, DataError } from "../core/errors.ts";
import { type Batch, checkSizes } from "./batches.ts";
import type { TokenDataset } from "./token-dataset.ts";

/** The target that losses leave out. */
export const IGNORED_TARGET = -1;

/** A batch in which some targets may be {@link IGNORED_TARGET}. */
export interface ValidationBatch extends Batch {
  /** How many targets count. */
  readonly numTargets: number;
}

export interface ValidationOptions {
  /**
   * Tokens before each target, at the least, in [1, T]; the first of the split have only what there is. 1
   * (the default) reads the split in windows side by side. More makes windows overlap: each advances by
   * T − minContext + 1 and only its new targets count, so a larger value costs more windows and scores better.
   */
  readonly minContext?: number;
  /** A token not to be scored where it is the target: `<|endoftext|>`, which stands for no bytes of text. */
  readonly unscoredId?: number;
}

/**
 * The whole of a split in order, every token a counted target exactly once, except the very first, which
 * nothing precedes. The last window is filled up with token 0 and the last batch with such rows; targets there
 * are ignored. A split shorter than T is one window.
 *
 * @throws {ConfigError} if a size or `minContext` is out of range.
 * @throws {DataError} if the split has fewer than two tokens.
 */
export function* validationWindows(
  dataset: TokenDataset,
  contextLength: number,
  batchSize: number,
  options: ValidationOptions = {},
): Generator<ValidationBatch> {
  const { minContext = 1, unscoredId } = options;
  checkSizes(batchSize, contextLength);
  if (!(Number.isSafeInteger(minContext) && minContext >= 1 && minContext <= contextLength)) {
    throw new ConfigError({
      where: "minContext",
      expected: `an integer in [1, ${contextLength}]`,
      got: `${minContext}`,
    });
  }
  if (dataset.numTokens < 2) {
    const got = `${dataset.numTokens}`;
    throw new DataError({ where: "validation split", expected: "at least 2 tokens", got });
  }
  const stride = contextLength - minContext + 1;
  const numTargets = dataset.numTokens - 1;
  // Window w scores up to target w · stride + T.
  const numWindows = 1 + Math.max(0, Math.ceil((numTargets - contextLength) / stride));
  for (let first = 0; first < numWindows; first += batchSize) {
    const numRows = Math.min(batchSize, numWindows - first);
    const starts = Array.from({ length: numRows }, (_, row) => (first + row) * stride);
    yield readWindows(dataset, starts, { batchSize, contextLength }, { minContext, unscoredId });
  }
}

/** Rows of the windows that begin at `starts`; the rows beyond those stay empty. */
function readWindows(
  dataset: TokenDataset,
  starts: readonly number[],
  shape: { readonly batchSize: number; readonly contextLength: number },
  options: { readonly minContext: number; readonly unscoredId: number | undefined },
): ValidationBatch {
  const { batchSize, contextLength } = shape;
  const tokens = new Int32Array(batchSize * contextLength); // (B, T)
  const targets = new Int32Array(batchSize * contextLength).fill(IGNORED_TARGET); // (B, T)
  const window = new Int32Array(contextLength + 1); // (T + 1)
  let numTargets = 0;
  for (const [row, start] of starts.entries()) {
    const length = Math.min(contextLength, dataset.numTokens - 1 - start);
    dataset.read(start, length + 1, window);
    tokens.set(window.subarray(0, length), row * contextLength);
    // The window before has scored the targets it shares with this one.
    for (let t = start === 0 ? 0 : options.minContext - 1; t < length; t++) {
      const target = window[t + 1]!;
      if (target === options.unscoredId) continue;
      targets[row * contextLength + t] = target;
      numTargets++;
    }
  }
  return { tokens, targets, numTargets };
}
