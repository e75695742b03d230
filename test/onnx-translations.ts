import { groupNorm } from "../src/tensor/ops/group-norm.ts";
import { layerNorm, rmsNorm } from "../src/tensor/ops/normalize.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import { apply } from "../src/tensor/tensor.ts";
import { translateAttention } from "./onnx-attention.ts";
import { IMAGE_TRANSLATIONS } from "./onnx-images.ts";
import { integers, type Vector } from "./onnx-vectors.ts";

/** What a vector's outputs are in Plinth's operators; `undefined` for an output we have no counterpart of. */
export type Translate = (vector: Vector) => readonly (Tensor | undefined)[];

type Unary = "abs" | "neg" | "sign" | "exp" | "log" | "sqrt" | "reciprocal" | "sin" | "cos" | "tanh";
type MoreUnary = "sigmoid" | "relu" | "erf" | "logicalNot";
type Binary = "add" | "sub" | "mul" | "div" | "pow" | "maximum" | "minimum";
type Predicate = "equal" | "less" | "lessEqual" | "greater" | "greaterEqual" | "logicalAnd" | "logicalOr";

const unary =
  (method: Unary | MoreUnary): Translate =>
  (v) => [v.tensor(0)[method]()];

/** Of two or more operands, from left to right. */
const chained =
  (method: Binary | Predicate): Translate =>
  (v) => [v.tensors().reduce((a, b) => a[method](b))];

const alongAxis =
  (method: "softmax" | "logSoftmax"): Translate =>
  (v) => [v.tensor(0)[method](v.number("axis", -1))];

/** Over the axes of the second input, all of them without one. */
const reduced =
  (fold: (x: Tensor, axes: readonly number[] | undefined, keepAxes: boolean) => Tensor): Translate =>
  (v) => {
    v.needs(!v.shape(0).includes(0), "a reduction of nothing");
    v.needs(v.stored.inputs[0]!.dtype !== "bool", "reductions of booleans");
    const axes = v.numbers(1);
    if (axes?.length === 0 && v.number("noop_with_empty_axes", 0) === 1) return [v.tensor(0)];
    return [fold(v.tensor(0), axes?.length ? axes : undefined, v.number("keepdims", 1) === 1)];
  };

