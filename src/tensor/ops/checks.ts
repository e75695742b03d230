import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import type { TensorSpec } from "../op.ts";

/** @throws {ShapeError} unless both operands hold the same element type; nothing is cast unasked. */
export function expectSameDType(where: string, a: TensorSpec, b: TensorSpec): void {
  if (a.dtype === b.dtype) return;
  throw new ShapeError({
    where,
    expected: "operands of one dtype",
    got: `${a.dtype} and ${b.dtype}`,
    fix: "Convert one with cast().",
  });
}

/** @throws {ShapeError} unless the tensor has at least (or exactly) that many axes. */
export function expectRank(where: string, spec: TensorSpec, least: number, most: number = least): void {
  if (spec.shape.length >= least && spec.shape.length <= most) return;
  const expected = least === most ? `${least} axes` : `${least} to ${most} axes`;
  throw new ShapeError({ where, expected, got: showShape(spec.shape) });
}

/** @throws {ShapeError} unless the tensor holds integers that can index. */
export function expectIndices(where: string, spec: TensorSpec): void {
  if (spec.dtype === "int32" || spec.dtype === "int64") return;
  throw new ShapeError({ where, expected: "int32 or int64 indices", got: spec.dtype });
}
