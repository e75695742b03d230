import { ConfigError } from "../core/errors.ts";
import { Random, type RandomState } from "../core/random.ts";
import type { WeightedDataset } from "./corpus.ts";
import { ShuffledIndices } from "./shuffled-indices.ts";
import type { TokenDataset } from "./token-dataset.ts";

/** What windows are drawn from, and how large they are. */
export interface WindowSamplerOptions {
  readonly datasets: readonly WeightedDataset[];
  /** Tokens from the beginning of a window to that of the next. */
  readonly stride: number;
  /** Tokens of a window beyond its stride, which it shares with the next. */
  readonly overlap: 0 | 1;
  readonly seed: number;
}

/** Where a sampler stands; JSON. */
export interface WindowCursor {
  readonly numTokens: readonly number[];
  /** The generator that chooses the source of each window. */
  readonly mixer: RandomState;
  /** For each source, how often it was read through, and how many windows of this epoch are done. */
  readonly positions: readonly { readonly epoch: number; readonly window: number }[];
}

/**
 * Endless windows of tokens in seeded order.
 *
 * Each source is cut into windows side by side, beginning at a random phase in [0, stride), and read once in random
 * order; then again from another phase in another order. The source of each window is drawn by weight. The order is
 * computed, not stored, so nothing grows with the corpus, and a cursor is a few numbers: a sampler restored from it
 * gives exactly the windows that would have followed.
 *
 * @throws {ConfigError} if there is no source, one is shorter than a window, or a weight is not above 0.
 */
export class WindowSampler {
  readonly #sources: SourceWindows[];
  readonly #cumulativeWeights: readonly number[];
  #mixer: Random;

  constructor(options: WindowSamplerOptions) {
    if (options.datasets.length === 0) {
      throw new ConfigError({ where: "datasets", expected: "at least one dataset", got: "none" });
    }
    const root = new Random(options.seed);
    this.#sources = options.datasets.map(
      ({ dataset }, index) => new SourceWindows(dataset, options, root.fork(`source ${index}`)),
    );
    let sum = 0;
    this.#cumulativeWeights = options.datasets.map(({ weight }) => {
      if (!(weight > 0)) throw new ConfigError({ where: "weight", expected: "above 0", got: `${weight}` });
      sum += weight;
      return sum;
    });
    this.#mixer = root.fork("mixture");
  }

  /** Fills an array of stride + overlap tokens, and returns the dataset they are from. */
  next(into: Int32Array): TokenDataset {
    const source = this.#drawSource();
    source.readNext(into);
    return source.dataset;
  }

  state(): WindowCursor {
    return {
      numTokens: this.#sources.map(({ dataset }) => dataset.numTokens),
      mixer: this.#mixer.state(),
      positions: this.#sources.map((source) => source.position()),
    };
  }

  /** The cursor has to be of the same datasets, which {@link checkCursor} tells. */
  restore(cursor: WindowCursor): void {
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

/**
 * Compares what a saved cursor belongs to with what its reader is.
 *
 * @throws {ConfigError} at the first key that differs.
 */
export function checkCursor<C extends object>(saved: C, own: C, keys: readonly (keyof C & string)[]): void {
  for (const key of keys) {
    if (String(saved[key]) === String(own[key])) continue;
    throw new ConfigError({
      where: `data cursor ${key}`,
      expected: `${saved[key]}, as when it was saved`,
      got: `${own[key]}`,
      fix: "Resume with the same data and settings.",
    });
  }
}

/** The windows of one source, epoch after epoch. */
class SourceWindows {
  readonly dataset: TokenDataset;
  readonly #stride: number;
  readonly #overlap: number;
  readonly #random: Random;
  #epoch = 0;
  #window = 0;
  #phase = 0;
  #order: ShuffledIndices;

  constructor(dataset: TokenDataset, { stride, overlap }: WindowSamplerOptions, random: Random) {
    if (dataset.numTokens < stride + overlap) {
      const why = overlap ? "a window needs one more than its length" : "a window has to fit";
      throw new ConfigError({
        where: "contextLength",
        expected: `at most ${dataset.numTokens - overlap}, as a training source has ${dataset.numTokens} tokens and ${why}`,
        got: `${stride}`,
        fix: "Shorten the context or give more text.",
      });
    }
    this.dataset = dataset;
    this.#stride = stride;
    this.#overlap = overlap;
    this.#random = random;
    this.#order = this.#beginEpoch(0);
  }

  /** Fills an array of one window's size. */
  readNext(into: Int32Array): void {
    if (this.#window === this.#order.length) this.seek(this.#epoch + 1, 0);
    const start = this.#phase + this.#order.at(this.#window++) * this.#stride;
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
    const numStarts = this.dataset.numTokens - this.#overlap - this.#stride + 1;
    // Data barely longer than a window leaves fewer phases than its stride.
    this.#epoch = epoch;
    this.#phase = random.integer(Math.min(this.#stride, numStarts));
    const numWindows = Math.floor((this.dataset.numTokens - this.#overlap - this.#phase) / this.#stride);
    return new ShuffledIndices(numWindows, random);
  }
}
