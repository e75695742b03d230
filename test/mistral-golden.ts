import { readFileSync } from "node:fs";
import { join } from "node:path";
import { allocate, type HostTensor, numElements } from "../src/core/dtype.ts";
import { Mistral } from "../src/models/mistral/model.ts";
import { fromPublishedConfig } from "../src/models/mistral/weights.ts";
import type { Parameter } from "../src/nn/scope.ts";

// Golden values of tools/golden/mistral.py: Python transformers, float64 runs of float32 weights.

/** Where they and the three checkpoints are. */
export const MISTRAL_FIXTURES = new URL("./fixtures/mistral/", import.meta.url).pathname;

/** An array as the script packs it. */
export interface Packed {
  readonly shape: number[];
  /** Little-endian, base64. */
  readonly float32: string;
}

/** One configuration and everything it yields. */
export interface MistralGolden {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokens: number[][];
  readonly targets: number[][];
  readonly loss: number;
  /** Of the second row. */
  readonly logits: Packed;
  readonly hidden: Packed;
  /** By published name: length, and inner product with the numbers that the name draws behind "direction of ". */
  readonly gradients: Record<string, { readonly norm: number; readonly dot: number }>;
  readonly greedy: { readonly prompt: number[]; readonly continuation: number[] };
}

/** All cases. */
export function mistralGoldens(): readonly MistralGolden[] {
  const text = readFileSync(join(MISTRAL_FIXTURES, "golden.json"), "utf8");
  return (JSON.parse(text) as { cases: MistralGolden[] }).cases;
}

/** The model of a case, with the weights that the script gave it. */
export function goldenModel({ config }: MistralGolden): { model: Mistral; weights: Map<string, HostTensor> } {
  const model = new Mistral(fromPublishedConfig(config));
  return { model, weights: drawWeights(model.parameters) };
}

/** Weights as the script draws them, by path. */
export function drawWeights(parameters: readonly Parameter[]): Map<string, HostTensor> {
  return new Map(
    parameters.map(({ path, shape }) => [path, { dtype: "float32", shape, data: draw(path, shape) }]),
  );
}

/** Uniform numbers by xorshift32, seeded by the FNV-1a hash of the name. */
export function draw(name: string, shape: readonly number[]): Float32Array {
  let state = 2166136261;
  for (const byte of new TextEncoder().encode(name)) state = Math.imul(state ^ byte, 16777619);
  const scale = shape.length === 2 ? 0.5 : 0.25;
  const offset = name.includes("norm") ? 1 : 0;
  const values = allocate("float32", numElements(shape)) as Float32Array;
  return values.map(() => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return offset + Math.fround(scale * ((state >>> 8) / 2 ** 23 - 1));
  });
}

/** The numbers of a packed array. */
export function unpack({ float32 }: Packed): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(float32, "base64")).buffer);
}

/** Largest difference of two arrays of one length; infinite where one is longer. */
export function largestDifference(actual: ArrayLike<number>, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return expected.reduce((peak, value, i) => Math.max(peak, Math.abs(value - actual[i]!)), 0);
}
