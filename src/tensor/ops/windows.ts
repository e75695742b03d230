import { ShapeError } from "../../core/errors.ts";
import { type Shape, showShape, staticShape } from "../../core/shape.ts";

// A window is what a kernel sees of an image at one place: the arithmetic that convolutions and pools share.

/** Zeros before and after one axis. */
export type Padding = readonly [before: number, after: number];

/** How windows lie on an image; one entry per spatial axis. */
export interface WindowAttributes {
  /** From one window to the next. */
  readonly stride: readonly number[];
  /** From one element of a window to the next. */
  readonly dilation: readonly number[];
  readonly padding: readonly Padding[];
}

/** One number for all spatial axes, or one entry for each; a padding of one number is on both sides. */
export interface WindowOptions {
  readonly stride?: number | readonly number[];
  readonly dilation?: number | readonly number[];
  readonly padding?: number | readonly (number | Padding)[];
}

/**
 * Options spelled out for every spatial axis.
 *
 * @throws {ShapeError} if a list does not have one entry per axis, or a number is out of range.
 */
export function windowAttributes(where: string, numAxes: number, options: WindowOptions): WindowAttributes {
  const padding = perAxis<number | Padding>(where, "padding", numAxes, options.padding ?? 0);
  const attributes = {
    stride: perAxis(where, "stride", numAxes, options.stride ?? 1),
    dilation: perAxis(where, "dilation", numAxes, options.dilation ?? 1),
    padding: padding.map((sides): Padding => (typeof sides === "number" ? [sides, sides] : sides)),
  };
  expectIntegers(where, "stride", attributes.stride, 1);
  expectIntegers(where, "dilation", attributes.dilation, 1);
  expectIntegers(where, "padding", attributes.padding.flat(), 0);
  return attributes;
}

/** The number, or the list, as a list with one entry per axis. */
export function perAxis<T>(where: string, name: string, numAxes: number, given: T | readonly T[]): T[] {
  const list = Array.isArray(given) ? [...(given as readonly T[])] : new Array<T>(numAxes).fill(given as T);
  if (list.length === numAxes) return list;
  throw new ShapeError({
    where,
    expected: `${name} for ${numAxes} spatial axes`,
    got: `${list.length} entries`,
  });
}

/** @throws {ShapeError} unless all are integers of at least that size. */
export function expectIntegers(where: string, name: string, values: readonly number[], least: number): void {
  if (values.every((value) => Number.isInteger(value) && value >= least)) return;
  throw new ShapeError({ where, expected: `${name} of integers ≥ ${least}`, got: `[${values.join(", ")}]` });
}

/** Sizes of the axes after batch and channels. @throws {ShapeError} unless there are one or two, of known size. */
export function spatialSizes(where: string, shape: Shape): readonly number[] {
  if (shape.length < 3 || shape.length > 4) {
    const expected = "x (batch, channels, length) or (batch, channels, height, width)";
    throw new ShapeError({ where, expected, got: showShape(shape) });
  }
  return staticShape(shape.slice(2), where);
}

/**
 * How many windows fit on each axis: `⌊(size + padding − reach) / stride⌋ + 1` with `reach = dilation·(kernel − 1) + 1`.
 *
 * @throws {ShapeError} if a window does not fit at all.
 */
export function countWindows(
  where: string,
  sizes: readonly number[],
  kernel: readonly number[],
  { stride, dilation, padding }: WindowAttributes,
): number[] {
  return sizes.map((size, axis) => {
    const padded = size + padding[axis]![0] + padding[axis]![1];
    const reach = dilation[axis]! * (kernel[axis]! - 1) + 1;
    if (reach > padded) {
      const expected = `a window of at most ${padded} on spatial axis ${axis}`;
      throw new ShapeError({ where, expected, got: `${reach}` });
    }
    return Math.floor((padded - reach) / stride[axis]!) + 1;
  });
}

/** Where element `tap` of window `at` lies on the image; `undefined` when that is in the padding. */
export function placeOf(
  at: readonly number[],
  tap: readonly number[],
  sizes: readonly number[],
  { stride, dilation, padding }: WindowAttributes,
): readonly number[] | undefined {
  const place = at.map((t, axis) => t * stride[axis]! + tap[axis]! * dilation[axis]! - padding[axis]![0]);
  return place.every((p, axis) => p >= 0 && p < sizes[axis]!) ? place : undefined;
}

/** ONNX attributes for it; `pads` lists all sides before, then all after. */
export function onnxWindow(
  kernel: readonly number[],
  { stride, padding }: Omit<WindowAttributes, "dilation">,
): Readonly<Record<string, readonly bigint[]>> {
  const sides = [...padding.map(([before]) => before), ...padding.map(([, after]) => after)];
  return { kernel_shape: kernel.map(BigInt), strides: stride.map(BigInt), pads: sides.map(BigInt) };
}
