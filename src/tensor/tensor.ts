import { allocate, type DType, type HostTensor } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { type Dim, normalizeAxis, type Shape, sameShape, showShape } from "../core/shape.ts";
import type { Op, TensorSpec } from "./op.ts";
import * as activation from "./ops/activation.ts";
import { after } from "./ops/after.ts";
import { type AttentionAttributes, attention } from "./ops/attention.ts";
import { type CachedAttentionAttributes, cachedAttention } from "./ops/cached-attention.ts";
import * as compare from "./ops/compare.ts";
import { type ConvolutionOptions, convolution, convolutionAttributes } from "./ops/convolution.ts";
import { type ConvolutionTransposeOptions, convolutionTranspose } from "./ops/convolution-transpose.ts";
import * as elementwise from "./ops/elementwise.ts";
import { groupNorm } from "./ops/group-norm.ts";
import * as indexing from "./ops/indexing.ts";
import * as layout from "./ops/layout.ts";
import { type CrossEntropyAttributes, crossEntropy } from "./ops/loss.ts";
import { linear, type MatmulAttributes, matmul } from "./ops/matmul.ts";
import { layerNorm, rmsNorm } from "./ops/normalize.ts";
import { averagePool, maxPool, type PoolOptions, poolAttributes } from "./ops/pool.ts";
import { argmax, max, normalizeAxes, sum } from "./ops/reduce.ts";
import { type RotaryAttributes, rotary } from "./ops/rotary.ts";
import { logSoftmax, softmax } from "./ops/softmax.ts";
import { topK } from "./ops/top-k.ts";
import { perAxis } from "./ops/windows.ts";

/** Where a tensor that no operator made comes from. */
export type Leaf =
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "parameter"; readonly path: string }
  | { readonly kind: "constant"; readonly value: HostTensor };

/** One operator applied to its inputs, or a leaf: what a graph is made of. */
export interface Node {
  /** Grows with creation, so that ascending order is an order of computation. */
  readonly id: number;
  readonly op: Op | undefined;
  readonly leaf: Leaf | undefined;
  readonly attributes: object;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

let nextId = 0;

/**
 * A symbolic tensor: a promise of values with a known element type and shape, recorded rather than computed.
 * Operators on it extend the graph; nothing runs until the graph is compiled. It owns no memory.
 *
 * Binary operators broadcast as in NumPy and take a plain number for a scalar of the same dtype.
 *
 * @example
 * const x = input("x", "float32", [2, 3]);
 * x.mul(2).add(1).sum(1).shape; // => [2]
 */
export class Tensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly node: Node;
  /** Which of its node's outputs this is. */
  readonly index: number;

  constructor(node: Node, index: number, spec: TensorSpec) {
    this.node = node;
    this.index = index;
    this.dtype = spec.dtype;
    this.shape = spec.shape;
  }

  /** A constant scalar of this tensor's dtype. */
  scalar(value: number): Tensor {
    return scalar(this.dtype, value);
  }

  zero(): Tensor {
    return this.scalar(0);
  }

  // Elementwise arithmetic, with broadcasting.

  add(other: Tensor | number): Tensor {
    return this.#binary(elementwise.add, other);
  }
  sub(other: Tensor | number): Tensor {
    return this.#binary(elementwise.sub, other);
  }
  mul(other: Tensor | number): Tensor {
    return this.#binary(elementwise.mul, other);
  }
  div(other: Tensor | number): Tensor {
    return this.#binary(elementwise.div, other);
  }
  /** `this^other` for positive `this`. */
  pow(other: Tensor | number): Tensor {
    return this.#binary(elementwise.pow, other);
  }
  maximum(other: Tensor | number): Tensor {
    return this.#binary(elementwise.maximum, other);
  }
  minimum(other: Tensor | number): Tensor {
    return this.#binary(elementwise.minimum, other);
  }

  neg(): Tensor {
    return this.#unary(elementwise.neg);
  }
  abs(): Tensor {
    return this.#unary(elementwise.abs);
  }
  sign(): Tensor {
    return this.#unary(elementwise.sign);
  }
  exp(): Tensor {
    return this.#unary(elementwise.exp);
  }
  log(): Tensor {
    return this.#unary(elementwise.log);
  }
  sqrt(): Tensor {
    return this.#unary(elementwise.sqrt);
  }
  reciprocal(): Tensor {
    return this.#unary(elementwise.reciprocal);
  }
  sin(): Tensor {
    return this.#unary(elementwise.sin);
  }
  cos(): Tensor {
    return this.#unary(elementwise.cos);
  }
  erf(): Tensor {
    return this.#unary(elementwise.erf);
  }

