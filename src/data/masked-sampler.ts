import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { checkSizes } from "./batches.ts";
import type { WeightedDataset } from "./corpus.ts";
import {
  cutPair,
  emptyMaskedBatch,
  fillRow,
  type MaskedBatch,
  type MaskedShape,
  maskedShape,
  numAround,
  type Passage,
} from "./masked-rows.ts";
import type { MaskingRules } from "./masking.ts";
import type { TokenDataset } from "./token-dataset.ts";
import { checkCursor, type WindowCursor, WindowSampler } from "./window-sampler.ts";

/** How text becomes sequences to fill in. */
export interface MaskedOptions extends MaskingRules {
  /** Two texts a sequence, half of them with a second that does not follow the first. */
  readonly pairs: boolean;
}

export interface MaskedSamplerOptions extends MaskedOptions {
  readonly datasets: readonly WeightedDataset[];
  readonly batchSize: number;
  readonly contextLength: number;
  readonly seed: number;
}

/** Where a sampler stands; JSON, for checkpoints. */
export interface MaskedCursor extends WindowCursor {
  readonly seed: number;
  readonly batchSize: number;
  readonly contextLength: number;
  /** Batches given so far: what is hidden in one follows from the seed and its number. */
  readonly numBatches: number;
}

/**
 * Endless training batches in seeded order, with other tokens hidden each time a text comes up.
 *
 * @throws {ConfigError} if a source is shorter than a sequence, or a sequence has no room for text.
 */
export class MaskedSampler {
  readonly #options: MaskedSamplerOptions;
  readonly #shape: MaskedShape;
  readonly #windows: WindowSampler;
  readonly #windowSize: number;
  readonly #random: Random;
  #numBatches = 0;

  constructor(options: MaskedSamplerOptions) {
    const { batchSize, contextLength, datasets, seed } = options;
    checkSizes(batchSize, contextLength);
    this.#options = options;
    this.#windowSize = windowSize(contextLength, options.pairs);
    this.#shape = maskedShape(options, options);
    this.#windows = new WindowSampler({ datasets, seed, stride: this.#windowSize, overlap: 0 });
    this.#random = new Random(seed).fork("masks");
  }

  /** The next batch, in fresh arrays. */
  next(): MaskedBatch {
    const batch = emptyMaskedBatch(this.#shape, this.#options.vocabulary.padId);
    const window = new Int32Array(this.#windowSize);
    const random = this.#random.fork(`batch ${this.#numBatches++}`);
    for (let row = 0; row < this.#shape.batchSize; row++) {
      const dataset = this.#windows.next(window);
      fillRow(
        batch,
        row,
        toPassage(window, dataset, this.#options, random),
        this.#options,
        random,
        "disguised",
      );
    }
    return batch;
  }

  state(): MaskedCursor {
    const { seed, batchSize, contextLength } = this.#options;
    return { seed, batchSize, contextLength, ...this.#windows.state(), numBatches: this.#numBatches };
  }

  /** @throws {ConfigError} if the cursor belongs to other data or other settings. */
  restore(cursor: MaskedCursor): void {
    checkCursor(cursor, this.state(), ["seed", "batchSize", "contextLength", "numTokens"]);
    this.#windows.restore(cursor);
    this.#numBatches = cursor.numBatches;
  }
}

/** A window as one text, or as a pair; a second text from elsewhere is of the same dataset. */
export function toPassage(
  window: Int32Array,
  dataset: TokenDataset,
  { pairs, vocabulary }: MaskedOptions,
  random: Random,
): Passage {
  if (!pairs) return { first: window };
  return cutPair(window, vocabulary.sepId, random, () => {
    const other = new Int32Array(window.length);
    const size = Math.min(window.length, dataset.numTokens);
    dataset.read(random.integer(dataset.numTokens - size + 1), size, other);
    return other.subarray(0, size);
  });
}

/**
 * Tokens of text in a sequence of that length.
 *
 * @throws {ConfigError} if there is no room for any.
 */
export function windowSize(contextLength: number, pairs: boolean): number {
  const size = contextLength - numAround(pairs);
  if (size >= 2) return size;
  throw new ConfigError({
    where: "contextLength",
    expected: `at least ${numAround(pairs) + 2}: two tokens of text and the special ones around them`,
    got: `${contextLength}`,
  });
}
