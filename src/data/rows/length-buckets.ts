import { ConfigError } from "../../core/errors.ts";

/** How padded lengths are chosen. */
export interface BucketOptions {
  /** Most different lengths: each costs a compiled program. */
  readonly maxBuckets: number;
  /** Lengths are multiples of this. */
  readonly multiple: number;
  /** Longest length allowed, which need not be a multiple. */
  readonly maxLength: number;
}

/**
 * The few padded lengths that waste the least: among all choices of at most `maxBuckets` lengths, one with the smallest sum of
 * padded tokens over all rows, found by dynamic programming over the lengths that occur.
 *
 * @param lengths tokens of each row, none above `maxLength`
 * @throws {ConfigError} if there are no rows, or one is longer.
 * @example
 * chooseBuckets([3, 4, 20, 21], { maxBuckets: 2, multiple: 4, maxLength: 64 }); // => [4, 24]
 */
export function chooseBuckets(lengths: ArrayLike<number>, options: BucketOptions): number[] {
  const { maxBuckets, multiple, maxLength } = options;
  const counts = new Map<number, number>();
  for (let i = 0; i < lengths.length; i++) {
    if (!(lengths[i]! <= maxLength)) {
      throw new ConfigError({ where: "maxLength", expected: `at least ${lengths[i]}`, got: `${maxLength}` });
    }
    const padded = Math.min(Math.max(1, Math.ceil(lengths[i]! / multiple)) * multiple, maxLength);
    counts.set(padded, (counts.get(padded) ?? 0) + 1);
  }
  if (counts.size === 0)
    throw new ConfigError({ where: "lengths", expected: "at least one row", got: "none" });
  const candidates = [...counts.keys()].sort((a, b) => a - b);
  return cheapest(
    candidates,
    candidates.map((length) => counts.get(length)!),
    maxBuckets,
  );
}

/**
 * `cost[k][j]`: fewest padded tokens of all rows up to candidate j in k buckets, the last of which ends at j.
 */
function cheapest(candidates: readonly number[], counts: readonly number[], maxBuckets: number): number[] {
  const rowsBefore = [0];
  for (const count of counts) rowsBefore.push(rowsBefore.at(-1)! + count);
  let cost = candidates.map((length, j) => rowsBefore[j + 1]! * length);
  const previous: number[][] = [];
  for (let k = 1; k < Math.min(maxBuckets, candidates.length); k++) {
    const origins: number[] = [];
    cost = candidates.map((length, j) => {
      let best = cost[j]!;
      origins[j] = -1; // one bucket fewer is no worse
      for (let i = 0; i < j; i++) {
        const candidate = cost[i]! + (rowsBefore[j + 1]! - rowsBefore[i + 1]!) * length;
        if (candidate < best) {
          best = candidate;
          origins[j] = i;
        }
      }
      return best;
    });
    previous.push(origins);
  }
  return trace(candidates, previous);
}

function trace(candidates: readonly number[], previous: readonly (readonly number[])[]): number[] {
  let j = candidates.length - 1;
  const chosen = [candidates[j]!];
  for (const origins of previous.toReversed()) {
    if (origins[j]! < 0) continue;
    j = origins[j]!;
    chosen.unshift(candidates[j]!);
  }
  return chosen;
}
