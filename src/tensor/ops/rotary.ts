import { ShapeError } from "../../core/errors.ts";
import { showShape, staticShape } from "../../core/shape.ts";
import { ndArray, unravel } from "../nd-array.ts";
import type { EmitCall, Op, TensorSpec } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { expectIndices, expectRank, expectSameDType } from "./checks.ts";
import { int64s } from "./constants.ts";

// B batch · H heads · T tokens · D head width · R rotated width (≤ D) · M positions in the tables

export interface RotaryAttributes {
  /**
   * Which elements turn together: `half` pairs i with i + R/2 (GPT-NeoX, Llama as published on Hugging Face), `interleaved`
   * pairs 2i with 2i + 1 (the paper, GPT-J).
   */
  readonly layout: "half" | "interleaved";
}

/**
 * Rotary positions: pair i of the first R elements of each head of x `(B, H, T, D)` is turned by the angle of its position,
 * `(a, b) → (a·cos − b·sin, b·cos + a·sin)`; the rest passes (Su et al. 2021, eq. 34). Tables cos and sin are `(M, R/2)`;
 * token t is at position t, or at `positions[b, t]` if that fourth input `(B, T)` is there. Heads that turn whole may also lie
 * side by side, as projections yield them: x `(B, T, H·R)`.
 *
 * The gradient by x is the turn by the negative angle.
 */
export const rotary: Op<RotaryAttributes> = {
  name: "rotary",
  infer: ([x, cos, sin, positions]) => {
    const isSideBySide = x!.shape.length === 3;
    if (!isSideBySide) expectRank("rotary", x!, 4);
    for (const table of [cos!, sin!]) {
      expectRank("rotary table", table, 2);
      expectSameDType("rotary", x!, table);
    }
    const [B, T] = [x!.shape[0]!, x!.shape.at(-2)!];
    const [rows, pairs] = staticShape(cos!.shape, "rotary table") as [number, number];
    const [width] = staticShape([x!.shape.at(-1)!], "rotary") as [number];
    const hasWidth = isSideBySide ? width % (2 * pairs) === 0 : 2 * pairs <= width;
    const fits = hasWidth && sin!.shape[0] === rows && sin!.shape[1] === pairs;
    const reaches = positions || typeof T === "string" || T! <= rows;
    if (!fits || !reaches) {
      throw new ShapeError({
        where: "rotary",
        expected: "cos and sin [positions ≥ T, ≤ D/2] for x [B, H, T, D], or [B, T, H·D] and D/2",
        got: [cos!, sin!, x!].map(({ shape }) => showShape(shape)).join(", "),
      });
    }
    if (positions) expectPositions(positions, B!, T!);
    return [x!];
  },
  reference: ([x, cos, sin, positions], { layout }) => {
    const pairs = cos!.shape[1]!;
    const isSideBySide = x!.shape.length === 3;
    const T = x!.shape.at(-2)!;
    const result = ndArray(x!.shape, (flat) => {
      const index = unravel(flat, x!.shape);
      const [b, t] = [index[0]!, index.at(-2)!];
      const d = isSideBySide ? index[2]! % (2 * pairs) : index[3]!;
      if (d >= 2 * pairs) return x!.data[flat]!;
      const row = positions ? positions.data[b * T + t]! : t;
      const pair = layout === "half" ? d % pairs : Math.floor(d / 2);
      const isFirst = layout === "half" ? d < pairs : d % 2 === 0;
      const step = layout === "half" ? pairs : 1;
      const other = x!.data[flat + (isFirst ? step : -step)]!;
      const [c, s] = [cos!.data[row * pairs + pair]!, sin!.data[row * pairs + pair]!];
      return isFirst ? x!.data[flat]! * c - other * s : x!.data[flat]! * c + other * s;
    });
    return [result];
  },
  emit: (call) => (call.emitter.supports("RotaryEmbedding") ? emitFused(call) : emitPlain(call)),
  gradient: ({ inputs, gradients: [g], attributes }) => {
    const [x, cos, sin, positions] = inputs as [Tensor, Tensor, Tensor, Tensor | undefined];
    const [a, b] = toPairs(x, cos, attributes);
    const [byA, byB] = toPairs(g!, cos, attributes);
    const toTable = (perHead: Tensor) => {
      const rows = perHead.sum(x.shape.length === 3 ? 2 : 1); // (B, T, R/2)
      const zeros = cos.zero().broadcastTo(cos.shape);
      if (positions) return zeros.scatterAddRows(positions, rows);
      return rows.sum(0).pad(0, 0, (cos.shape[0] as number) - (x.shape.at(-2) as number));
    };
    return [
      g!.rotary(cos, sin.neg(), attributes, positions),
      toTable(byA.mul(a).add(byB.mul(b))),
      toTable(byB.mul(a).sub(byA.mul(b))),
      undefined,
    ];
  },
  samples: [
    {
      shapes: [
        [2, 3, 4, 6],
        [4, 3],
        [4, 3],
      ],
      attributes: { layout: "half" },
    },
    {
      shapes: [
        [1, 2, 3, 4],
        [5, 2],
        [5, 2],
      ],
      attributes: { layout: "interleaved" },
    },
    {
      shapes: [
        [2, 1, 2, 8],
        [7, 2],
        [7, 2],
        [2, 2],
      ],
      attributes: { layout: "half" },
      draw: ["signed", "signed", "signed", { values: [6, 0, 3, 6] }],
    },
    {
      shapes: [
        [2, 2, 1, 6],
        [4, 2],
        [4, 2],
        [2, 1],
      ],
      attributes: { layout: "interleaved" },
      draw: ["signed", "signed", "signed", { values: [2, 3], dtype: "int64" }],
    },
    {
      shapes: [
        [1, 1, 1, 2],
        [1, 1],
        [1, 1],
      ],
      attributes: { layout: "half" },
    },
    // Heads side by side.
    {
      shapes: [
        [2, 3, 8],
        [5, 2],
        [5, 2],
      ],
      attributes: { layout: "half" },
    },
    {
      shapes: [
        [2, 2, 12],
        [7, 3],
        [7, 3],
        [2, 2],
      ],
      attributes: { layout: "interleaved" },
      draw: ["signed", "signed", "signed", { values: [6, 0, 3, 6] }],
    },
  ],
};

