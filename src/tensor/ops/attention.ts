import { ShapeError } from "../../core/errors.ts";
import { showShape, staticShape } from "../../core/shape.ts";
import { broadcastIndex, type NdArray, ndArray, unravel } from "../nd-array.ts";
import type { EmitCall, Op, TensorSpec } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { addTerms } from "./add-terms.ts";
import { expectRank } from "./checks.ts";
import { float32, int64s } from "./constants.ts";
import { softmaxLines } from "./softmax.ts";

// B batch · H query heads · G key/value heads · T queries · S keys · D head width

export interface AttentionAttributes {
  /** Factor on q·k, usually 1/√D. */
  readonly scale: number;
  /** Query t sees keys s ≤ t + (S − T): with a prefix of cached keys the last query still sees everything. */
  readonly causal: boolean;
  /** With `causal`: a query sees that many keys, itself included. */
  readonly window?: number;
}

interface Sizes {
  readonly B: number;
  readonly H: number;
  readonly G: number;
  readonly T: number;
  readonly S: number;
  readonly D: number;
}

function sizesOf(q: { shape: TensorSpec["shape"] }, k: { shape: TensorSpec["shape"] }): Sizes {
  const [B, H, T, D] = q.shape as number[];
  const [, G, S] = k.shape as number[];
  return { B: B!, H: H!, G: G!, T: T!, S: S!, D: D! };
}

/** Whether key s is in sight of query t. */
function isVisible(t: number, s: number, { T, S }: Sizes, { causal, window }: AttentionAttributes): boolean {
  if (!causal) return true;
  const last = t + S - T;
  return s <= last && (window === undefined || s > last - window);
}

/** Large enough to vanish in a softmax, small enough that sums of two stay finite. */
const HIDDEN = -1e30;

/**
 * Scaled dot-product attention: `softmax(scale · q·kᵀ, hidden keys left out) · v` (Vaswani et al. 2017, eq. 1).
 *
 * q `(B, H, T, D)`, k and v `(B, G, S, D)` (v may have a width of its own); each of the G serves H/G query heads (Ainslie et al. 2023, §2.2). An optional
 * fourth input is a boolean mask that broadcasts to `(B, H, T, S)`, true where a key may be seen; a query that sees
 * no key at all yields zeros and passes no gradient. Yields the result and the weights `(B, G, H/G·T, S)`.
 */
export const attention: Op<AttentionAttributes> = {
  name: "attention",
  infer: ([q, k, v], { causal }) => {
    for (const spec of [q!, k!, v!]) expectRank("attention", spec, 4);
    if (causal) staticShape([q!.shape[2]!, k!.shape[2]!], "causal attention");
    const { B, H, G, T, S, D } = sizesOf(q!, k!);
    const fits = k!.shape[0] === B && k!.shape[3] === D && v!.shape[1] === G && v!.shape[2] === S;
    if (!fits || H % G !== 0) {
      throw new ShapeError({
        where: "attention",
        expected: "q [B, H, T, D] and k, v [B, G, S, D] with H a multiple of G",
        got: [q!, k!, v!].map(({ shape }) => showShape(shape)).join(", "),
      });
    }
    return [
      { dtype: q!.dtype, shape: [...q!.shape.slice(0, 3), v!.shape[3]!] },
      { dtype: q!.dtype, shape: [B, G, H === G ? T : (H / G) * T, S] },
    ];
  },
  reference: ([q, k, v, mask], attributes) => {
    const sizes = sizesOf(q!, k!);
    const { B, H, G, T, S, D } = sizes;
    const scores = ndArray([B, H, T, S], (flat) => {
      const [b, h, t, s] = unravel(flat, [B, H, T, S]) as [number, number, number, number];
      const open = isVisible(t, s, sizes, attributes) && (!mask || maskAt(mask, [b, h, t, s]));
      if (!open) return Number.NEGATIVE_INFINITY;
      const fromQ = ((b * H + h) * T + t) * D;
      const fromK = ((b * G + Math.floor((h * G) / H)) * S + s) * D;
      let dot = 0;
      for (let d = 0; d < D; d++) dot += q!.data[fromQ + d]! * k!.data[fromK + d]!;
      return dot * attributes.scale;
    });
    const weights = softmaxLines(scores, 3);
    const width = v!.shape[3]!;
    const result = ndArray([B, H, T, width], (flat) => {
      const [b, h, t, d] = unravel(flat, [B, H, T, width]) as [number, number, number, number];
      let sum = 0;
      for (let s = 0; s < S; s++) {
        const fromV = ((b * G + Math.floor((h * G) / H)) * S + s) * width + d;
        sum += weights.data[((b * H + h) * T + t) * S + s]! * v!.data[fromV]!;
      }
      return sum;
    });
    return [result, { shape: [B, G, (H / G) * T, S], data: weights.data }];
  },
  emit: emitAttention,
  gradient: ({ inputs, outputs, gradients: [g, g2], attributes: { scale } }) => {
    const [q, k, v] = inputs as [Tensor, Tensor, Tensor];
    const [result, weights] = outputs as [Tensor, Tensor];
    const fold = (x: Tensor) => x.reshape([...weights.shape.slice(0, 3), x.shape[3]!]); // (B, G, H/G·T, D)
    const byResult = g && fold(g);
    const byWeights = addTerms(byResult?.matmul(v, { transposeB: true }), g2)!;
    // Σ_s weights·(dOut·vᵀ) is Σ_d dOut·out: D columns instead of S.
    const rowSum = addTerms(g && fold(g.mul(result).sum(-1, true)), g2?.mul(weights).sum(-1, true))!;
    const byScores = weights.mul(byWeights.sub(rowSum));
    return [
      byScores.matmul(k, { scale }).reshape(q.shape),
      byScores.matmul(fold(q), { transposeA: true, scale }),
      byResult && weights.matmul(byResult, { transposeA: true }),
      undefined,
    ];
  },
  flops: ([q, k, v]) => {
    const [B, H, T, D] = staticShape(q!.shape, "attention") as [number, number, number, number];
    return 2 * B * H * T * (k!.shape[2] as number) * (D + (v!.shape[3] as number));
  },
  samples: [
    {
      shapes: [
        [1, 2, 3, 4],
        [1, 2, 3, 4],
        [1, 2, 3, 4],
      ],
      attributes: { scale: 0.5, causal: true },
    },
    {
      shapes: [
        [2, 4, 3, 2],
        [2, 1, 5, 2],
        [2, 1, 5, 2],
      ],
      attributes: { scale: 0.7, causal: true, window: 2 },
    },
    {
      shapes: [
        [1, 4, 2, 3],
        [1, 2, 4, 3],
        [1, 2, 4, 3],
      ],
      attributes: { scale: 1, causal: false },
    },
    {
      shapes: [
        [2, 2, 2, 3],
        [2, 2, 3, 3],
        [2, 2, 3, 3],
        [2, 1, 1, 3],
      ],
      attributes: { scale: 1, causal: false },
      draw: ["signed", "signed", "signed", { values: [1, 0, 1, 0, 0, 0], dtype: "bool" }],
    },
    // Left padding: the first query of the first row sees no key, as what the mask leaves lies ahead of it. Values of another width.
    {
      shapes: [
        [2, 2, 3, 2],
        [2, 1, 3, 2],
        [2, 1, 3, 4],
        [2, 1, 1, 3],
      ],
      attributes: { scale: 1, causal: true },
      draw: ["signed", "signed", "signed", { values: [0, 1, 1, 1, 1, 1], dtype: "bool" }],
    },
    // More queries than keys: the first two see none.
    {
      shapes: [
        [1, 1, 3, 2],
        [1, 1, 1, 2],
        [1, 1, 1, 2],
      ],
      attributes: { scale: 1, causal: true },
    },
  ],
};

