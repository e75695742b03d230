import type { DType } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { broadcastShapes } from "../../core/shape.ts";
import { mapBroadcast } from "../nd-array.ts";
import type { Op } from "../op.ts";
import { expectSameDType } from "./checks.ts";

type NoAttributes = Readonly<Record<string, never>>;

/** A comparison or logical operator of two tensors that broadcast: yields booleans, carries no gradient. */
function predicate(name: string, onnx: string, holds: (a: number, b: number) => boolean): Op<NoAttributes> {
  const draw = name.startsWith("logical")
    ? (["boolean", "boolean"] as const)
    : ([{ below: 3 }, { below: 3 }] as const);
  return {
    name,
    infer: ([a, b]) => {
      expectSameDType(name, a!, b!);
      return [{ dtype: "bool", shape: broadcastShapes(a!.shape, b!.shape, name) }];
    },
    reference: (inputs) => [mapBroadcast(inputs, (a, b) => Number(holds(a!, b!)))],
    emit: ({ emitter, inputs }) => emitter.node(onnx, inputs),
    samples: [
      { shapes: [[3, 4], [4]], attributes: {}, draw },
      {
        shapes: [
          [2, 1],
          [1, 5],
        ],
        attributes: {},
        draw,
      },
      { shapes: [[], [6]], attributes: {}, draw },
    ],
  };
}

/** `a = b`. */
export const equal: Op<NoAttributes> = predicate("equal", "Equal", (a, b) => a === b);
/** `a < b`. */
export const less: Op<NoAttributes> = predicate("less", "Less", (a, b) => a < b);
/** `a ≤ b`. */
export const lessEqual: Op<NoAttributes> = predicate("lessEqual", "LessOrEqual", (a, b) => a <= b);
/** `a > b`. */
export const greater: Op<NoAttributes> = predicate("greater", "Greater", (a, b) => a > b);
/** `a ≥ b`. */
export const greaterEqual: Op<NoAttributes> = predicate("greaterEqual", "GreaterOrEqual", (a, b) => a >= b);
/** True where both are. */
export const logicalAnd: Op<NoAttributes> = predicate("logicalAnd", "And", (a, b) => a !== 0 && b !== 0);
/** True where either is. */
export const logicalOr: Op<NoAttributes> = predicate("logicalOr", "Or", (a, b) => a !== 0 || b !== 0);

/** True where false. */
export const logicalNot: Op<NoAttributes> = {
  name: "logicalNot",
  infer: ([x]) => [x!],
  reference: (inputs) => [mapBroadcast(inputs, (x) => Number(x === 0))],
  emit: ({ emitter, inputs }) => emitter.node("Not", inputs),
  samples: [[4], [2, 1, 3], []].map((shape) => ({ shapes: [shape], attributes: {}, draw: ["boolean"] })),
};

/** `condition ? a : b`, elementwise with broadcasting. */
export const where: Op<NoAttributes> = {
  name: "where",
  infer: ([condition, a, b]) => {
    if (condition!.dtype !== "bool") {
      throw new ShapeError({ where: "where", expected: "a bool condition", got: condition!.dtype });
    }
    expectSameDType("where", a!, b!);
    const joint = broadcastShapes(a!.shape, b!.shape, "where");
    return [{ dtype: a!.dtype, shape: broadcastShapes(condition!.shape, joint, "where") }];
  },
  reference: (inputs) => [mapBroadcast(inputs, (condition, a, b) => (condition ? a! : b!))],
  emit: ({ emitter, inputs }) => emitter.node("Where", inputs),
  gradient: ({ inputs: [condition, a, b], gradients: [g] }) => {
    const zero = g!.zero();
    return [
      undefined,
      condition!.where(g!, zero).sumTo(a!.shape),
      condition!.where(zero, g!).sumTo(b!.shape),
    ];
  },
  samples: [
    { shapes: [[3, 4], [3, 4], [4]], attributes: {}, draw: ["boolean", "signed", "signed"] },
    { shapes: [[2, 1], [1, 3], []], attributes: {}, draw: ["boolean", "signed", "signed"] },
    { shapes: [[5], [1], [5]], attributes: {}, draw: ["boolean", "signed", "signed"] },
  ],
};

/** Converts the element type. Only float → float carries a gradient. */
export const cast: Op<{ readonly to: DType }> = {
  name: "cast",
  infer: ([x], { to }) => [{ dtype: to, shape: x!.shape }],
  reference: (inputs, { to }) => [
    mapBroadcast(inputs, (x) => (to === "bool" ? Number(x !== 0) : isFloat(to) ? x! : Math.trunc(x!))),
  ],
  emit: ({ emitter, inputs, attributes }) =>
    emitter.node("Cast", inputs, { attributes: { to: ONNX_TYPE[attributes.to] } }),
  gradient: ({ inputs: [x], gradients: [g] }) => [isFloat(x!.dtype) ? g!.cast(x!.dtype) : undefined],
  samples: [
    { shapes: [[3, 2]], attributes: { to: "float32" } },
    { shapes: [[1, 4]], attributes: { to: "float32" }, draw: ["boolean"] },
    { shapes: [[]], attributes: { to: "int32" }, draw: [{ below: 9 }] },
  ],
};

/** Element type codes of ONNX (`TensorProto.DataType`). */
export const ONNX_TYPE: Readonly<Record<DType, bigint>> = {
  float32: 1n,
  uint8: 2n,
  int8: 3n,
  int32: 6n,
  int64: 7n,
  bool: 9n,
  float16: 10n,
  float64: 11n,
};

/** Whether values of the type are real numbers, so that a gradient makes sense. */
export function isFloat(dtype: DType): boolean {
  return dtype === "float32" || dtype === "float64" || dtype === "float16";
}