/** ONNX's operator → how Plinth says it. */
export const TRANSLATIONS: Readonly<Record<string, Translate>> = {
  Abs: unary("abs"),
  Neg: unary("neg"),
  Sign: unary("sign"),
  Exp: unary("exp"),
  Log: unary("log"),
  Sqrt: unary("sqrt"),
  Reciprocal: unary("reciprocal"),
  Sin: unary("sin"),
  Cos: unary("cos"),
  Tanh: unary("tanh"),
  Sigmoid: unary("sigmoid"),
  Relu: unary("relu"),
  Erf: unary("erf"),
  Not: unary("logicalNot"),
  Gelu: (v) => [v.text("approximate") === "tanh" ? v.tensor(0).geluTanh() : v.tensor(0).gelu()],
  Add: chained("add"),
  Sub: chained("sub"),
  Mul: chained("mul"),
  Div: (v) => {
    v.needs(v.tensor(0).dtype === "float32", "division of integers");
    return [v.tensor(0).div(v.tensor(1))];
  },
  Pow: (v) => {
    v.needs(v.tensor(0).dtype === v.tensor(1).dtype, "operands of two types");
    return [v.tensor(0).pow(v.tensor(1))];
  },
  Max: chained("maximum"),
  Min: chained("minimum"),
  Sum: chained("add"),
  Equal: chained("equal"),
  Less: chained("less"),
  LessOrEqual: chained("lessEqual"),
  Greater: chained("greater"),
  GreaterOrEqual: chained("greaterEqual"),
  And: chained("logicalAnd"),
  Or: chained("logicalOr"),
  Where: (v) => [v.tensor(0).where(v.tensor(1), v.tensor(2))],
  Softmax: alongAxis("softmax"),
  LogSoftmax: alongAxis("logSoftmax"),
  ReduceSum: reduced((x, axes, keep) => x.sum(axes, keep)),
  ReduceMean: reduced((x, axes, keep) => x.mean(axes, keep)),
  ReduceMax: reduced((x, axes, keep) => x.max(axes, keep)),
  ReduceMin: reduced((x, axes, keep) => x.neg().max(axes, keep).neg()),
  ReduceSumSquare: reduced((x, axes, keep) => x.mul(x).sum(axes, keep)),
  ReduceL2: reduced((x, axes, keep) => x.mul(x).sum(axes, keep).sqrt()),
  ArgMax: (v) => {
    v.needs(v.number("select_last_index", 0) === 0, "the last of equal elements");
    return [v.tensor(0).argmax(v.number("axis", 0)).reshape(v.outputShape(0))];
  },
  TopK: (v) => {
    const sign = v.number("largest", 1) === 1 ? 1 : -1;
    v.needs([-1, v.shape(0).length - 1].includes(v.number("axis", -1)), "another axis than the last");
    const { values, indices } = v.tensor(0).mul(sign).topK(v.numbers(1)![0]!);
    return [values.mul(sign), indices];
  },
  MatMul: (v) => {
    v.needs(v.shape(0).length > 1 && v.shape(1).length > 1, "vectors as operands");
    return [v.tensor(0).matmul(v.tensor(1))];
  },
  Gemm: translateGemm,
  Gather: (v) => {
    v.needs(v.number("axis", 0) === 0, "another axis than the first");
    return [v.tensor(0).gatherRows(v.tensor(1))];
  },
  GatherElements: (v) => {
    const { toLast, back } = lastAxis(v);
    return [back(toLast(v.tensor(0)).takeAlongLast(toLast(v.tensor(1))))];
  },
  ScatterElements: (v) => {
    v.needs(v.text("reduction") === "add", "another reduction than add");
    const { toLast, back } = lastAxis(v);
    return [back(toLast(v.tensor(0)).scatterAddAlongLast(toLast(v.tensor(1)), toLast(v.tensor(2))))];
  },
  OneHot: (v) => {
    const [off, on] = v.numbers(2) as [number, number];
    v.needs(v.number("axis", -1) === -1, "another axis than the last");
    const hits = v.tensor(0).oneHot(v.numbers(1)![0]!);
    return [
      hits
        .mul(on - off)
        .add(off)
        .cast("int32"),
    ];
  },
  Transpose: (v) => [v.tensor(0).transpose(v.list("perm"))],
  Reshape: (v) => [v.tensor(0).reshape(v.outputShape(0))],
  Expand: (v) => {
    const larger = v.numbers(1)!;
    return [v.tensor(0).broadcastTo(larger.length > 2 ? v.outputShape(0) : larger)];
  },
  Unsqueeze: (v) => {
    const rank = v.outputShape(0).length;
    const axes = v.numbers(1)!.map((axis) => (axis < 0 ? axis + rank : axis));
    return [axes.sort((a, b) => a - b).reduce((x, axis) => x.unsqueeze(axis), v.tensor(0))];
  },
  Concat: (v) => {
    const [first, ...rest] = v.tensors();
    return [first!.concat(rest, v.number("axis", 0))];
  },
  Split: (v) => {
    const axis = v.number("axis", 0);
    const sizes = v.stored.outputs.map((part) => part!.shape.at(axis)!);
    return v.tensor(0).split(sizes, axis);
  },
  Slice: translateSlice,
  Pad: translatePad,
  LayerNormalization: (v) => {
    const { rows, width, statistics } = foldTrailing(v);
    const parameters = [1, 2].map((which) => v.tensor(which).reshape([width]));
    const [y, mean, inverse] = apply(layerNorm, [rows, ...parameters], {
      epsilon: v.number("epsilon", 1e-5),
    });
    return [y!.reshape(v.shape(0)), mean!.reshape(statistics), inverse!.reshape(statistics)];
  },
  RMSNormalization: (v) => {
    const { rows, width } = foldTrailing(v);
    const epsilon = v.number("epsilon", 1e-5);
    return [apply(rmsNorm, [rows, v.tensor(1).reshape([width])], { epsilon })[0]!.reshape(v.shape(0))];
  },
  GroupNormalization: (v) => {
    const attributes = { groups: v.number("num_groups", 1), epsilon: v.number("epsilon", 1e-5) };
    return [apply(groupNorm, v.tensors(), attributes)[0]!];
  },
  InstanceNormalization: (v) => {
    const attributes = { groups: v.shape(0)[1]!, epsilon: v.number("epsilon", 1e-5) };
    return [apply(groupNorm, v.tensors(), attributes)[0]!];
  },
  SoftmaxCrossEntropyLoss: translateCrossEntropy,
  RotaryEmbedding: translateRotary,
  Attention: translateAttention,
  ...IMAGE_TRANSLATIONS,
};

function translateGemm(v: Vector): readonly Tensor[] {
  const [transposeA, transposeB] = [v.number("transA", 0) === 1, v.number("transB", 0) === 1];
  const [scale, beta] = [v.number("alpha", 1), v.number("beta", 1)];
  const width = v.outputShape(0)[1]!;
  const hasRowBias = v.has(2) && v.shape(2).at(-1) === width && beta === 1;
  if (hasRowBias && scale === 1 && !transposeA) {
    return [v.tensor(0).linear(v.tensor(1), v.tensor(2).reshape([width]), transposeB)];
  }
  const product = v.tensor(0).matmul(v.tensor(1), { transposeA, transposeB, scale });
  return [v.has(2) ? product.add(v.tensor(2).mul(beta)) : product];
}

