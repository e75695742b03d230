// B rows · T tokens

import type { HostTensor } from "../core/dtype.ts";
import { chooseBuckets } from "../data/rows/length-buckets.ts";
import { batchAll, RowBatches, type RowCursor } from "../data/rows/row-batches.ts";
import { IGNORED_TARGET } from "../data/validation-windows.ts";
import type { ExampleStream, Examples } from "../train/objective.ts";
import { joinRows, type PackedRow, packBins } from "./pack-rows.ts";
import type { TrainingRow } from "./training-row.ts";

/** How rows become batches. */
export interface RowBatching {
  /** Most rows of a batch. */
  readonly batchSize: number;
  /** Longest padded row; with packing, the length of all of them. */
  readonly contextLength: number;
  /** Most tokens of a batch, padding counted; shorter rows then come in larger batches, up to `batchSize`. */
  readonly tokenBudget?: number;
  /** Most padded lengths, each of which is compiled once. Default 4. */
  readonly maxBuckets?: number;
  /** Several examples share a row, which takes `PackedNextToken` to keep them apart. Default: each has its own, padded. */
  readonly pack?: boolean;
}

/** Padded lengths are multiples of that many tokens. */
const LENGTH_UNIT = 8;

/**
 * Endless batches for `NextToken`, or packed ones for `PackedNextToken`: every row once an epoch, in a seeded order, rows of similar length
 * together.
 *
 * @throws {ConfigError} if there are no rows, or one is longer than the context.
 * @example
 * const examples = rowStream(rows, { batchSize: 8, contextLength: 256, seed: 1 });
 */
export function rowStream(
  rows: readonly TrainingRow[],
  options: RowBatching & { readonly seed: number },
): ExampleStream<RowCursor> & { readonly batchesPerEpoch: number } {
  const { joined, lengths, buckets } = layRows(rows, options);
  const batches = new RowBatches({ ...batchLimits(options), lengths, buckets, seed: options.seed });
  return {
    batchesPerEpoch: batches.batchesPerEpoch,
    shapes: batches.shapes,
    next: () => {
      const batch = batches.next();
      return padRows(
        batch.rows.map((at) => joined[at]!),
        batch.paddedLength,
        options.pack ?? false,
      );
    },
    state: () => batches.state(),
    restore: (cursor) => batches.restore(cursor),
  };
}

/** The same rows once each, in no particular order: for measuring. */
export function* eachRow(rows: readonly TrainingRow[], options: RowBatching): Generator<Examples> {
  const { joined, lengths, buckets } = layRows(rows, options);
  for (const batch of batchAll({ ...batchLimits(options), lengths, buckets })) {
    yield padRows(
      batch.rows.map((at) => joined[at]!),
      batch.paddedLength,
      options.pack ?? false,
    );
  }
}

function batchLimits({ batchSize, tokenBudget }: RowBatching) {
  return { maxRows: batchSize, ...(tokenBudget !== undefined && { tokenBudget }) };
}

interface LaidRows {
  readonly joined: readonly PackedRow[];
  readonly lengths: readonly number[];
  readonly buckets: readonly number[];
}

function layRows(
  rows: readonly TrainingRow[],
  { contextLength, maxBuckets = 4, pack }: RowBatching,
): LaidRows {
  const own = rows.map(({ tokens }) => tokens.length);
  const bins = pack ? packBins(own, contextLength) : own.map((_, i) => [i]);
  const joined = bins.map((bin) => joinRows(bin.map((row) => rows[row]!)));
  const lengths = joined.map(({ tokens }) => tokens.length);
  const options = { maxBuckets, multiple: LENGTH_UNIT, maxLength: contextLength };
  return { joined, lengths, buckets: pack ? [contextLength] : chooseBuckets(lengths, options) };
}

/**
 * A batch of rows, filled up to one length with tokens that nothing before them can see and that are no targets. Packed ones also say
 * where their examples lie.
 */
export function padRows(rows: readonly PackedRow[], paddedLength: number, pack: boolean): Examples {
  const filled = (of: (row: PackedRow) => Int32Array, filling: number): HostTensor => {
    const data = new Int32Array(rows.length * paddedLength).fill(filling); // (B, T)
    for (const [i, row] of rows.entries()) data.set(of(row), i * paddedLength);
    return { dtype: "int32", shape: [rows.length, paddedLength], data };
  };
  const numTargets = rows.map(({ targets }) =>
    targets.reduce((n, id) => n + Number(id !== IGNORED_TARGET), 0),
  );
  return {
    inputs: {
      tokens: filled(({ tokens }) => tokens, 0),
      targets: filled(({ targets }) => targets, IGNORED_TARGET),
      ...(pack && {
        documents: filled(({ documents }) => documents, -1),
        positions: filled(({ positions }) => positions, 0),
      }),
    },
    numTargets: { nextToken: numTargets },
    contextLength: paddedLength,
  };
}