  // Activations.

  tanh(): Tensor {
    return this.#unary(elementwise.tanh);
  }
  sigmoid(): Tensor {
    return this.#unary(elementwise.sigmoid);
  }
  relu(): Tensor {
    return this.#unary(activation.relu);
  }
  silu(): Tensor {
    return this.#unary(activation.silu);
  }
  /** Exact GELU, by erf. */
  gelu(): Tensor {
    return this.#unary(activation.gelu);
  }
  /** The tanh approximation of GELU that GPT-2 uses. */
  geluTanh(): Tensor {
    return this.#unary(activation.geluTanh);
  }

  // Comparison and selection; results are boolean.

  equal(other: Tensor | number): Tensor {
    return this.#binary(compare.equal, other);
  }
  less(other: Tensor | number): Tensor {
    return this.#binary(compare.less, other);
  }
  lessEqual(other: Tensor | number): Tensor {
    return this.#binary(compare.lessEqual, other);
  }
  greater(other: Tensor | number): Tensor {
    return this.#binary(compare.greater, other);
  }
  greaterEqual(other: Tensor | number): Tensor {
    return this.#binary(compare.greaterEqual, other);
  }
  logicalAnd(other: Tensor): Tensor {
    return this.#binary(compare.logicalAnd, other);
  }
  logicalOr(other: Tensor): Tensor {
    return this.#binary(compare.logicalOr, other);
  }
  logicalNot(): Tensor {
    return this.#unary(compare.logicalNot);
  }
  /** With this tensor as the condition: `a` where true, `b` where false. */
  where(a: Tensor, b: Tensor): Tensor {
    return apply(compare.where, [this, a, b], {})[0]!;
  }
  cast(to: DType): Tensor {
    return to === this.dtype ? this : apply(compare.cast, [this], { to })[0]!;
  }

  // Reductions, over all axes unless some are named.

  sum(axes?: number | readonly number[], keepAxes = false): Tensor {
    const normal = normalizeAxes(axes, this.shape.length, "sum");
    return normal.length === 0 ? this : apply(sum, [this], { axes: normal, keepAxes })[0]!;
  }
  /** Arithmetic mean; the folded sizes must be known. */
  mean(axes?: number | readonly number[], keepAxes = false): Tensor {
    const normal = normalizeAxes(axes, this.shape.length, "mean");
    const count = normal.reduce((n, axis) => n * (this.shape[axis] as number), 1);
    return this.sum(normal, keepAxes).mul(1 / count);
  }
  max(axes?: number | readonly number[], keepAxes = false): Tensor {
    const normal = normalizeAxes(axes, this.shape.length, "max");
    return normal.length === 0 ? this : apply(max, [this], { axes: normal, keepAxes })[0]!;
  }
  /** int64 index of the largest element along an axis. */
  argmax(axis: number): Tensor {
    return apply(argmax, [this], { axis: normalizeAxis(axis, this.shape.length, "argmax") })[0]!;
  }
  /** Sums over whatever broadcasting added, so that the result has `shape`: the adjoint of broadcasting. */
  sumTo(shape: Shape): Tensor {
    if (sameShape(this.shape, shape)) return this;
    const added = this.shape.length - shape.length;
    const isRepeated = (axis: number) =>
      axis < added || (shape[axis - added] === 1 && this.shape[axis] !== 1);
    const axes = this.shape.flatMap((_, axis) => (isRepeated(axis) ? [axis] : []));
    return (axes.length > 0 ? this.sum(axes) : this).reshape(shape);
  }

  // Matrix products.