function expectPositions(positions: TensorSpec, B: number | string, T: number | string): void {
  expectIndices("rotary positions", positions);
  const { shape } = positions;
  if (shape.length === 2 && shape[0] === B && shape[1] === T) return;
  throw new ShapeError({ where: "rotary", expected: `positions [${B}, ${T}]`, got: showShape(shape) });
}

/** First and second elements of the pairs: each `(B, H, T, R/2)`, or `(B, T, H, R/2)` where heads lie side by side. */
function toPairs(x: Tensor, cos: Tensor, { layout }: RotaryAttributes): readonly [Tensor, Tensor] {
  const pairs = cos.shape[1] as number;
  const heads =
    x.shape.length === 4
      ? x
      : x.reshape([...x.shape.slice(0, 2), (x.shape[2] as number) / (2 * pairs), 2 * pairs]);
  const leading = heads.shape.slice(0, 3);
  const rotated = heads.slice(3, 0, 2 * pairs);
  const [grouped, axis] =
    layout === "half"
      ? [rotated.reshape([...leading, 2, pairs]), 3]
      : [rotated.reshape([...leading, pairs, 2]), 4];
  const take = (which: number) => grouped.slice(axis, which, which + 1).reshape([...leading, pairs]);
  return [take(0), take(1)];
}

