import { DataError } from "../../core/errors.ts";

/** What to do about rows that do not fit: nothing is cut without being asked for. */
export type LongRows = "refuse" | "truncate" | "drop";

/** A row's tokens, and where they come from. */
export interface TokenRow {
  readonly numTokens: number;
  readonly where: string;
}

/** Which rows fit, once the policy is applied. */
export interface Fit<T> {
  readonly rows: T[];
  /** How many were longer than the context. */
  readonly numLong: number;
}

/**
 * Applies the policy for rows longer than the context. How a row is shortened is the caller's: only it knows which end counts.
 *
 * @throws {DataError} if the policy is to refuse and there is such a row: how many there are, which is the longest, and what can be done.
 */
export function fitContext<T extends TokenRow>(
  rows: readonly T[],
  contextLength: number,
  policy: LongRows,
  truncate: (row: T) => T,
): Fit<T> {
  const long = rows.filter(({ numTokens }) => numTokens > contextLength);
  if (long.length === 0) return { rows: [...rows], numLong: 0 };
  if (policy === "drop") {
    return { rows: rows.filter(({ numTokens }) => numTokens <= contextLength), numLong: long.length };
  }
  if (policy === "truncate") {
    const fitted = rows.map((row) => (row.numTokens > contextLength ? truncate(row) : row));
    return { rows: fitted, numLong: long.length };
  }
  const longest = long.reduce((max, row) => (row.numTokens > max.numTokens ? row : max));
  throw new DataError({
    where: longest.where,
    expected: `at most ${contextLength} tokens, the context of the model`,
    got: `${longest.numTokens} tokens, and ${long.length} of ${rows.length} rows are longer than that`,
    fix: 'Set data.longRows to "truncate", which cuts them, or to "drop", which leaves them out.',
  });
}