  matmul(other: Tensor, options: Partial<MatmulAttributes> = {}): Tensor {
    const attributes = { transposeA: false, transposeB: false, scale: 1, ...options };
    return apply(matmul, [this, other], attributes)[0]!;
  }
  /** `this · weight + bias` over the last axis; the weight is `(out, in)` with `transposeWeight`, else `(in, out)`. */
  linear(weight: Tensor, bias: Tensor | undefined, transposeWeight: boolean): Tensor {
    const leading = this.shape.slice(0, -1);
    if (leading.filter((dim) => typeof dim === "string").length > 1) {
      // A matrix of rows could not be unfolded again: ONNX works out one size at most.
      const product = this.matmul(weight, { transposeB: transposeWeight });
      return bias ? product.add(bias) : product;
    }
    const inSize = this.shape.at(-1)!;
    const rows = this.reshape([foldDims(leading), inSize]);
    const product = bias
      ? apply(linear, [rows, weight, bias], { transposeWeight })[0]!
      : rows.matmul(weight, { transposeB: transposeWeight });
    return product.reshape([...leading, product.shape[1]!]);
  }

  // Layout.

  reshape(shape: Shape): Tensor {
    return sameShape(this.shape, shape) ? this : apply(layout.reshape, [this], { shape })[0]!;
  }
  /** Axes in the given order; without one, the last two swapped. */
  transpose(order?: readonly number[]): Tensor {
    const last = this.shape.length - 1;
    const swapped = this.shape.map((_, axis) => (axis < last - 1 ? axis : 2 * last - 1 - axis));
    return apply(layout.transpose, [this], { order: order ?? swapped })[0]!;
  }
  /** The same values, as a constant to gradients. */
  detach(): Tensor {
    return this.#unary(layout.detach);
  }
  broadcastTo(shape: Shape): Tensor {
    return sameShape(this.shape, shape) ? this : apply(layout.broadcastTo, [this], { shape })[0]!;
  }
  slice(axis: number, start: number, end: number): Tensor {
    const normal = normalizeAxis(axis, this.shape.length, "slice");
    if (start === 0 && end === this.shape[normal]) return this;
    return apply(layout.slice, [this], { axis: normal, start, end })[0]!;
  }
  /** Zeros before and after along an axis. */
  pad(axis: number, before: number, after: number): Tensor {
    if (before === 0 && after === 0) return this;
    const normal = normalizeAxis(axis, this.shape.length, "pad");
    return apply(layout.pad, [this], { axis: normal, before, after })[0]!;
  }
  concat(others: readonly Tensor[], axis: number): Tensor {
    if (others.length === 0) return this;
    const normal = normalizeAxis(axis, this.shape.length, "concat");
    return apply(layout.concat, [this, ...others], { axis: normal })[0]!;
  }
  /** Without an axis of size 1. */
  squeeze(axis: number): Tensor {
    const normal = normalizeAxis(axis, this.shape.length, "squeeze");
    if (this.shape[normal] !== 1) {
      const expected = `size 1 on axis ${axis}`;
      throw new ShapeError({ where: "squeeze", expected, got: showShape(this.shape) });
    }
    return this.reshape(this.shape.toSpliced(normal, 1));
  }
  /** With a new axis of size 1, which will be at that place of the result. */
  unsqueeze(axis: number): Tensor {
    return this.reshape(this.shape.toSpliced(normalizeAxis(axis, this.shape.length + 1, "unsqueeze"), 0, 1));
  }
  /** Tensors of one shape side by side along a new axis. */
  stack(others: readonly Tensor[], axis: number): Tensor {
    return this.unsqueeze(axis).concat(
      others.map((other) => other.unsqueeze(axis)),
      axis,
    );
  }
  split(sizes: readonly number[], axis: number): readonly Tensor[] {
    const normal = normalizeAxis(axis, this.shape.length, "split");
    return sizes.length === 1 && sizes[0] === this.shape[normal]
      ? [this]
      : apply(layout.split, [this], { axis: normal, sizes });
  }

  /** The same, but not computed before those others, which are floats. */
  after(others: readonly Tensor[]): Tensor {
    return others.length === 0 ? this : apply(after, [this, ...others], {})[0]!;
  }

  // Indexing.

  /** Rows of this table `(V, …)` by index. */
  gatherRows(indices: Tensor): Tensor {
    return apply(indexing.gatherRows, [this, indices], {})[0]!;
  }
  scatterAddRows(indices: Tensor, updates: Tensor): Tensor {
    return apply(indexing.scatterAddRows, [this, indices, updates], {})[0]!;
  }
  /** Elements of the last axis by index. */
  takeAlongLast(indices: Tensor): Tensor {
    return apply(indexing.takeAlongLast, [this, indices], {})[0]!;
  }
  scatterAddAlongLast(indices: Tensor, updates: Tensor): Tensor {
    return apply(indexing.scatterAddAlongLast, [this, indices, updates], {})[0]!;
  }
  /** The `count` largest elements of the last axis, in falling order, and their int64 indices. */
  topK(count: number): { readonly values: Tensor; readonly indices: Tensor } {
    const [values, indices] = apply(topK, [this], { count });
    return { values: values!, indices: indices! };
  }
  oneHot(depth: number): Tensor {
    return apply(indexing.oneHot, [this], { depth })[0]!;
  }

