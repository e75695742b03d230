import { EnvironmentError, ShapeError } from "../../core/errors.ts";
import { type Dim, type Shape, showShape, staticShape } from "../../core/shape.ts";
import { type NdArray, ndArray } from "../nd-array.ts";
import type { EmitCall, Op, TensorSpec } from "../op.ts";
import { expectRank } from "./checks.ts";

// B batch · H query heads · G key/value heads · T new tokens · M capacity of the cache · D head width

export interface CachedAttentionAttributes {
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  /** Factor on q·k, usually 1/√D. */
  readonly scale: number;
  /** A query sees that many keys, itself included. */
  readonly window?: number;
}

/** The runtime's kernel takes no other widths of heads. */
const HEAD_UNIT = 8;

/**
 * Causal attention over keys and values that are kept between calls.
 *
 * | input                    | shape             |                                                            |
 * | ------------------------ | ----------------- | ---------------------------------------------------------- |
 * | query                    | `(B, T, H·D)`     | of the new tokens                                          |
 * | key, value               | `(B, T, G·D)`     | of the new tokens; each of the G serves H/G query heads    |
 * | pastKey, pastValue       | `(B, G, M, D)`    | the cache so far                                           |
 * | lengths                  | int32 `(B)`       | keys in sight of each row's last token, minus one          |
 * | totalLength              | int32 `(1)`       | the largest of `lengths`, plus one: at most M              |
 * | result                   | `(B, T, H·D)`     |                                                            |
 * | presentKey, presentValue | `(B, G, M, D)`    | the cache with the new tokens' keys and values             |
 *
 * With the same memory bound to past and present the cache is extended in place. Beyond a row's length the cache holds
 * nothing of meaning. A row that has fewer than T tokens (`lengths + 1 < T`, a padded prompt) is only defined up to there. No gradient:
 * training uses `attention`.
 *
 * The runtime takes three kinds of call: a whole prompt (`totalLength` = T), one more token (T = 1), and a longer piece after
 * something cached, the last only with B = 1. It refuses lengths beyond `totalLength`, and
 * one beyond the capacity of a cache that is extended in place.
 */
export const cachedAttention: Op<CachedAttentionAttributes> = {
  name: "cachedAttention",
  infer: (inputs, attributes) => {
    const [query, key, value, pastKey, pastValue, lengths, totalLength] = inputs as TensorSpec[];
    expectRank("cachedAttention query", query!, 3);
    expectRank("cachedAttention cache", pastKey!, 4);
    const [batch, tokens, width] = query!.shape as [Dim, Dim, Dim];
    const { numHeads, numKeyValueHeads } = attributes;
    const headSize = staticShape([width], "cachedAttention")[0]! / numHeads;
    const capacity = pastKey!.shape[2]!;
    if (!Number.isInteger(headSize) || numHeads % numKeyValueHeads !== 0) {
      throw new ShapeError({
        where: "cachedAttention",
        expected: `a width that ${numHeads} heads divide, and heads that are a multiple of ${numKeyValueHeads}`,
        got: showShape(query!.shape),
      });
    }
    if (headSize % HEAD_UNIT !== 0) {
      const expected = `heads of a multiple of ${HEAD_UNIT} numbers`;
      throw new ShapeError({ where: "cachedAttention", expected, got: `${headSize}`, fix: "Pad them." });
    }
    expectShapeOf("key", key!, [batch, tokens, numKeyValueHeads * headSize]);
    expectShapeOf("value", value!, [batch, tokens, numKeyValueHeads * headSize]);
    expectShapeOf("pastKey", pastKey!, [batch, numKeyValueHeads, capacity, headSize]);
    expectShapeOf("pastValue", pastValue!, pastKey!.shape);
    expectShapeOf("lengths", lengths!, [batch], "int32");
    expectShapeOf("totalLength", totalLength!, [1], "int32");
    return [query!, pastKey!, pastValue!];
  },
  reference: ([query, key, value, pastKey, pastValue, lengths], attributes) => {
    const presentKey = extend(pastKey!, key!, lengths!);
    const presentValue = extend(pastValue!, value!, lengths!);
    return [attend(query!, presentKey, presentValue, lengths!, attributes), presentKey, presentValue];
  },
  emit: emitCachedAttention,
  samples: [
    // A prompt into an empty cache.
    sample({ B: 2, T: 3, M: 5, H: 2, G: 2, D: 8 }, [2, 2]),
    // One more token, rows of different lengths, grouped heads.
    sample({ B: 2, T: 1, M: 4, H: 4, G: 2, D: 8 }, [3, 1]),
    // A second piece after a cached one, with a window.
    sample({ B: 1, T: 3, M: 6, H: 2, G: 1, D: 8 }, [5], 2),
    sample({ B: 1, T: 1, M: 1, H: 1, G: 1, D: 8 }, [0], 1),
  ],
};

