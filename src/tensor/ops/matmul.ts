import { numElements } from "../../core/dtype.ts";
import { ShapeError } from "../../core/errors.ts";
import { broadcastShapes, type Shape, showShape, staticShape } from "../../core/shape.ts";
import { broadcastIndex, ndArray, unravel } from "../nd-array.ts";
import type { Emitter, Op, TensorSpec } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { expectSameDType } from "./checks.ts";
import { float32 } from "./constants.ts";
import { emitOperands, emitQuantizedProduct } from "./quantized.ts";

export interface MatmulAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Factor on the product. */
  readonly scale: number;
}

/** Rows and columns of the last two axes, after the transpose flag. */
function matrixOf(spec: TensorSpec, transpose: boolean): Shape {
  if (spec.shape.length < 2) {
    throw new ShapeError({ where: "matmul", expected: "at least 2 axes", got: showShape(spec.shape) });
  }
  const [rows, columns] = spec.shape.slice(-2);
  return transpose ? [columns!, rows!] : [rows!, columns!];
}

/** `scale · op(a) · op(b)` over the last two axes, the leading ones broadcast as batches. */
export const matmul: Op<MatmulAttributes> = {
  name: "matmul",
  infer: ([a, b], { transposeA, transposeB }) => {
    expectSameDType("matmul", a!, b!);
    const [m, k] = matrixOf(a!, transposeA);
    const [k2, n] = matrixOf(b!, transposeB);
    if (k !== k2) {
      throw new ShapeError({
        where: "matmul",
        expected: "inner sizes that agree",
        got: `${showShape(a!.shape)}${transposeA ? "ᵀ" : ""} · ${showShape(b!.shape)}${transposeB ? "ᵀ" : ""}`,
      });
    }
    const batch = broadcastShapes(a!.shape.slice(0, -2), b!.shape.slice(0, -2), "matmul");
    return [{ dtype: a!.dtype, shape: [...batch, m!, n!] }];
  },
  reference: ([a, b], { transposeA, transposeB, scale }) => {
    const [m, k] = matrixOf({ dtype: "float64", shape: a!.shape }, transposeA) as [number, number];
    const n = matrixOf({ dtype: "float64", shape: b!.shape }, transposeB)[1] as number;
    const batch = broadcastShapes(a!.shape.slice(0, -2), b!.shape.slice(0, -2), "matmul") as number[];
    const result = ndArray([...batch, m, n], (flat) => {
      const index = unravel(flat, [...batch, m, n]);
      const [row, column] = index.slice(-2) as [number, number];
      const fromA = broadcastIndex(index.slice(0, -2), a!.shape.slice(0, -2)) * m * k;
      const fromB = broadcastIndex(index.slice(0, -2), b!.shape.slice(0, -2)) * k * n;
      let dot = 0;
      for (let i = 0; i < k; i++) {
        const left = a!.data[fromA + (transposeA ? i * m + row : row * k + i)]!;
        const right = b!.data[fromB + (transposeB ? column * k + i : i * n + column)]!;
        dot += left * right;
      }
      return scale * dot;
    });
    return [result];
  },
  emit: ({ emitter, inputs, inputSpecs, attributes }) => {
    const { transposeA, transposeB, scale } = attributes;
    const quantized =
      !transposeA && scale === 1 ? emitQuantizedProduct(emitter, inputs, transposeB) : undefined;
    if (quantized) return quantized;
    const [a, b] = emitOperands(emitter, inputs, inputSpecs);
    const flips = { transposeA: transposeA !== a.isFlipped, transposeB: transposeB !== b.isFlipped, scale };
    return emitProduct(emitter, [a.name, b.name], inputSpecs, flips);
  },
  gradient: ({ inputs, gradients: [g], attributes: { transposeA, transposeB, scale } }) => {
    const [a, b] = inputs as [Tensor, Tensor];
    // d(AB)/dA = G·Bᵀ and d(AB)/dB = Aᵀ·G, each written so that no transpose is ever materialised.
    const byA = transposeA
      ? b.matmul(g!, { transposeA: transposeB, transposeB: true, scale })
      : g!.matmul(b, { transposeB: !transposeB, scale });
    const byB = transposeB
      ? g!.matmul(a, { transposeA: true, transposeB: transposeA, scale })
      : a.matmul(g!, { transposeA: !transposeA, scale });
    return [byA.sumTo(a.shape), byB.sumTo(b.shape)];
  },
  flops: ([a, b], { transposeA, transposeB }) => {
    const batch = broadcastShapes(a!.shape.slice(0, -2), b!.shape.slice(0, -2), "matmul");
    const [m, k] = matrixOf(a!, transposeA);
    return 2 * numElements(staticShape([...batch, m!, k!, matrixOf(b!, transposeB)[1]!], "matmul"));
  },
  samples: [
    {
      shapes: [
        [3, 4],
        [4, 2],
      ],
      attributes: { transposeA: false, transposeB: false, scale: 1 },
    },
    {
      shapes: [
        [4, 3],
        [2, 4],
      ],
      attributes: { transposeA: true, transposeB: true, scale: 0.5 },
    },
    {
      shapes: [
        [2, 1, 3, 4],
        [2, 5, 4],
      ],
      attributes: { transposeA: false, transposeB: true, scale: 2 },
    },
    {
      shapes: [
        [2, 1, 1],
        [1, 1, 3],
      ],
      attributes: { transposeA: true, transposeB: false, scale: 1 },
    },
  ],
};

