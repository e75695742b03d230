import { numElements } from "../../core/dtype.ts";
import { unravel } from "../nd-array.ts";
import type { Tensor } from "../tensor.ts";
import type { WindowAttributes } from "./windows.ts";

// B batch · C channels in · O channels out · K kernel · L length; L and K stand for one axis or for two

/**
 * Gradient by a weight `(O, C/groups, K)` that made y `(B, O, …)` of an image `(B, C, L)`, from the gradient by y:
 * `Σ_b Σ_t byOutput[b, o, t] · image[b, c, t·stride + k·dilation − before]`. For each k that is a matrix product of the gradient with
 * what that tap saw of the image.
 */
export function weightGradient(
  image: Tensor,
  byOutput: Tensor,
  kernel: readonly number[],
  attributes: WindowAttributes & { readonly groups: number },
): Tensor {
  const { groups } = attributes;
  const [batch, numIn] = image.shape as [number, number];
  const [, numOut, ...counts] = byOutput.shape as [number, number, ...number[]];
  const numPlaces = numElements(counts);
  const rows = byOutput.reshape([batch, groups, numOut / groups, numPlaces]);
  const seen = tapsOf(image, kernel, counts, attributes).map((tap) =>
    tap.reshape([batch, groups, numIn / groups, numPlaces]),
  );
  const times = (columns: Tensor) => rows.matmul(columns, { transposeB: true }).sum(0);
  const [first, ...rest] = seen as [Tensor, ...Tensor[]];
  // Thin products are slow: taps of few channels go side by side into one, others save the copy.
  const isThin = numIn / groups < THIN;
  const products = isThin ? times(first.concat(rest, 2)) : times(first).concat(rest.map(times), 2);
  return products // (groups, O/groups, K·C/groups)
    .reshape([numOut, seen.length, numIn / groups])
    .transpose([0, 2, 1])
    .reshape([numOut, numIn / groups, ...kernel]);
}

/** Channels below which a matrix product with them as columns is slow. */
const THIN = 16;

/**
 * What each element of the kernel, in order, sees of the image `(B, C, L)`: the element under it in every window, `(B, C, …counts)`. The
 * image is brought to whole strides, so that every stride-th element is a slice.
 */
function tapsOf(
  image: Tensor,
  kernel: readonly number[],
  counts: readonly number[],
  { stride, dilation, padding }: WindowAttributes,
): Tensor[] {
  const numStrides = kernel.map(
    (size, axis) => Math.floor(((size - 1) * dilation[axis]!) / stride[axis]!) + counts[axis]!,
  );
  const whole = kernel.reduce((x, _, axis) => {
    const [before, after] = padding[axis]!;
    const wanted = numStrides[axis]! * stride[axis]!;
    const missing = wanted - before - (image.shape[axis + 2] as number);
    return x.pad(axis + 2, before, Math.max(missing, after)).slice(axis + 2, 0, wanted);
  }, image);
  const leading = image.shape.slice(0, 2);
  const apart = whole.reshape([
    ...leading,
    ...kernel.flatMap((_, axis) => [numStrides[axis]!, stride[axis]!]),
  ]);
  return Array.from({ length: numElements(kernel) }, (_, tap) => {
    const part = unravel(tap, kernel).reduce((x, k, axis) => {
      const from = k * dilation[axis]!;
      const start = Math.floor(from / stride[axis]!);
      const within = from % stride[axis]!;
      return x.slice(2 * axis + 2, start, start + counts[axis]!).slice(2 * axis + 3, within, within + 1);
    }, apart);
    return part.reshape([...leading, ...counts]);
  });
}

/** Gradient by a bias: what every place of every image adds to it, `(O)`. */
export function sumOverPlaces(g: Tensor): Tensor {
  return g.sum(g.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]))); // (O)
}
