import { Random } from "../core/random.ts";
import { emptyMaskedBatch, fillRow, type MaskedBatch, maskedShape } from "./masked-rows.ts";
import { type MaskedOptions, toPassage, windowSize } from "./masked-sampler.ts";
import type { TokenDataset } from "./token-dataset.ts";

/** What is hidden in held-out text depends on nothing but the text, so that runs of any seed are measured alike. */
const SEED = 1;

/** How held-out text is read. */
export interface MaskedWindowsOptions extends MaskedOptions {
  readonly batchSize: number;
  readonly contextLength: number;
  /** The control: the tokens of each window in random order, which leaves a model nothing to read. */
  readonly shuffled?: boolean;
}

/**
 * The whole of a split in order, in windows side by side, with the same tokens hidden each time; every chosen one is
 * `[MASK]`, as in use. The last window is shorter, and the last batch is filled up with empty rows.
 */
export function* maskedWindows(dataset: TokenDataset, options: MaskedWindowsOptions): Generator<MaskedBatch> {
  const { batchSize, contextLength, pairs, vocabulary, shuffled = false } = options;
  const size = windowSize(contextLength, pairs);
  const root = new Random(SEED).fork("held-out masks");
  const numWindows = Math.ceil(dataset.numTokens / size);
  const shape = maskedShape(options, options);
  for (let first = 0; first < numWindows; first += batchSize) {
    const batch = emptyMaskedBatch(shape, vocabulary.padId);
    for (let row = 0; row < Math.min(batchSize, numWindows - first); row++) {
      const start = (first + row) * size;
      const window = new Int32Array(Math.min(size, dataset.numTokens - start));
      dataset.read(start, window.length, window);
      const random = root.fork(`window ${first + row}`);
      const text = shuffled ? shuffle(window, random.fork("order")) : window;
      fillRow(batch, row, toPassage(text, dataset, options, random), options, random, "masked");
    }
    yield batch;
  }
}

function shuffle(window: Int32Array, random: Random): Int32Array {
  return Int32Array.from(random.permutation(window.length), (place) => window[place]!);
}