function emitProduct(
  emitter: Emitter,
  [a, b]: readonly [string, string],
  specs: readonly TensorSpec[],
  { transposeA, transposeB, scale }: MatmulAttributes,
): readonly string[] {
  if (!transposeA && !transposeB && scale === 1) return emitter.node("MatMul", [a, b]);
  if (emitter.supports("FusedMatMul")) {
    return emitter.node("FusedMatMul", [a, b], {
      domain: "com.microsoft",
      attributes: { transA: BigInt(transposeA), transB: BigInt(transposeB), alpha: scale },
    });
  }
  const flip = (name: string, rank: number) => {
    const axes = Array.from({ length: rank }, (_, axis) => BigInt(axis));
    const perm = [...axes.slice(0, -2), axes[rank - 1]!, axes[rank - 2]!];
    return emitter.node("Transpose", [name], { attributes: { perm } })[0]!;
  };
  const left = transposeA ? flip(a, specs[0]!.shape.length) : a;
  const right = transposeB ? flip(b, specs[1]!.shape.length) : b;
  const product = emitter.node("MatMul", [left, right]);
  return scale === 1 ? product : emitter.node("Mul", [product[0]!, float32(emitter, scale)]);
}

export interface LinearAttributes {
  /** The weight is stored `(out, in)` rather than `(in, out)`. */
  readonly transposeWeight: boolean;
}

/** `x · W + b` for a matrix x `(N, in)`, weight `(in, out)` or `(out, in)`, bias `(out)`: one runtime call. */
export const linear: Op<LinearAttributes> = {
  name: "linear",
  infer: ([x, weight, bias], { transposeWeight }) => {
    const [rows, inner] = x!.shape;
    const [inSize, outSize] = matrixOf(weight!, transposeWeight);
    const fits = x!.shape.length === 2 && inner === inSize && bias!.shape.length === 1;
    if (!fits || bias!.shape[0] !== outSize) {
      throw new ShapeError({
        where: "linear",
        expected: `x [rows, ${inSize}] and bias [${outSize}] for weight ${showShape(weight!.shape)}`,
        got: `${showShape(x!.shape)} and ${showShape(bias!.shape)}`,
      });
    }
    return [{ dtype: x!.dtype, shape: [rows!, outSize!] }];
  },
  reference: ([x, weight, bias], { transposeWeight }) => {
    const attributes = { transposeA: false, transposeB: transposeWeight, scale: 1 };
    const [product] = matmul.reference([x!, weight!], attributes);
    const outSize = bias!.shape[0]!;
    return [ndArray(product!.shape, (flat) => product!.data[flat]! + bias!.data[flat % outSize]!)];
  },
  emit: ({ emitter, inputs, inputSpecs, attributes: { transposeWeight } }) => {
    const quantized = emitQuantizedProduct(emitter, inputs, transposeWeight);
    if (quantized) return quantized;
    const [x, weight] = emitOperands(emitter, inputs, inputSpecs);
    const transB = BigInt(transposeWeight !== weight.isFlipped);
    return emitter.node("Gemm", [x.name, weight.name, inputs[2]!], {
      attributes: { transA: BigInt(x.isFlipped), transB },
    });
  },
  gradient: ({ inputs, gradients: [g], attributes: { transposeWeight } }) => {
    const [x, weight] = inputs as [Tensor, Tensor];
    const byWeight = transposeWeight
      ? g!.matmul(x, { transposeA: true })
      : x.matmul(g!, { transposeA: true });
    return [g!.matmul(weight, { transposeB: !transposeWeight }), byWeight, g!.sum(0)];
  },
  flops: ([x, weight]) => 2 * numElements(staticShape([x!.shape[0]!, ...weight!.shape], "linear")),
  samples: [
    { shapes: [[3, 4], [2, 4], [2]], attributes: { transposeWeight: true } },
    { shapes: [[3, 4], [4, 2], [2]], attributes: { transposeWeight: false } },
    { shapes: [[1, 5], [5, 1], [1]], attributes: { transposeWeight: false } },
  ],
};
