import { numElements } from "../core/dtype.ts";
import { broadcastShapes } from "../core/shape.ts";

/** A dense row-major array of doubles: what the float64 reference computes with. Integers and booleans too. */
export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** An array of a shape, filled by flat index; zeros by default. */
export function ndArray(shape: readonly number[], fill: (index: number) => number = () => 0): NdArray {
  return { shape, data: Float64Array.from({ length: numElements(shape) }, (_, i) => fill(i)) };
}

/** Elements to step over when one index of each axis grows by one. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** Flat index → one index per axis. */
export function unravel(flat: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  let rest = flat;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = rest % shape[axis]!;
    rest = Math.floor(rest / shape[axis]!);
  }
  return index;
}

/** One index per axis → flat index. */
export function ravel(index: readonly number[], shape: readonly number[]): number {
  return index.reduce((flat, i, axis) => flat * shape[axis]! + i, 0);
}

/** Flat index into `shape` of the element that an output index sees through broadcasting. */
export function broadcastIndex(outIndex: readonly number[], shape: readonly number[]): number {
  const offset = outIndex.length - shape.length;
  return shape.reduce((flat, size, axis) => flat * size + (size === 1 ? 0 : outIndex[axis + offset]!), 0);
}

/** Applies `f` elementwise over any number of operands with broadcasting. */
export function mapBroadcast(operands: readonly NdArray[], f: (...values: number[]) => number): NdArray {
  const shape = operands.reduce<readonly number[]>(
    (joint, { shape }) => broadcastShapes(joint, shape, "reference") as readonly number[],
    [],
  );
  return ndArray(shape, (flat) => {
    const index = unravel(flat, shape);
    return f(...operands.map((operand) => operand.data[broadcastIndex(index, operand.shape)]!));
  });
}

/** Splits a shape at an axis into how many rows before, the axis itself, and the stride after. */
export function aroundAxis(
  shape: readonly number[],
  axis: number,
): { outer: number; size: number; inner: number } {
  return {
    outer: numElements(shape.slice(0, axis)),
    size: shape[axis]!,
    inner: numElements(shape.slice(axis + 1)),
  };
}

/** Applies `f` to every one-dimensional line along `axis`; the line is replaced by what `f` returns. */
export function mapLines(
  array: NdArray,
  axis: number,
  f: (line: Float64Array) => ArrayLike<number>,
): NdArray {
  const { outer, size, inner } = aroundAxis(array.shape, axis);
  const lines: ArrayLike<number>[] = [];
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      lines.push(f(Float64Array.from({ length: size }, (_, s) => array.data[(o * size + s) * inner + i]!)));
    }
  }
  const newSize = lines[0]?.length ?? size;
  const shape = array.shape.map((dim, a) => (a === axis ? newSize : dim));
  return ndArray(shape, (flat) => {
    const o = Math.floor(flat / (newSize * inner));
    const s = Math.floor(flat / inner) % newSize;
    return lines[o * inner + (flat % inner)]![s]!;
  });
}