  // What networks are made of.

  softmax(axis = -1): Tensor {
    return apply(softmax, [this], { axis: normalizeAxis(axis, this.shape.length, "softmax") })[0]!;
  }
  logSoftmax(axis = -1): Tensor {
    return apply(logSoftmax, [this], { axis: normalizeAxis(axis, this.shape.length, "logSoftmax") })[0]!;
  }
  layerNorm(weight: Tensor, bias: Tensor, epsilon: number): Tensor {
    return apply(layerNorm, [this, weight, bias], { epsilon })[0]!;
  }
  rmsNorm(weight: Tensor, epsilon: number): Tensor {
    return apply(rmsNorm, [this, weight], { epsilon })[0]!;
  }
  /** With this tensor as logits `(N, V)`: mean cross-entropy in nats against labels `(N)`. */
  crossEntropy(labels: Tensor, options: Partial<CrossEntropyAttributes> = {}): Tensor {
    return apply(crossEntropy, [this, labels], { ignoredLabel: -1, labelSmoothing: 0, ...options })[0]!;
  }
  /** With this tensor as queries `(B, H, T, D)`: attention over keys and values `(B, G, S, D)`. */
  attention(key: Tensor, value: Tensor, attributes: AttentionAttributes, mask?: Tensor): Tensor {
    return apply(attention, mask ? [this, key, value, mask] : [this, key, value], attributes)[0]!;
  }
  /** With this tensor as queries `(B, T, H·D)`: causal attention over a cache that the new tokens extend. */
  cachedAttention(cache: CachedInputs, attributes: CachedAttentionAttributes): CachedResults {
    const { key, value, pastKey, pastValue, lengths, totalLength } = cache;
    const inputs = [this, key, value, pastKey, pastValue, lengths, totalLength];
    const [result, presentKey, presentValue] = apply(cachedAttention, inputs, attributes);
    return { result: result!, presentKey: presentKey!, presentValue: presentValue! };
  }
  /** With this tensor `(B, H, T, D)` or `(B, T, H·D)`: turned by tables `(M, R/2)`, at `positions` `(B, T)` or 0, 1, 2 … */
  rotary(cos: Tensor, sin: Tensor, attributes: RotaryAttributes, positions?: Tensor): Tensor {
    return apply(rotary, positions ? [this, cos, sin, positions] : [this, cos, sin], attributes)[0]!;
  }

  // Images (B, C, L) and (B, C, H, W).

  /** With this tensor `(B, C, L)`: weight `(O, C/groups, K)`, bias `(O)`. */
  convolution(weight: Tensor, bias?: Tensor, options: ConvolutionOptions = {}): Tensor {
    const attributes = convolutionAttributes(this.shape.length - 2, options);
    return apply(convolution, bias ? [this, weight, bias] : [this, weight], attributes)[0]!;
  }
  /** With this tensor `(B, C, L)`: weight `(C, O/groups, K)`, bias `(O)`. */
  convolutionTranspose(weight: Tensor, bias?: Tensor, options: ConvolutionTransposeOptions = {}): Tensor {
    const outputPadding = options.outputPadding ?? this.shape.slice(2).map(() => 0);
    const attributes = { ...convolutionAttributes(this.shape.length - 2, options), outputPadding };
    return apply(convolutionTranspose, bias ? [this, weight, bias] : [this, weight], attributes)[0]!;
  }
  /** Largest element of each window. */
  maxPool(options: PoolOptions): Tensor {
    return apply(maxPool, [this], poolAttributes(this.shape.length - 2, options))[0]!;
  }
  /** Mean of each window; padding counts only with `countPadding`. */
  averagePool({
    countPadding = false,
    ...options
  }: PoolOptions & { readonly countPadding?: boolean }): Tensor {
    const attributes = poolAttributes(this.shape.length - 2, options);
    return apply(averagePool, [this], { ...attributes, countPadding })[0]!;
  }
  /** Every element that many times along each spatial axis (nearest neighbour). */
  upsample(factor: number | readonly number[]): Tensor {
    const [batch, numChannels, ...sizes] = this.shape as [number, number, ...number[]];
    const factors = perAxis("upsample", "factors", sizes.length, factor);
    const apart = sizes.flatMap((size) => [size, 1]);
    const repeated = sizes.flatMap((size, axis) => [size, factors[axis]!]);
    return this.reshape([batch, numChannels, ...apart])
      .broadcastTo([batch, numChannels, ...repeated])
      .reshape([batch, numChannels, ...sizes.map((size, axis) => size * factors[axis]!)]);
  }
  /** With this tensor `(B, C, …)`: normalised over each group of channels and all places; weight and bias `(C)`. */
  groupNorm(weight: Tensor, bias: Tensor, groups: number, epsilon: number): Tensor {
    return apply(groupNorm, [this, weight, bias], { groups, epsilon })[0]!;
  }

