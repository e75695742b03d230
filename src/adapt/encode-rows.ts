import { DataError } from "../core/errors.ts";
import { fitContext, type LongRows } from "../data/rows/fit-context.ts";
import type { Row } from "../data/rows/load-examples.ts";
import { numLearnt, type TrainingRow } from "./training-row.ts";

/** What is done about rows that do not fit, and how long they may be. */
export interface EncodeRowsOptions {
  /** Most tokens of a row: the model's context, or less. */
  readonly maxLength: number;
  /** Default "refuse". "truncate" keeps the beginning. */
  readonly long?: LongRows;
}

/** Rows for training, and what became of those that did not fit. */
export interface EncodedRows {
  readonly rows: readonly TrainingRow[];
  /** How many were longer than allowed. */
  readonly numLong: number;
  /** How many of those were left out, as nothing that is learnt was left of them. */
  readonly numEmpty: number;
}

/**
 * Encodes examples to rows of at most `maxLength` tokens.
 *
 * @throws {DataError} naming the row that cannot be encoded, the longest one if long ones are refused, or if nothing is left.
 * @example
 * encodeRows(rows, (chat) => chatRow(tokenizer, template, chat), { maxLength: 1024, long: "truncate" });
 */
export function encodeRows<T>(
  examples: readonly Row<T>[],
  encode: (example: T) => TrainingRow,
  { maxLength, long = "refuse" }: EncodeRowsOptions,
): EncodedRows {
  const encoded = examples.map(({ example, where }) => {
    const row = encodeAt(example, encode, where);
    return { row, where, numTokens: row.tokens.length };
  });
  const fit = fitContext(encoded, maxLength, long, ({ row: { tokens, learnt }, where }) => ({
    row: { tokens: tokens.slice(0, maxLength), learnt: learnt.slice(0, maxLength) },
    where,
    numTokens: maxLength,
  }));
  const rows = fit.rows.map(({ row }) => row).filter((row) => numLearnt(row) > 0);
  if (rows.length === 0) {
    throw new DataError({
      where: "examples",
      expected: `at least one with something to learn within ${maxLength} tokens`,
      got: `none among ${examples.length}`,
    });
  }
  return { rows, numLong: fit.numLong, numEmpty: fit.rows.length - rows.length };
}

function encodeAt<T>(example: T, encode: (example: T) => TrainingRow, where: string): TrainingRow {
  try {
    return encode(example);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    const { failure } = cause;
    throw new DataError({ ...failure, where: `${where}, ${failure.where}` }, { cause });
  }
}