function expectShapeOf(name: string, spec: TensorSpec, shape: Shape, dtype = "float32"): void {
  const fits = spec.shape.length === shape.length && shape.every((dim, axis) => dim === spec.shape[axis]);
  if (fits && (spec.dtype === dtype || (dtype === "float32" && spec.dtype === "float64"))) return;
  const got = `${spec.dtype} ${showShape(spec.shape)}`;
  throw new ShapeError({
    where: `cachedAttention ${name}`,
    expected: `${dtype} ${showShape(shape)}`,
    got,
  });
}

/** How many keys a row has in its cache ahead of the new tokens. A padded prompt starts at 0. */
function pastLength(lengths: NdArray, b: number, T: number): number {
  return Math.max(0, lengths.data[b]! + 1 - T);
}

/** The cache with the new rows after the old ones; zeros beyond, as the runtime leaves fresh memory. */
function extend(past: NdArray, added: NdArray, lengths: NdArray): NdArray {
  const [B, G, M, D] = past.shape as [number, number, number, number];
  const T = added.shape[1]!;
  const present = ndArray(past.shape);
  for (let line = 0; line < B * G; line++) {
    const [b, g] = [Math.floor(line / G), line % G];
    const start = pastLength(lengths, b, T);
    present.data.set(past.data.subarray(line * M * D, (line * M + start) * D), line * M * D);
    for (let t = 0; t < T; t++) {
      const from = ((b * T + t) * G + g) * D;
      present.data.set(added.data.subarray(from, from + D), (line * M + start + t) * D);
    }
  }
  return present;
}

function attend(
  query: NdArray,
  keys: NdArray,
  values: NdArray,
  lengths: NdArray,
  { numHeads: H, numKeyValueHeads: G, scale, window }: CachedAttentionAttributes,
): NdArray {
  const [B, T] = query.shape as [number, number];
  const [, , M, D] = keys.shape as [number, number, number, number];
  const result = ndArray(query.shape);
  for (let row = 0; row < B * T * H; row++) {
    const [b, t, h] = [Math.floor(row / (T * H)), Math.floor(row / H) % T, row % H];
    const last = pastLength(lengths, b, T) + t;
    const first = window === undefined ? 0 : Math.max(0, last - window + 1);
    const cache = (b * G + Math.floor((h * G) / H)) * M;
    const weights = Array.from({ length: last - first + 1 }, (_, i) => {
      let dot = 0;
      for (let d = 0; d < D; d++) dot += query.data[row * D + d]! * keys.data[(cache + first + i) * D + d]!;
      return Math.exp(scale * dot);
    });
    const total = weights.reduce((a, w) => a + w, 0);
    weights.forEach((weight, i) => {
      for (let d = 0; d < D; d++)
        result.data[row * D + d]! += (weight / total) * values.data[(cache + first + i) * D + d]!;
    });
  }
  return result;
}

function emitCachedAttention(call: EmitCall<CachedAttentionAttributes>): readonly string[] {
  const { emitter, inputs, attributes } = call;
  if (!emitter.supports("GroupQueryAttention")) {
    throw new EnvironmentError({
      where: "cachedAttention",
      expected: "a runtime with GroupQueryAttention",
      got: "a target of plain ONNX operators",
      fix: "Export the model without a cache.",
    });
  }
  const { numHeads, numKeyValueHeads, scale, window } = attributes;
  return emitter.node("GroupQueryAttention", inputs, {
    domain: "com.microsoft",
    numOutputs: 3,
    attributes: {
      num_heads: BigInt(numHeads),
      kv_num_heads: BigInt(numKeyValueHeads),
      scale,
      ...(window !== undefined && { local_window_size: BigInt(window) }),
    },
  });
}

interface SampleSizes {
  readonly B: number;
  readonly T: number;
  readonly M: number;
  readonly H: number;
  readonly G: number;
  readonly D: number;
}

/** @param lengths keys in sight of each row's last token, minus one */
function sample({ B, T, M, H, G, D }: SampleSizes, lengths: readonly number[], window?: number) {
  const cache = [B, G, M, D];
  return {
    shapes: [[B, T, H * D], [B, T, G * D], [B, T, G * D], cache, cache, [B], [1]],
    attributes: {
      numHeads: H,
      numKeyValueHeads: G,
      scale: 1 / Math.sqrt(D),
      ...(window !== undefined && { window }),
    },
    draw: [
      "signed",
      "signed",
      "signed",
      "signed",
      "signed",
      { values: lengths },
      { values: [Math.max(...lengths) + 1] },
    ],
  } as const;
}
