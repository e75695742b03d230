// B batch size · T context length

import { ConfigError } from "../core/errors.ts";
import type { WeightedDataset } from "./corpus.ts";
import { checkCursor, type WindowCursor, WindowSampler } from "./window-sampler.ts";

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

/** Where a sampler stands; JSON, for checkpoints. The first three say what it belongs to, as does `numTokens`. */
export interface BatchCursor extends WindowCursor {
  readonly seed: number;
  readonly batchSize: number;
  readonly contextLength: number;
}

/**
 * Endless training batches in seeded order: each row is a window of T tokens, plus one for the last target, as a
 * {@link WindowSampler} draws them.
 *
 * @throws {ConfigError} if a source is shorter than one window, or an option is out of range.
 */
export class BatchSampler {
  readonly #options: BatchSamplerOptions;
  readonly #windows: WindowSampler;

  constructor(options: BatchSamplerOptions) {
    const { batchSize, contextLength, datasets, seed } = options;
    checkSizes(batchSize, contextLength);
    this.#options = options;
    this.#windows = new WindowSampler({ datasets, seed, stride: contextLength, overlap: 1 });
  }

  /** The next batch, in fresh arrays. */
  next(): Batch {
    const { batchSize, contextLength } = this.#options;
    const tokens = new Int32Array(batchSize * contextLength); // (B, T)
    const targets = new Int32Array(batchSize * contextLength); // (B, T)
    const window = new Int32Array(contextLength + 1); // (T + 1)
    for (let row = 0; row < batchSize; row++) {
      this.#windows.next(window);
      tokens.set(window.subarray(0, contextLength), row * contextLength);
      targets.set(window.subarray(1), row * contextLength);
    }
    return { tokens, targets };
  }

  state(): BatchCursor {
    const { seed, batchSize, contextLength } = this.#options;
    return { seed, batchSize, contextLength, ...this.#windows.state() };
  }

  /** @throws {ConfigError} if the cursor belongs to other data or other settings. */
  restore(cursor: BatchCursor): void {
    checkCursor(cursor, this.state(), ["seed", "batchSize", "contextLength", "numTokens"]);
    this.#windows.restore(cursor);
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
