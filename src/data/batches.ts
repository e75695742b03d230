// B batch size · T context length

import { ConfigError } from "../core/errors.ts";
import { Random, type RandomState } from "../core/random.ts";
import type { WeightedDataset } from "./corpus.ts";
import { ShuffledIndices } from "./shuffled-indices.ts";
import type { TokenDataset } from "./token-dataset.ts";

/** Rows of tokens and, at each position, the token that follows. Both `(B, T)`, row-major. */
export interface Batch {
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
}

export interface BatchSamplerOptions {
  readonly datasets: readonly WeightedDataset[];
  readonly batchSize: number;
  readonly contextLength: number;
  readonly seed: number;
}

/** Where a sampler stands; JSON, for checkpoints. The first four say what it belongs to. */
export interface BatchCursor {
  readonly seed: number;
  readonly batchSize: number;
  readonly contextLength: number;
  readonly numTokens: readonly number[];
  /** The generator that chooses the source of each row. */
  readonly mixer: RandomState;
  /** For each source, how often it was read through, and how many windows of this epoch are done. */
  readonly positions: readonly { readonly epoch: number; readonly window: number }[];
}

/**
 * Endless training batches in seeded order.
 *
 * Each source is cut into windows of T tokens (plus one for the last target), beginning at a random phase in
 * [0, T), and read once in random order; then again from another phase in another order. Each row's source is
 * drawn by weight. The order is computed, not stored, so nothing grows with the corpus, and a cursor is a few
 * numbers: a sampler restored from it gives exactly the batches that would have followed.
 *
 * @throws {ConfigError} if a source is shorter than one window, or an option is out of range.
 */
export class BatchSampler {
  readonly #options: BatchSamplerOptions;
  readonly #sources: SourceWindows[];
  readonly #cumulativeWeights: readonly number[];
  #mixer: Random;

  constructor(options: BatchSamplerOptions) {
    checkSizes(options.batchSize, options.contextLength);
    if (options.datasets.length === 0) {
      throw new ConfigError({ where: "datasets", expected: "at least one dataset", got: "none" });
    }
    const root = new Random(options.seed);
    this.#options = options;
    this.#sources = options.datasets.map(
      ({ dataset }, index) => new SourceWindows(dataset, options.contextLength, root.fork(`source ${index}`)),
    );
    let sum = 0;
    this.#cumulativeWeights = options.datasets.map(({ weight }) => {
      if (!(weight > 0)) throw new ConfigError({ where: "weight", expected: "above 0", got: `${weight}` });
      sum += weight;
      return sum;
    });
    this.#mixer = root.fork("mixture");
  }

  /** The next batch, in fresh arrays. */
  next(): Batch {
    const { batchSize, contextLength } = this.#options;
    const tokens = new Int32Array(batchSize * contextLength); // (B, T)
    const targets = new Int32Array(batchSize * contextLength); // (B, T)
    const window = new Int32Array(contextLength + 1); // (T + 1)
    for (let row = 0; row < batchSize; row++) {
      this.#drawSource().readNext(window);
      tokens.set(window.subarray(0, contextLength), row * contextLength);
      targets.set(window.subarray(1), row * contextLength);
    }
    return { tokens, targets };
  }

  state(): BatchCursor {
    const { seed, batchSize, contextLength } = this.#options;
    return {
      ...{ seed, batchSize, contextLength },
      numTokens: this.#sources.map(({ dataset }) => dataset.numTokens),
      mixer: this.#mixer.state(),
      positions: this.#sources.map((source) => source.position()),
    };
  }

  /** @throws {ConfigError} if the cursor belongs to other data or other settings. */
  restore(cursor: BatchCursor): void {
    const own = this.state();
    for (const key of ["seed", "batchSize", "contextLength", "numTokens"] as const) {
      if (String(cursor[key]) !== String(own[key])) {
        throw new ConfigError({
          where: `data cursor ${key}`,
          expected: `${cursor[key]}, as when it was saved`,
          got: `${own[key]}`,
          fix: "Resume with the same data and settings.",
        });
      }
    }
    this.#mixer = Random.fromState(cursor.mixer);
    for (const [index, { epoch, window }] of cursor.positions.entries()) {
      this.#sources[index]!.seek(epoch, window);
    }
  }

  #drawSource(): SourceWindows {
    const last = this.#sources.length - 1;
    const point = this.#mixer.uniform() * this.#cumulativeWeights[last]!;
    const index = this.#cumulativeWeights.findIndex((sum) => point < sum);
    return this.#sources[index < 0 ? last : index]!;
  }
}

/** The windows of one source, epoch after epoch. */
class SourceWindows {
  readonly dataset: TokenDataset;
  readonly #contextLength: number;
  readonly #random: Random;
  #epoch = 0;
  #window = 0;
  #phase = 0;
  #order: ShuffledIndices;

  constructor(dataset: TokenDataset, contextLength: number, random: Random) {
    if (dataset.numTokens < contextLength + 1) {
      throw new ConfigError({
        where: "contextLength",
        expected: `at most ${dataset.numTokens - 1}, as a training source has ${dataset.numTokens} tokens and a window needs one more than its length`,
        got: `${contextLength}`,
        fix: "Shorten the context or give more text.",
      });
    }
    this.dataset = dataset;
    this.#contextLength = contextLength;
    this.#random = random;
    this.#order = this.#beginEpoch(0);
  }

  /** Fills an array of T + 1 tokens. */
  readNext(into: Int32Array): void {
    if (this.#window === this.#order.length) this.seek(this.#epoch + 1, 0);
    const start = this.#phase + this.#order.at(this.#window++) * this.#contextLength;
    this.dataset.read(start, into.length, into);
  }

  position(): { epoch: number; window: number } {
    return { epoch: this.#epoch, window: this.#window };
  }

  seek(epoch: number, window: number): void {
    this.#order = this.#beginEpoch(epoch);
    this.#window = window;
  }

  #beginEpoch(epoch: number): ShuffledIndices {
    const random = this.#random.fork(`epoch ${epoch}`);
    // Data barely longer than a window leaves fewer phases than T.
    const numPhases = Math.min(this.#contextLength, this.dataset.numTokens - this.#contextLength);
    this.#epoch = epoch;
    this.#phase = random.integer(numPhases);
    const numWindows = Math.floor((this.dataset.numTokens - 1 - this.#phase) / this.#contextLength);
    return new ShuffledIndices(numWindows, random);
  }
}

/** @throws {ConfigError} unless both are positive integers. */
export function checkSizes(batchSize: number, contextLength: number): void {
  for (const [where, value] of Object.entries({ batchSize, contextLength })) {
    if (!(Number.isSafeInteger(value) && value >= 1)) {
      throw new ConfigError({ where, expected: "an integer ≥ 1", got: `${value}` });
    }
  }
}