function emitFused({ emitter, inputs, inputSpecs, attributes }: EmitCall<RotaryAttributes>) {
  const [x, cos, sin, positions] = inputs as [string, string, string, string | undefined];
  const { shape } = inputSpecs[0]!;
  const rotatedWidth = 2 * (inputSpecs[1]!.shape[1] as number);
  const isPartial = shape.length === 4 && rotatedWidth < (shape[3] as number);
  const partial = () => ({
    num_heads: BigInt(shape[1] as number),
    rotary_embedding_dim: BigInt(rotatedWidth),
  });
  // A single position is where the first token is; the others follow it.
  const places = positions ? toInt64(emitter, positions, inputSpecs[3]!) : int64s(emitter, [0]);
  return emitter.node("RotaryEmbedding", [x, places, cos, sin], {
    domain: "com.microsoft",
    attributes: {
      interleaved: BigInt(attributes.layout === "interleaved"),
      ...(isPartial && partial()),
    },
  });
}

function toInt64(emitter: EmitCall["emitter"], name: string, { dtype }: TensorSpec): string {
  return dtype === "int64" ? name : emitter.node("Cast", [name], { attributes: { to: 7n } })[0]!;
}

function emitPlain({ emitter, inputs, inputSpecs, attributes }: EmitCall<RotaryAttributes>) {
  const [given, cos, sin, positions] = inputs as [string, string, string, string | undefined];
  const pairs = inputSpecs[1]!.shape[1] as number;
  const ints = (...values: number[]) => int64s(emitter, values);
  const one = (type: string, names: readonly string[], options = {}) =>
    emitter.node(type, names, options)[0]!;
  const { shape } = inputSpecs[0]!;
  const isSideBySide = shape.length === 3;
  const numHeads = isSideBySide ? (shape[2] as number) / (2 * pairs) : 1;
  const x = isSideBySide ? one("Reshape", [given, ints(0, 0, numHeads, 2 * pairs)]) : given;
  const rest = isSideBySide ? 0 : (shape[3] as number) - 2 * pairs;
  const start = isSideBySide ? 1n : 2n;
  const numTokens = one("Shape", [x], { attributes: { start, end: start + 1n } });
  const angles = (table: string) => {
    const rows = positions
      ? one("Gather", [table, positions]) // (B, T, R/2)
      : one("Slice", [table, ints(0), numTokens, ints(0)]); // (T, R/2)
    const headAxis = isSideBySide ? -2 : 1;
    return positions || isSideBySide ? one("Unsqueeze", [rows, ints(headAxis)]) : rows;
  };
  const [c, s] = [angles(cos), angles(sin)];
  const halves = (name: string, axis: bigint) =>
    emitter.node("Split", [name, ints(...(axis === 3n ? [pairs, pairs] : [1, 1]))], {
      attributes: { axis },
      numOutputs: 2,
    }) as [string, string];
  const isHalf = attributes.layout === "half";
  const rotated = rest === 0 ? x : one("Slice", [x, ints(0), ints(2 * pairs), ints(3)]);
  const grouped = isHalf ? rotated : one("Reshape", [rotated, ints(0, 0, 0, pairs, 2)]);
  const parts = halves(grouped, isHalf ? 3n : 4n);
  const [a, b] = isHalf ? parts : parts.map((part) => one("Squeeze", [part, ints(4)]));
  const times = (left: string, right: string) => one("Mul", [left, right]);
  const turned = [one("Sub", [times(a!, c), times(b!, s)]), one("Add", [times(b!, c), times(a!, s)])];
  const columns = isHalf ? turned : turned.map((part) => one("Unsqueeze", [part, ints(4)]));
  const joined = one("Concat", columns, { attributes: { axis: isHalf ? 3n : 4n } });
  const result = isHalf ? joined : one("Reshape", [joined, ints(0, 0, 0, 2 * pairs)]);
  if (isSideBySide) return [one("Reshape", [result, ints(0, 0, 2 * pairs * numHeads)])];
  if (rest === 0) return [result];
  const passed = one("Slice", [x, ints(2 * pairs), ints(2 * pairs + rest), ints(3)]);
  return [one("Concat", [result, passed], { attributes: { axis: 3n } })];
}
