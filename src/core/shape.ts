import { ShapeError } from "./errors.ts";

/** A size: a number, or the name of a dimension known only when a program runs (`"batch"`, `"past + tokens"`). */
export type Dim = number | string;

/** Sizes by axis, outermost first; none for a scalar. */
export type Shape = readonly Dim[];

/** `[2, 3, "tokens"]`, for messages. */
export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Whether all sizes agree; a name agrees with itself only. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** The shape as numbers. @throws {ShapeError} if a dimension is only named. */
export function staticShape(shape: Shape, where: string): readonly number[] {
  if (shape.every((dim) => typeof dim === "number")) return shape as readonly number[];
  throw new ShapeError({ where, expected: "sizes that are all known", got: showShape(shape) });
}

/** Axis counted from the front. @throws {ShapeError} if it is outside [-rank, rank). */
export function normalizeAxis(axis: number, rank: number, where: string): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank) {
    throw new ShapeError({ where, expected: `an axis in [${-rank}, ${rank})`, got: `${axis}` });
  }
  return normal;
}

/**
 * The shape two operands broadcast to, as in NumPy: aligned at the right, equal or 1.
 *
 * @throws {ShapeError} where they disagree.
 * @example
 * broadcastShapes([2, 1, 4], [3, 1], "add"); // => [2, 3, 4]
 */
export function broadcastShapes(a: Shape, b: Shape, where: string): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    throw new ShapeError({
      where,
      expected: "shapes that broadcast (sizes equal or 1, aligned at the right)",
      got: `${showShape(a)} and ${showShape(b)}`,
    });
  });
}

/**
 * Checks a tensor's shape at a public door. `undefined` in the pattern accepts any size.
 *
 * @throws {ShapeError} naming both shapes.
 */
export function expectShape(where: string, shape: Shape, pattern: readonly (Dim | undefined)[]): void {
  const fits =
    shape.length === pattern.length &&
    pattern.every((dim, axis) => dim === undefined || dim === shape[axis] || typeof shape[axis] === "string");
  if (!fits) {
    const expected = `[${pattern.map((dim) => dim ?? "any").join(", ")}]`;
    throw new ShapeError({ where, expected, got: showShape(shape) });
  }
}
