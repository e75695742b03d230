import { ShapeError } from "../../core/errors.ts";
import { broadcastShapes } from "../../core/shape.ts";
import { mapBroadcast } from "../nd-array.ts";
import type { GradientCall, Op, Sample, TensorSpec } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { expectSameDType } from "./checks.ts";
import { isFloat } from "./compare.ts";

type NoAttributes = Readonly<Record<string, never>>;

/** Size-1 and broadcast dimensions on either side, and a scalar. */
const BINARY_SHAPES: readonly (readonly (readonly number[])[])[] = [
  [
    [3, 4],
    [3, 4],
  ],
  [
    [2, 1, 4],
    [3, 1],
  ],
  [[5], []],
  [
    [1, 3],
    [2, 2, 3],
  ],
];

const UNARY_SHAPES: readonly (readonly number[])[] = [[7], [3, 1, 5], [1], []];

interface Binary {
  readonly onnx: string;
  readonly compute: (a: number, b: number) => number;
  readonly vjp: (call: { a: Tensor; b: Tensor; y: Tensor; g: Tensor }) => readonly [Tensor, Tensor];
  readonly draw?: Sample["draw"];
}

/** An operator of two tensors that broadcast; the gradients are summed back to the operands' shapes. */
function binary(name: string, { onnx, compute, vjp, draw }: Binary): Op<NoAttributes> {
  return {
    name,
    infer: ([a, b]) => {
      expectSameDType(name, a!, b!);
      return [{ dtype: a!.dtype, shape: broadcastShapes(a!.shape, b!.shape, name) }];
    },
    reference: (inputs) => [mapBroadcast(inputs, compute)],
    emit: ({ emitter, inputs }) => emitter.node(onnx, inputs),
    gradient: ({ inputs, outputs, gradients }) => {
      const [a, b] = inputs as [Tensor, Tensor];
      const [byA, byB] = vjp({ a, b, y: outputs[0]!, g: gradients[0]! });
      return [byA.sumTo(a.shape), byB.sumTo(b.shape)];
    },
    samples: BINARY_SHAPES.map((shapes) => ({ shapes, attributes: {}, ...(draw && { draw }) })),
  };
}

interface Unary {
  readonly onnx: string;
  readonly compute: (x: number) => number;
  /** Absent for piecewise-constant functions. */
  readonly vjp?: (call: { x: Tensor; y: Tensor; g: Tensor }) => Tensor;
  readonly draw?: Sample["draw"];
}

/** An operator applied to each element by itself. */
export function unary(name: string, { onnx, compute, vjp, draw }: Unary): Op<NoAttributes> {
  const gradient = ({ inputs, outputs, gradients }: GradientCall<NoAttributes>) => [
    vjp!({ x: inputs[0]!, y: outputs[0]!, g: gradients[0]! }),
  ];
  return {
    name,
    infer: ([x]) => [x!],
    reference: (inputs) => [mapBroadcast(inputs, compute)],
    emit: ({ emitter, inputs }) => emitter.node(onnx, inputs),
    ...(vjp && { gradient }),
    samples: UNARY_SHAPES.map((shape) => ({ shapes: [shape], attributes: {}, ...(draw && { draw }) })),
  };
}

/** `a + b`. */
export const add: Op<NoAttributes> = binary("add", {
  onnx: "Add",
  compute: (a, b) => a + b,
  vjp: ({ g }) => [g, g],
});

/** `a − b`. */
export const sub: Op<NoAttributes> = binary("sub", {
  onnx: "Sub",
  compute: (a, b) => a - b,
  vjp: ({ g }) => [g, g.neg()],
});

/** `a · b`. */
export const mul: Op<NoAttributes> = binary("mul", {
  onnx: "Mul",
  compute: (a, b) => a * b,
  vjp: ({ a, b, g }) => [g.mul(b), g.mul(a)],
});

const divide = binary("div", {
  onnx: "Div",
  compute: (a, b) => a / b,
  vjp: ({ b, y, g }) => {
    const byA = g.div(b);
    return [byA, byA.mul(y).neg()];
  },
  draw: ["signed", "positive"],
});

/** Division of floats: of integers, runtimes differ in how they round. */
export const div: Op<NoAttributes> = {
  ...divide,
  infer: (inputs, attributes) => {
    const [{ dtype }] = inputs as [TensorSpec];
    if (isFloat(dtype)) return divide.infer(inputs, attributes);
    throw new ShapeError({ where: "div", expected: "floats", got: dtype, fix: "Convert with cast()." });
  },
};

