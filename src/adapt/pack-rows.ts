import { ConfigError } from "../core/errors.ts";
import { rowTargets, type TrainingRow } from "./training-row.ts";

/** Several examples one after the other, as long as all of them together. */
export interface PackedRow {
  readonly tokens: Int32Array;
  /** What each token is followed by in its own example, where that is learnt. */
  readonly targets: Int32Array;
  /** Which of the row's examples each token is of, from 0. */
  readonly documents: Int32Array;
  /** The token's place in its example, from 0. */
  readonly positions: Int32Array;
}

/**
 * Puts rows into as few bins of `capacity` tokens as best-fit decreasing does (at most 11/9 of the fewest and one; Johnson 1974):
 * the longest first, each where it leaves the least room.
 *
 * @returns for each bin the places of its rows
 * @throws {ConfigError} if a row is longer than the capacity.
 * @example
 * packBins([3, 5, 2, 6], 8); // => [[3, 2], [1, 0]]
 */
export function packBins(lengths: ArrayLike<number>, capacity: number): number[][] {
  const order = Array.from(lengths, (_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const bins: number[][] = [];
  /** Bins with so much room left. */
  const withRoom: number[][] = Array.from({ length: capacity + 1 }, () => []);
  for (const row of order) {
    const length = lengths[row]!;
    if (!(length <= capacity)) {
      const expected = `at least the ${length} tokens of row ${row}`;
      throw new ConfigError({ where: "capacity", expected, got: `${capacity}` });
    }
    let room = length;
    while (room <= capacity && withRoom[room]!.length === 0) room++;
    const bin = withRoom[room]?.pop() ?? bins.push([]) - 1;
    bins[bin]!.push(row);
    withRoom[Math.min(room, capacity) - length]!.push(bin);
  }
  return bins;
}

/** Joins rows to one. */
export function joinRows(rows: readonly TrainingRow[]): PackedRow {
  const join = (of: (row: TrainingRow, i: number) => ArrayLike<number>) => {
    const joined = new Int32Array(rows.reduce((sum, { tokens }) => sum + tokens.length, 0));
    let at = 0;
    for (const [i, row] of rows.entries()) {
      joined.set(of(row, i), at);
      at += row.tokens.length;
    }
    return joined;
  };
  return {
    tokens: join(({ tokens }) => tokens),
    targets: join(rowTargets),
    documents: join(({ tokens }, i) => new Int32Array(tokens.length).fill(i)),
    positions: join(({ tokens }) => tokens.map((_, at) => at)),
  };
}
