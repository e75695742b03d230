// P pairs · B = 2 P sequences, of each pair the chosen one and then the rejected · T tokens

import { type HostTensor, hostTensor } from "../../core/dtype.ts";
import { ConfigError } from "../../core/errors.ts";
import { chooseBuckets } from "../../data/rows/length-buckets.ts";
import { RowBatches, type RowCursor } from "../../data/rows/row-batches.ts";
import type { ExampleStream, Examples, Objective } from "../../train/objective.ts";
import type { TrainingRow } from "../training-row.ts";
import type { PreferenceRows } from "./preference-rows.ts";
import { rowInputs } from "./row-program.ts";

/** Lengths are multiples of this. */
const MULTIPLE = 16;

/** Something to train on pairs for. */
export interface PairObjective extends Objective {
  /** Inputs of the losses: some of `tokens`, `targets`, `last`, `reference` and `margin`. */
  readonly inputNames: readonly string[];
  /** For each loss, how many targets each sequence of a batch has. */
  countTargets(sides: readonly TrainingRow[]): Readonly<Record<string, readonly number[]>>;
}

/** One target for each pair. */
export function onePerPair(sides: readonly TrainingRow[]): readonly number[] {
  return sides.map((_, i) => (i + 1) % 2);
}

/** Preferences to train on, and how they are drawn. */
export interface PreferenceStreamOptions {
  /** What they are for: it says which inputs are needed. */
  readonly objective: PairObjective;
  readonly pairs: readonly PreferenceRows[];
  /** ln π_ref of the sides, in the order of {@link sidesOf}. */
  readonly reference?: ArrayLike<number>;
  /** Sequences of a batch: twice as many as pairs. */
  readonly batchSize: number;
  readonly contextLength: number;
  /** Most padded lengths, each of which is compiled once; default 3. */
  readonly maxBuckets?: number;
  readonly seed: number;
}

/** The sides of pairs one after the other: chosen, rejected, chosen … */
export function sidesOf(pairs: readonly PreferenceRows[]): TrainingRow[] {
  return pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);
}

/**
 * Endless batches of pairs in seeded order: every pair once an epoch, among others of similar length.
 *
 * @throws {ConfigError} if there are no pairs, the batch size is odd, a reference is needed and missing, or a side is longer than
 *   the context.
 */
export function preferenceStream(options: PreferenceStreamOptions): ExampleStream<RowCursor> {
  const { pairs, batchSize, contextLength: maxLength, maxBuckets = 3, seed } = options;
  if (options.objective.inputNames.includes("reference") && !options.reference) {
    const expected = "how likely the reference finds the sides: it is not free of one";
    throw new ConfigError({ where: "preferenceStream, reference", expected, got: "nothing" });
  }
  if (!Number.isInteger(batchSize / 2)) {
    const expected = "an even number: two sequences a pair";
    throw new ConfigError({ where: "train.batchSize", expected, got: `${batchSize}` });
  }
  const lengths = pairs.map(({ chosen, rejected }) => Math.max(chosen.tokens.length, rejected.tokens.length));
  const buckets = chooseBuckets(lengths, { maxBuckets, multiple: MULTIPLE, maxLength });
  const batches = new RowBatches({ lengths, buckets, maxRows: batchSize / 2, seed });
  return {
    next: () => {
      const { rows, paddedLength } = batches.next();
      return preferenceBatch(rows, paddedLength, options);
    },
    shapes: batches.shapes.map(({ batchSize: P, contextLength }) => ({ batchSize: 2 * P, contextLength })),
    state: () => batches.state(),
    restore: (cursor) => batches.restore(cursor),
  };
}

function preferenceBatch(
  places: readonly number[],
  T: number,
  { objective, pairs, reference }: PreferenceStreamOptions,
): Examples {
  const B = 2 * places.length;
  const bySide = (value: (place: number, side: number) => number): HostTensor =>
    hostTensor(
      "float32",
      [B],
      Float32Array.from({ length: B }, (_, i) => value(places[i >> 1]!, i & 1)),
    );
  const rows = sidesOf(places.map((place) => pairs[place]!));
  const inputs: Readonly<Record<string, HostTensor>> = {
    ...rowInputs(rows, { batchSize: B, contextLength: T }),
    ...(reference && { reference: bySide((place, side) => reference[2 * place + side]!) }),
    margin: bySide((place) => pairs[place]!.margin),
  };
  return {
    inputs: Object.fromEntries(objective.inputNames.map((name) => [name, inputs[name]!])),
    numTargets: objective.countTargets(rows),
    contextLength: T,
    group: 2,
  };
}
