// How a batch is cut into the few sequences that go through together.

import { type HostTensor, numElements } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import type { BatchShape, Examples } from "./objective.ts";

/** Size up to which the widest activation of a slice, with two more beside it, stays in a common last-level cache. */
const SLICE_BYTES = 8 * 2 ** 20;

/** Widest activation of a transformer, in widths of its residual stream: inside the feed-forward layer. */
const WIDEST = 4;

/**
 * How many of a batch's sequences to handle at once: the most that divide the batch and stay in the cache, in whole groups.
 *
 * @param group sequences that must stay together; divides the batch
 */
export function sliceSize(
  { shape }: { readonly shape: { readonly width: number } },
  { batchSize, contextLength }: BatchShape,
  group = 1,
): number {
  const bytesPerSequence = contextLength * WIDEST * shape.width * Float32Array.BYTES_PER_ELEMENT;
  const most = Math.max(group, Math.floor(SLICE_BYTES / bytesPerSequence));
  const sizes = Array.from({ length: batchSize / group }, (_, i) => (i + 1) * group);
  return sizes.filter((n) => batchSize % n === 0).findLast((n) => n <= most) ?? group;
}

/** Some sequences of a batch, and how many targets all of them together have for each loss. */
export interface Slice {
  readonly shape: BatchShape;
  readonly inputs: Readonly<Record<string, HostTensor>>;
  readonly numTargets: Readonly<Record<string, number>>;
}

/**
 * The sequences and tokens of a batch.
 *
 * @throws {ShapeError} if its inputs or targets are of unequal numbers of sequences, or groups are not whole.
 */
export function batchShapeOf({ inputs, numTargets, contextLength, group = 1 }: Examples): BatchShape {
  const [first, ...others] = [
    ...Object.entries(inputs).map(([name, { shape }]) => ({ name, rows: shape[0] ?? 0 })),
    ...Object.entries(numTargets).map(([name, { length }]) => ({ name: `targets of ${name}`, rows: length })),
  ];
  const batchSize = first?.rows ?? 0;
  const odd = others.find(({ rows }) => rows !== batchSize);
  if (odd) {
    throw new ShapeError({
      where: `batch, ${odd.name}`,
      expected: `${batchSize} sequences, as ${first!.name} has`,
      got: `${odd.rows}`,
    });
  }
  if (!(batchSize >= 1 && batchSize % group === 0)) {
    throw new ShapeError({
      where: "batch",
      expected: `sequences in groups of ${group}`,
      got: `${batchSize}`,
    });
  }
  return { batchSize, contextLength };
}

/** The shape of a batch's slices, for a model of that width. */
export function sliceShapeOf(
  examples: Examples,
  sized: { readonly shape: { readonly width: number } },
): BatchShape {
  const shape = batchShapeOf(examples);
  return { ...shape, batchSize: sliceSize(sized, shape, examples.group) };
}

/** Cuts a batch for a model of that width. */
export function cutExamples(
  examples: Examples,
  sized: { readonly shape: { readonly width: number } },
): Slice[] {
  const { inputs, numTargets } = examples;
  const shape = sliceShapeOf(examples, sized);
  const size = shape.batchSize;
  return Array.from({ length: batchShapeOf(examples).batchSize / size }, (_, i) => {
    const count = (counts: ArrayLike<number>) =>
      Array.from({ length: size }, (_, row) => counts[i * size + row]!).reduce((sum, n) => sum + n, 0);
    return {
      shape,
      inputs: mapValues(inputs, (tensor) => cutRows(tensor, i * size, size)),
      numTargets: mapValues(numTargets, count),
    };
  });
}

function cutRows({ dtype, shape, data }: HostTensor, first: number, count: number): HostTensor {
  const rowSize = numElements(shape.slice(1));
  return {
    dtype,
    shape: [count, ...shape.slice(1)],
    data: data.slice(first * rowSize, (first + count) * rowSize),
  };
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