function maskAt(mask: NdArray, index: readonly number[]): boolean {
  return mask.data[broadcastIndex(index, mask.shape)] !== 0;
}

function emitAttention({ emitter, inputs, inputSpecs, attributes }: EmitCall<AttentionAttributes>) {
  const [q, k, v, mask] = inputs;
  const sizes = sizesOf(inputSpecs[0]!, inputSpecs[1]!);
  const { B, H, G, T, S, D } = sizes;
  const reshape = (name: string, shape: readonly number[]) =>
    emitter.node("Reshape", [name, int64s(emitter, shape)])[0]!;
  const folded = H === G ? q! : reshape(q!, [B, G, (H / G) * T, D]);
  let scores = emitter.supports("FusedMatMul")
    ? emitter.node("FusedMatMul", [folded, k!], {
        domain: "com.microsoft",
        attributes: { transB: 1n, alpha: attributes.scale },
      })[0]!
    : emitScores(emitter, folded, k!, attributes.scale);
  const onHeads = (name: string, hide: (scores: string) => string) =>
    H === G ? hide(name) : reshape(hide(reshape(name, [B, H, T, S])), [B, G, (H / G) * T, S]);
  const isOpen = (i: number) => isVisible(Math.floor(i / S), i % S, sizes, attributes);
  const openKeys = () => {
    const data = Uint8Array.from({ length: T * S }, (_, i) => Number(isOpen(i)));
    return emitter.constant({ dtype: "bool", shape: [T, S], data });
  };
  // Adding is quicker than choosing, but cannot tell a row in which everything is hidden.
  let open = mask;
  if (attributes.causal && mask) open = emitter.node("And", [mask, openKeys()])[0]!;
  else if (attributes.causal && T > S) open = openKeys();
  else if (attributes.causal) {
    const data = Float32Array.from({ length: T * S }, (_, i) => (isOpen(i) ? 0 : HIDDEN));
    const hidden = emitter.constant({ dtype: "float32", shape: [T, S], data });
    scores = onHeads(scores, (name) => emitter.node("Add", [name, hidden])[0]!);
  }
  const choose = (name: string, otherwise: number) =>
    onHeads(name, (kept) => emitter.node("Where", [open!, kept, float32(emitter, otherwise)])[0]!);
  if (open) scores = choose(scores, HIDDEN);
  let weights = emitter.node("Softmax", [scores], { attributes: { axis: -1n } })[0]!;
  if (open) weights = choose(weights, 0);
  const result = emitter.node("MatMul", [weights, v!])[0]!;
  return [H === G ? result : reshape(result, [B, H, T, inputSpecs[2]!.shape[3] as number]), weights];
}

function emitScores(emitter: EmitCall["emitter"], q: string, k: string, scale: number): string {
  const flipped = emitter.node("Transpose", [k], { attributes: { perm: [0n, 1n, 3n, 2n] } })[0]!;
  return emitter.node("Mul", [emitter.node("MatMul", [q, flipped])[0]!, float32(emitter, scale)])[0]!;
}
