import { attention } from "../src/tensor/ops/attention.ts";
import { apply, type Tensor } from "../src/tensor/tensor.ts";
import { booleans, type Vector } from "./onnx-vectors.ts";

// B batch · H query heads · G key/value heads · T queries · S keys · D head width

/** The weights after the softmax, among the things that ONNX's operator can yield as its fourth output. */
const AFTER_SOFTMAX = 3;

/**
 * ONNX's `Attention` in ours. It puts the causal diagonal at the top left where ours ends at the bottom right, so unless T = S that
 * becomes a mask. Masks that are added, soft capping and scores before the softmax are not ours.
 */
export function translateAttention(v: Vector): readonly (Tensor | undefined)[] {
  v.needs(v.number("softcap", 0) === 0, "soft capping");
  v.needs(!v.has(3) || v.stored.inputs[3]!.dtype === "bool", "a mask that is added");
  const isFolded = v.shape(0).length === 3;
  const split = (which: number, numHeads: number) => {
    if (!isFolded) return v.tensor(which);
    const [batch, tokens, width] = v.shape(which) as [number, number, number];
    return v
      .tensor(which)
      .reshape([batch, tokens, numHeads, width / numHeads])
      .transpose([0, 2, 1, 3]);
  };
  const numKeyValueHeads = v.number("kv_num_heads", 1);
  const q = split(0, v.number("q_num_heads", 1));
  const [key, value] = [split(1, numKeyValueHeads), split(2, numKeyValueHeads)];
  const k = v.has(4) ? v.tensor(4).concat([key], 2) : key;
  const present = v.has(5) ? v.tensor(5).concat([value], 2) : value;
  const [B, H, T, D] = q.shape as [number, number, number, number];
  const S = k.shape[2] as number;
  const causal = v.number("is_causal", 0) === 1;
  const attributes = { scale: v.number("scale", 1 / Math.sqrt(D)), causal: causal && T === S && !v.has(6) };
  const masks = [...(v.has(3) ? [v.tensor(3)] : []), ...staticMask(v, { B, T, S })];
  const mask = masks.length > 0 ? [masks.reduce((a, b) => a.logicalAnd(b))] : [];
  const [result, weights] = apply(attention, [q, k, present, ...mask], attributes);
  const y = isFolded ? result!.transpose([0, 2, 1, 3]).reshape(v.outputShape(0)) : result!;
  const isAfterSoftmax = v.number("qk_matmul_output_mode", 0) === AFTER_SOFTMAX;
  return [y, k, present, isAfterSoftmax ? weights!.reshape([B, H, T, S]) : undefined];
}

/** What is in sight by position alone: the causal part where ours would differ, and the number of real keys in each row. */
function staticMask(v: Vector, { B, T, S }: { B: number; T: number; S: number }): Tensor[] {
  const isCausal = v.number("is_causal", 0) === 1;
  const numKeys = v.numbers(6);
  if (!numKeys && (!isCausal || T === S)) return [];
  const visible = Array.from({ length: B * T * S }, (_, i) => {
    const [b, t, s] = [Math.floor(i / (T * S)), Math.floor(i / S) % T, i % S];
    const offset = numKeys ? numKeys[b]! - T : v.has(4) ? v.shape(4)[2]! : 0;
    return (!numKeys || s < numKeys[b]!) && (!isCausal || s <= t + offset);
  });
  return [booleans([B, 1, T, S], visible)];
}