/** Brings an axis to the end and back. */
function lastAxis(v: Vector): { toLast: (x: Tensor) => Tensor; back: (x: Tensor) => Tensor } {
  const rank = v.shape(0).length;
  const axis = (v.number("axis", 0) + rank) % rank;
  const order = Array.from({ length: rank }, (_, i) => i);
  order.splice(axis, 1);
  order.push(axis);
  const inverse = order.map((_, i) => order.indexOf(i));
  return { toLast: (x) => x.transpose(order), back: (x) => x.transpose(inverse) };
}

function translateSlice(v: Vector): readonly Tensor[] {
  const starts = v.numbers(1)!;
  const axes = v.numbers(3) ?? starts.map((_, axis) => axis);
  v.needs(
    (v.numbers(4) ?? [1]).every((step) => step === 1),
    "steps other than 1",
  );
  const rank = v.shape(0).length;
  const sliced = axes.reduce((x, given, i) => {
    const axis = given < 0 ? given + rank : given;
    const size = v.shape(0)[axis]!;
    const [start, end] = [starts[i]!, v.numbers(2)![i]!].map((at) =>
      Math.min(Math.max(at < 0 ? at + size : at, 0), size),
    ) as [number, number];
    return x.slice(axis, start, end);
  }, v.tensor(0));
  return [sliced];
}

function translatePad(v: Vector): readonly Tensor[] {
  v.needs((v.text("mode") ?? "constant") === "constant", "padding other than by a constant");
  const pads = v.numbers(1)!;
  const rank = v.shape(0).length;
  const axes = (v.numbers(3) ?? v.shape(0).map((_, axis) => axis)).map((axis) => (axis + rank) % rank);
  const value = v.numbers(2)?.[0] ?? 0;
  const shifted = v.tensor(0).sub(value);
  const padded = axes.reduce((x, axis, i) => x.pad(axis, pads[i]!, pads[i + axes.length]!), shifted);
  return [padded.add(value)];
}

/** ONNX normalises over all axes from one on: we over the last, so those are folded into one. */
function foldTrailing(v: Vector): { rows: Tensor; width: number; statistics: readonly number[] } {
  const shape = v.shape(0);
  const axis = (v.number("axis", -1) + shape.length) % shape.length;
  const width = shape.slice(axis).reduce((a, b) => a * b, 1);
  const statistics = shape.map((size, i) => (i < axis ? size : 1));
  return { rows: v.tensor(0).reshape([...shape.slice(0, axis), width]), width, statistics };
}

/** ONNX has the classes on axis 1, we on the last of two. */
function translateCrossEntropy(v: Vector): readonly Tensor[] {
  v.needs((v.text("reduction") ?? "mean") === "mean", "another reduction than the mean");
  v.needs(!v.has(2), "weights of classes");
  const [batch, numClasses, ...places] = v.shape(0) as [number, number, ...number[]];
  const rank = v.shape(0).length;
  const order = [0, ...places.map((_, i) => i + 2), 1];
  const back = [0, rank - 1, ...places.map((_, i) => i + 1)];
  const numRows = places.reduce((a, b) => a * b, batch);
  const logits = v.tensor(0).transpose(order).reshape([numRows, numClasses]);
  const ignoredLabel = v.number("ignore_index", -1);
  const loss = logits.crossEntropy(v.tensor(1).reshape([numRows]), { ignoredLabel });
  const logProbabilities = loss.node.outputs[1]!.reshape([batch, ...places, numClasses]).transpose(back);
  return [loss, logProbabilities].slice(0, v.stored.outputs.length);
}

/** Tables per token and row, as ONNX takes them without positions, are one table with a position for each. */
function translateRotary(v: Vector): readonly Tensor[] {
  const layout = v.number("interleaved", 0) === 1 ? "interleaved" : "half";
  const isFolded = v.shape(0).length === 3;
  const numHeads = v.number("num_heads", 1);
  const [batch, tokens, width] = v.shape(0) as [number, number, number];
  const x = isFolded
    ? v
        .tensor(0)
        .reshape([batch, tokens, numHeads, width / numHeads])
        .transpose([0, 2, 1, 3])
    : v.tensor(0);
  const numTokens = x.shape[2] as number;
  const pairs = v.shape(1).at(-1)!;
  const rows = v
    .shape(1)
    .slice(0, -1)
    .reduce((a, b) => a * b, 1);
  const [cos, sin] = [v.tensor(1).reshape([rows, pairs]), v.tensor(2).reshape([rows, pairs])];
  const positions = v.has(3)
    ? v.tensor(3)
    : integers(
        [batch, numTokens],
        Array.from({ length: batch * numTokens }, (_, i) => i),
      );
  const turned = x.rotary(cos, sin, { layout }, positions);
  return [isFolded ? turned.transpose([0, 2, 1, 3]).reshape(v.shape(0)) : turned];
}
