import type { RowFields } from "./row-fields.ts";

/** What examples of one kind need of a row. */
export interface ExampleKind<T> {
  /** What one is called in messages. */
  readonly name: string;
  /** The fields that may be mapped to columns. */
  readonly fields: readonly string[];
  /** @throws {DataError} naming the row and field that is missing, empty or wrong. */
  read(fields: RowFields): T;
  /** What is asked, without what should be answered: two examples that agree in it are repeats. */
  identity(example: T): string;
  /** The class by which a split is stratified; absent where there are none. */
  stratum?(example: T): string;
}