/** `a^b` for positive `a`. */
export const pow: Op<NoAttributes> = binary("pow", {
  onnx: "Pow",
  compute: (a, b) => a ** b,
  vjp: ({ a, b, y, g }) => [g.mul(b).mul(a.pow(b.sub(1))), g.mul(y).mul(a.log())],
  draw: ["positive", "signed"],
});

/** Where the operands tie, the gradient goes to the first. */
export const maximum: Op<NoAttributes> = binary("maximum", {
  onnx: "Max",
  compute: (a, b) => Math.max(a, b),
  vjp: ({ a, b, g }) => splitBy(a.greaterEqual(b), g),
  draw: ["apart", "apart"],
});

/** Where the operands tie, the gradient goes to the first. */
export const minimum: Op<NoAttributes> = binary("minimum", {
  onnx: "Min",
  compute: (a, b) => Math.min(a, b),
  vjp: ({ a, b, g }) => splitBy(a.lessEqual(b), g),
  draw: ["apart", "apart"],
});

function splitBy(takesFirst: Tensor, g: Tensor): readonly [Tensor, Tensor] {
  const zero = g.zero();
  return [takesFirst.where(g, zero), takesFirst.where(zero, g)];
}

/** `−x`. */
export const neg: Op<NoAttributes> = unary("neg", {
  onnx: "Neg",
  compute: (x) => -x,
  vjp: ({ g }) => g.neg(),
});

/** `|x|`; the gradient at 0 is 0. */
export const abs: Op<NoAttributes> = unary("abs", {
  onnx: "Abs",
  compute: Math.abs,
  vjp: ({ x, g }) => g.mul(x.sign()),
  draw: ["apart"],
});

/** −1, 0 or 1. Constant piece by piece, so that its gradient is zero. */
export const sign: Op<NoAttributes> = {
  ...unary("sign", { onnx: "Sign", compute: Math.sign, draw: ["apart"] }),
  gradient: () => [undefined],
};

/** `eˣ`. */
export const exp: Op<NoAttributes> = unary("exp", {
  onnx: "Exp",
  compute: Math.exp,
  vjp: ({ y, g }) => g.mul(y),
});

/** Natural logarithm. */
export const log: Op<NoAttributes> = unary("log", {
  onnx: "Log",
  compute: Math.log,
  vjp: ({ x, g }) => g.div(x),
  draw: ["positive"],
});

/** Square root. */
export const sqrt: Op<NoAttributes> = unary("sqrt", {
  onnx: "Sqrt",
  compute: Math.sqrt,
  vjp: ({ y, g }) => g.div(y).mul(0.5),
  draw: ["positive"],
});

/** `1 / x`. */
export const reciprocal: Op<NoAttributes> = unary("reciprocal", {
  onnx: "Reciprocal",
  compute: (x) => 1 / x,
  vjp: ({ y, g }) => g.mul(y).mul(y).neg(),
  draw: ["positive"],
});

/** Sine, of radians. */
export const sin: Op<NoAttributes> = unary("sin", {
  onnx: "Sin",
  compute: Math.sin,
  vjp: ({ x, g }) => g.mul(x.cos()),
});

/** Cosine, of radians. */
export const cos: Op<NoAttributes> = unary("cos", {
  onnx: "Cos",
  compute: Math.cos,
  vjp: ({ x, g }) => g.mul(x.sin()).neg(),
});

/** Hyperbolic tangent. */
export const tanh: Op<NoAttributes> = unary("tanh", {
  onnx: "Tanh",
  compute: Math.tanh,
  vjp: ({ y, g }) => g.sub(g.mul(y).mul(y)),
});

/** Logistic function, `1 / (1 + e⁻ˣ)`. */
export const sigmoid: Op<NoAttributes> = unary("sigmoid", {
  onnx: "Sigmoid",
  compute: (x) => 1 / (1 + Math.exp(-x)),
  vjp: ({ y, g }) => g.mul(y.sub(y.mul(y))),
});

/** Error function, `2/√π · ∫₀ˣ e^(−t²) dt`. */
export const erf: Op<NoAttributes> = unary("erf", {
  onnx: "Erf",
  compute: errorFunction,
  vjp: ({ x, g }) => g.mul(x.mul(x).neg().exp()).mul(2 / Math.sqrt(Math.PI)),
});

/**
 * erf to double precision: its Maclaurin series near zero, the continued fraction of erfc in the tails
 * (Abramowitz & Stegun 7.1.6 and 7.1.14).
 */
export function errorFunction(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 80; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = size;
  for (let k = 80; k >= 1; k--) fraction = size + k / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction));
}
