import { maxPool, poolAttributes } from "../src/tensor/ops/pool.ts";
import type { Padding } from "../src/tensor/ops/windows.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import { apply } from "../src/tensor/tensor.ts";
import type { Translate } from "./onnx-translations.ts";
import type { Vector } from "./onnx-vectors.ts";

/** ONNX's operators on images → how Plinth says it. */
export const IMAGE_TRANSLATIONS: Readonly<Record<string, Translate>> = {
  Conv: (v) => {
    const { stride, dilation, padding } = windowOf(v, v.shape(1).slice(2));
    const options = { stride, dilation, padding, groups: v.number("group", 1) };
    return [v.tensor(0).convolution(v.tensor(1), v.has(2) ? v.tensor(2) : undefined, options)];
  },
  ConvTranspose: (v) => {
    const { stride, dilation, padding } = windowOf(v, v.shape(1).slice(2));
    v.needs(stride.length < 3, "three spatial axes");
    const { outputPadding, sides } = spreadPadding(v, stride, dilation, padding);
    const options = { stride, dilation, padding: sides, outputPadding, groups: v.number("group", 1) };
    return [v.tensor(0).convolutionTranspose(v.tensor(1), v.has(2) ? v.tensor(2) : undefined, options)];
  },
  MaxPool: (v) => {
    const attributes = poolAttributes(numAxes(v), poolOf(v));
    const [values, indices] = apply(maxPool, [v.tensor(0)], attributes);
    return [values!, v.number("storage_order", 0) === 0 ? indices : undefined];
  },
  AveragePool: (v) => [
    v.tensor(0).averagePool({ ...poolOf(v), countPadding: v.number("count_include_pad", 0) === 1 }),
  ],
  GlobalAveragePool: (v) => [v.tensor(0).averagePool({ kernel: v.shape(0).slice(2) })],
  Resize: translateResize,
};

function numAxes(v: Vector): number {
  return v.shape(0).length - 2;
}

interface Window {
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly padding: readonly Padding[];
}

function windowOf(v: Vector, kernel: readonly number[]): Window {
  const stride = v.list("strides") ?? kernel.map(() => 1);
  const dilation = v.list("dilations") ?? kernel.map(() => 1);
  const pads = v.list("pads") ?? kernel.flatMap(() => [0, 0]);
  const auto = v.text("auto_pad") ?? "NOTSET";
  const padding = kernel.map((size, axis): Padding => {
    if (!auto.startsWith("SAME")) return [pads[axis]!, pads[axis + kernel.length]!];
    const length = v.shape(0)[axis + 2]!;
    const total = Math.max(0, (Math.ceil(length / stride[axis]!) - 1) * stride[axis]! + size - length);
    return halves(total, auto === "SAME_UPPER");
  });
  return { stride, dilation, padding };
}

/** An odd one goes after with `SAME_UPPER`, before with `SAME_LOWER`. */
function halves(total: number, isUpper: boolean): Padding {
  const small = Math.floor(total / 2);
  return isUpper ? [small, total - small] : [total - small, small];
}

function poolOf(v: Vector) {
  const kernel = v.list("kernel_shape")!;
  v.needs(kernel.length < 3, "three spatial axes");
  v.needs(v.number("ceil_mode", 0) === 0, "sizes rounded up");
  v.needs(
    (v.list("dilations") ?? [1]).every((step) => step === 1),
    "dilation in a pool",
  );
  const { stride, padding } = windowOf(v, kernel);
  return { kernel, stride, padding };
}

/** For a transposed convolution an output size may be asked for; what cutting cannot give, padding the output does. */
function spreadPadding(
  v: Vector,
  stride: readonly number[],
  dilation: readonly number[],
  padding: readonly Padding[],
): { readonly outputPadding: readonly number[]; readonly sides: readonly Padding[] } {
  const auto = v.text("auto_pad") ?? "NOTSET";
  const sizes = v.shape(0).slice(2);
  const wanted =
    v.list("output_shape") ?? (auto === "NOTSET" ? undefined : sizes.map((n, i) => n * stride[i]!));
  const outputPadding = v.list("output_padding") ?? stride.map(() => 0);
  if (!wanted) return { outputPadding, sides: padding };
  const surplus = sizes.map((size, axis) => {
    const reach = dilation[axis]! * (v.shape(1)[axis + 2]! - 1) + 1;
    return (size - 1) * stride[axis]! + outputPadding[axis]! + reach - wanted[axis]!;
  });
  return {
    outputPadding: outputPadding.map((extra, axis) => extra + Math.max(0, -surplus[axis]!)),
    sides: surplus.map((total) => halves(Math.max(0, total), auto !== "SAME_LOWER")),
  };
}

function translateResize(v: Vector): readonly Tensor[] {
  v.needs(v.text("mode") === "nearest" && v.has(2), "anything but nearest neighbours by a factor");
  const factors = v.numbers(2)!.slice(-2);
  v.needs(
    factors.every((factor) => Number.isInteger(factor)),
    "factors that are not whole",
  );
  return [v.tensor(0).upsample(factors)];
}
