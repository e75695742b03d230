import { ConfigError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import { checkCursor } from "../window-sampler.ts";

/** How rows are put together into batches. */
export interface RowBatchOptions {
  /** Tokens of each row. */
  readonly lengths: ArrayLike<number>;
  /** Padded lengths, ascending; the last holds every row. */
  readonly buckets: readonly number[];
  /** A batch has at most this many rows. */
  readonly maxRows: number;
  /** A batch has at most this many tokens, padding counted; without it only `maxRows` counts. */
  readonly tokenBudget?: number;
  readonly seed: number;
}

/** Rows that go through a model together. */
export interface RowBatch {
  /** Places of the rows in the data. */
  readonly rows: readonly number[];
  readonly paddedLength: number;
}

/** Where a stream of batches stands; JSON. */
export interface RowCursor {
  readonly numRows: number;
  /** Of lengths, buckets and sizes: other data or settings would continue elsewhere. */
  readonly fingerprint: number;
  readonly epoch: number;
  readonly batch: number;
}

/**
 * Endless batches of rows of similar length. Every row comes once an epoch, in an order drawn anew for each. Rows of one bucket fill
 * batches of as many rows as the budget allows; what is left of a bucket goes into a longer one, so that at most one batch an
 * epoch is not full. Batches are shuffled, so that lengths mix. Order is computed from seed and epoch: a cursor is four numbers.
 *
 * @throws {ConfigError} if there are no rows, one is longer than every bucket, or a row alone breaks the budget.
 */
export class RowBatches {
  readonly #options: RowBatchOptions;
  readonly #fingerprint: number;
  #epoch = 0;
  #batch = 0;
  #batches: readonly RowBatch[];

  constructor(options: RowBatchOptions) {
    checkOptions(options);
    this.#options = options;
    this.#fingerprint = fingerprint(options);
    this.#batches = epochBatches(options, 0);
  }

  /** Batches of one epoch. */
  get batchesPerEpoch(): number {
    return this.#batches.length;
  }

  /** Epochs that are done, counting the part of the current one. */
  get epochs(): number {
    return this.#epoch + this.#batch / this.#batches.length;
  }

  /** Rows and padded lengths of this epoch's batches, each pair once. Others differ at most in what is left over at the end. */
  get shapes(): readonly { readonly batchSize: number; readonly contextLength: number }[] {
    const shapes = this.#batches.map(({ rows, paddedLength }) => ({
      batchSize: rows.length,
      contextLength: paddedLength,
    }));
    return [...new Map(shapes.map((shape) => [JSON.stringify(shape), shape])).values()];
  }

  next(): RowBatch {
    if (this.#batch === this.#batches.length) this.#seek(this.#epoch + 1, 0);
    return this.#batches[this.#batch++]!;
  }

  state(): RowCursor {
    const numRows = this.#options.lengths.length;
    return { numRows, fingerprint: this.#fingerprint, epoch: this.#epoch, batch: this.#batch };
  }

  /** @throws {ConfigError} if the cursor is of other rows or settings. */
  restore(cursor: RowCursor): void {
    checkCursor(cursor, this.state(), ["numRows", "fingerprint"]);
    this.#seek(cursor.epoch, cursor.batch);
  }

  #seek(epoch: number, batch: number): void {
    this.#batches = epochBatches(this.#options, epoch);
    this.#epoch = epoch;
    this.#batch = batch;
  }
}

/** All rows once, in batches as large as the budget allows: for measuring, where order does not matter. */
export function batchAll(options: Omit<RowBatchOptions, "seed">): RowBatch[] {
  checkOptions({ ...options, seed: 0 });
  return fillBatches(options, Array(options.lengths.length).keys());
}

function epochBatches(options: RowBatchOptions, epoch: number): RowBatch[] {
  const random = new Random(options.seed).fork(`rows, epoch ${epoch}`);
  const batches = fillBatches(options, random.permutation(options.lengths.length));
  return Array.from(random.permutation(batches.length), (place) => batches[place]!);
}

function fillBatches(options: Omit<RowBatchOptions, "seed">, order: Iterable<number>): RowBatch[] {
  const { lengths, buckets } = options;
  const open: number[][] = buckets.map(() => []);
  const batches: RowBatch[] = [];
  for (const row of order) {
    const bucket = buckets.findIndex((length) => lengths[row]! <= length);
    open[bucket]!.push(row);
    if (open[bucket]!.length < rowsThatFit(options, buckets[bucket]!)) continue;
    batches.push({ rows: open[bucket]!, paddedLength: buckets[bucket]! });
    open[bucket] = [];
  }
  const left: number[] = [];
  for (const [bucket, paddedLength] of buckets.entries()) {
    left.push(...open[bucket]!);
    const size = rowsThatFit(options, paddedLength);
    while (left.length >= size) batches.push({ rows: left.splice(0, size), paddedLength });
  }
  if (left.length > 0) {
    const longest = left.reduce((max, row) => Math.max(max, lengths[row]!), 0);
    batches.push({ rows: left, paddedLength: buckets.find((length) => longest <= length)! });
  }
  return batches;
}

function rowsThatFit(
  { maxRows, tokenBudget = Infinity }: Omit<RowBatchOptions, "seed">,
  length: number,
): number {
  return Math.min(maxRows, Math.floor(tokenBudget / length));
}

function checkOptions(options: RowBatchOptions): void {
  const { lengths, buckets, maxRows, tokenBudget } = options;
  const fail = (where: string, expected: string, got: string): never => {
    throw new ConfigError({ where, expected, got });
  };
  if (lengths.length === 0) fail("rows", "at least one", "none");
  if (!(Number.isSafeInteger(maxRows) && maxRows >= 1)) fail("maxRows", "an integer ≥ 1", `${maxRows}`);
  if (buckets.some((length, i) => length <= (buckets[i - 1] ?? 0))) {
    fail("buckets", "ascending lengths above 0", buckets.join(", "));
  }
  const longest = buckets.at(-1) ?? 0;
  for (let row = 0; row < lengths.length; row++) {
    if (!(lengths[row]! <= longest)) fail(`row ${row}`, `at most ${longest} tokens`, `${lengths[row]}`);
  }
  if (rowsThatFit(options, longest) < 1) {
    fail("tokenBudget", `at least ${longest}, the longest padded row`, `${tokenBudget}`);
  }
}

/** FNV-1a over everything that decides which rows come when. */
function fingerprint({ lengths, buckets, maxRows, tokenBudget = 0, seed }: RowBatchOptions): number {
  let hash = 0x811c9dc5;
  const add = (word: number) => {
    hash = Math.imul(hash ^ word, 0x01000193);
    hash ^= hash >>> 15;
  };
  for (let row = 0; row < lengths.length; row++) add(lengths[row]!);
  for (const word of [...buckets, maxRows, tokenBudget, seed]) add(word);
  return hash >>> 0;
}
