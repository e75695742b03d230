import { createHash } from "node:crypto";
import { Random } from "../../core/random.ts";
import type { ExampleKind } from "../../data/rows/example-kind.ts";
import { countRepeats, dropRepeats, loadExamples, type Row } from "../../data/rows/load-examples.ts";
import { splitRows } from "../../data/rows/split-rows.ts";
import type { TableRow } from "../../train/report/html.ts";
import { formatCount } from "../../train/report/quantities.ts";
import type { TaskContext } from "./task.ts";

/** Examples on two sides. */
export interface LoadedData<T> {
  readonly training: readonly Row<T>[];
  readonly validation: readonly Row<T>[];
  /** All of the training side, where `maxExamples` takes a part of it. */
  readonly available: readonly Row<T>[];
  /** Facts for the report. */
  readonly facts: readonly TableRow[];
}

/**
 * Reads the examples and deals them to two sides.
 *
 * @param check is shown what is to be split, to refuse it for a better reason than that it cannot be
 * @throws {DataError} if a row cannot be used, or a side would be empty.
 */
export async function loadData<T>(
  kind: ExampleKind<T>,
  { data, recipe, onNotice }: TaskContext,
  check: (rows: readonly Row<T>[]) => void = () => {},
): Promise<LoadedData<T>> {
  const { validationShare, maxExamples } = recipe.data;
  const { seed } = recipe.train;
  const all = await loadExamples(kind, data.training);
  check(all);
  const sides = data.validation
    ? { training: all, validation: await loadExamples(kind, data.validation) }
    : splitRows(all, { validationShare, seed, ...(kind.stratum && { stratum: kind.stratum }) });
  const { validation } = sides;
  const { kept: available, dropped } = recipe.data.dropRepeats
    ? dropRepeats(sides.training)
    : { kept: sides.training, dropped: 0 };
  const training = maxExamples > 0 ? drawRows(available, maxExamples, seed) : available;
  const { count, first } = countRepeats(kind, training, validation);
  if (count > 0) {
    const such = `${first!.where} repeats ${first!.original}`;
    onNotice(
      `${formatCount(count)} of ${formatCount(validation.length)} held-out examples are also trained on: ${such}`,
    );
  }
  const facts = [
    {
      label: "training",
      value: `${formatCount(training.length)} examples${dropped > 0 ? `, ${formatCount(dropped)} repeats left out` : ""}`,
    },
    {
      label: "held out",
      value: `${formatCount(validation.length)} examples${count > 0 ? `, ${formatCount(count)} also trained on` : ""}`,
    },
    { label: "from", value: data.training.paths.join(", ") },
    ...(data.validation ? [{ label: "held out from", value: data.validation.paths.join(", ") }] : []),
  ];
  return { training, validation, available, facts };
}

/** So many rows, drawn by seed, in their old order. Fewer are always among more. */
function drawRows<T>(rows: readonly Row<T>[], count: number, seed: number): readonly Row<T>[] {
  if (count >= rows.length) return rows;
  const order = new Random(seed).fork("max examples").permutation(rows.length);
  return Array.from(order.slice(0, count).sort(), (place) => rows[place]!);
}

/** Identifies examples, in their order. */
export function hashExamples(...sides: readonly (readonly Row<unknown>[])[]): string {
  const hash = createHash("sha256");
  for (const side of sides) {
    for (const { example } of side) hash.update(`${JSON.stringify(example)}\n`);
    hash.update("\n");
  }
  return hash.digest("hex");
}
