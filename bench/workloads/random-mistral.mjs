/** A decoder of the Mistral family with random float32 weights in memory. */
import { Mistral } from "../../dist/models/mistral/model.js";
import { seededBytes } from "../peers/protocol.mjs";
import { describeMistral } from "../random-checkpoint.mjs";

/** Deviation of the weights. */
const DEVIATION = 0.02;

/** @param {import("../shapes.mjs").Shape} shape */
export function randomMistral(shape) {
  const model = new Mistral(describeMistral(shape));
  return { model, weights: new Map(model.parameters.map((of) => [of.path, randomTensor(of.shape)])) };
}

/** Matrices are evenly spread between ±√3 deviations; norms are ones. */
function randomTensor(shape) {
  const count = shape.reduce((a, b) => a * b, 1);
  if (shape.length === 1) return { dtype: "float32", shape, data: new Float32Array(count).fill(1) };
  const words = new Uint32Array(seededBytes(shape[0] + shape[1])(4 * count).buffer, 0, count);
  const data = Float32Array.from(words, (word) => (word / 2 ** 32 - 0.5) * Math.sqrt(12) * DEVIATION);
  return { dtype: "float32", shape, data };
}
