import { ConfigError, DataError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import type { Row } from "./load-examples.ts";

/** How rows are dealt to training and validation. */
export interface RowSplitOptions<T> {
  /** Share of the rows held out, in (0, 1). */
  readonly validationShare: number;
  readonly seed: number;
  /** The class of an example: each is split in the same proportion. */
  readonly stratum?: (example: T) => string;
}

/** Rows on two sides, in their old order. */
export interface Split<T> {
  readonly training: Row<T>[];
  readonly validation: Row<T>[];
}

/**
 * Deals rows to two sides. Rows with a group go by group, whole groups to one side, until the share is reached; others by class,
 * where there are classes, so that each class keeps at least one row in training; else by chance alone. The same rows and seed
 * give the same sides.
 *
 * @throws {ConfigError} if the share is not between 0 and 1.
 * @throws {DataError} if a side would be empty.
 */
export function splitRows<T>(rows: readonly Row<T>[], options: RowSplitOptions<T>): Split<T> {
  const { validationShare, seed } = options;
  if (!(validationShare > 0 && validationShare < 1)) {
    throw new ConfigError({
      where: "validation",
      expected: "a share between 0 and 1",
      got: `${validationShare}`,
    });
  }
  const random = new Random(seed).fork("split");
  const isGrouped = rows.some(({ group }) => group !== undefined);
  const heldOut = isGrouped ? holdOutGroups(rows, options, random) : holdOutByClass(rows, options, random);
  if (heldOut.size === 0 || heldOut.size === rows.length) {
    throw new DataError({
      where: "validation",
      expected: "at least one row on each side of the split",
      got: `${rows.length} rows, ${heldOut.size} of them held out${isGrouped ? ", as groups stay together" : ""}`,
      fix: "Give more rows, another share, or a file of its own.",
    });
  }
  return {
    training: rows.filter((_, i) => !heldOut.has(i)),
    validation: rows.filter((_, i) => heldOut.has(i)),
  };
}

/** Groups in random order until the share is reached; the one that passes it only if that comes closer. */
function holdOutGroups<T>(rows: readonly Row<T>[], options: RowSplitOptions<T>, random: Random): Set<number> {
  const groups = [...gather(rows, ({ group = "" }) => group).values()];
  const target = rows.length * options.validationShare;
  const heldOut = new Set<number>();
  for (const place of random.permutation(groups.length)) {
    const group = groups[place]!;
    const missing = target - heldOut.size;
    if (missing > 0 && group.length - missing <= missing) for (const index of group) heldOut.add(index);
  }
  return heldOut;
}

/**
 * Each class gives its share, rounded down or up so that the shares add up: what is left over by rounding is carried from class to class.
 */
function holdOutByClass<T>(
  rows: readonly Row<T>[],
  options: RowSplitOptions<T>,
  random: Random,
): Set<number> {
  const { stratum } = options;
  const classes = gather(rows, ({ example }) => stratum?.(example) ?? "");
  const heldOut = new Set<number>();
  let owed = 0;
  for (const members of classes.values()) {
    owed += members.length * options.validationShare;
    const count = Math.min(Math.round(owed), members.length - 1);
    owed = Math.min(owed - count, 0.5); // what classes of a single row cannot give is not taken from others
    for (const place of random.permutation(members.length).subarray(0, count)) heldOut.add(members[place]!);
  }
  return heldOut;
}

/** Indices of the rows by a key, in order of first appearance. */
function gather<T>(rows: readonly Row<T>[], keyOf: (row: Row<T>) => string): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const [index, row] of rows.entries()) {
    const key = keyOf(row);
    const members = groups.get(key);
    if (members) members.push(index);
    else groups.set(key, [index]);
  }
  return groups;
}