  #binary(op: Op, other: Tensor | number): Tensor {
    return apply(op, [this, typeof other === "number" ? this.scalar(other) : other], {})[0]!;
  }
  #unary(op: Op): Tensor {
    return apply(op, [this], {})[0]!;
  }
}

/** What cached attention takes besides the queries; see the operator for the shapes. */
export interface CachedInputs {
  readonly key: Tensor;
  readonly value: Tensor;
  readonly pastKey: Tensor;
  readonly pastValue: Tensor;
  readonly lengths: Tensor;
  readonly totalLength: Tensor;
}

/** What cached attention yields: `result`, and the cache with the new tokens in it. */
export interface CachedResults {
  readonly result: Tensor;
  readonly presentKey: Tensor;
  readonly presentValue: Tensor;
}

/** Applies an operator: checks shapes now, computes later. Returns all outputs. */
export function apply<A extends object>(
  op: Op<A>,
  inputs: readonly Tensor[],
  attributes: A,
): readonly Tensor[] {
  const outputs: Tensor[] = [];
  const node: Node = { id: nextId++, op: op as Op, leaf: undefined, attributes, inputs, outputs };
  op.infer(inputs, attributes).forEach((spec, i) => {
    outputs.push(new Tensor(node, i, spec));
  });
  return outputs;
}

function leaf(kind: Leaf, spec: TensorSpec): Tensor {
  const outputs: Tensor[] = [];
  const node: Node = { id: nextId++, op: undefined, leaf: kind, attributes: {}, inputs: [], outputs };
  outputs.push(new Tensor(node, 0, spec));
  return outputs[0]!;
}

/** A value given when the program runs. */
export function input(name: string, dtype: DType, shape: Shape): Tensor {
  return leaf({ kind: "input", name }, { dtype, shape });
}

/** A trainable value, known by its path in the model, such as `h.0.attn.c_attn.weight`. */
export function parameter(path: string, shape: readonly number[], dtype: DType = "float32"): Tensor {
  return leaf({ kind: "parameter", path }, { dtype, shape });
}

/** A value fixed when the graph is written. */
export function constant(value: HostTensor): Tensor {
  return leaf({ kind: "constant", value }, value);
}

/**
 * A constant scalar.
 *
 * @throws {ShapeError} if the dtype cannot hold the value: nothing is rounded unasked.
 */
export function scalar(dtype: DType, value: number): Tensor {
  if (dtype === "float16" || (!compare.isFloat(dtype) && !Number.isInteger(value))) {
    throw new ShapeError({ where: "scalar", expected: `a number that ${dtype} holds`, got: `${value}` });
  }
  const data = allocate(dtype, 1);
  data[0] = dtype === "int64" ? BigInt(value) : value;
  return constant({ dtype, shape: [], data });
}

/** The product of several dimensions as one; at most one of them may be a mere name. */
function foldDims(dims: Shape): Dim {
  if (dims.length === 1) return dims[0]!;
  const named = dims.filter((dim) => typeof dim === "string");
  if (named.length === 0) return dims.reduce<number>((n, dim) => n * (dim as number), 1);
  if (dims.some((dim) => dim === 0)) {
    throw new ShapeError({ where: "linear", expected: "sizes above 0", got: showShape(dims) });
  }
  return dims.join("·");
}
