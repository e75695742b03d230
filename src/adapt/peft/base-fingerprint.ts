import { createHash } from "node:crypto";
import { numElements } from "../../core/dtype.ts";
import { isQuantized, type Weight, type Weights } from "../../core/weights.ts";
import { readStoredElements } from "../../engine/stored-tensor.ts";
import type { CausalLM, Encoder } from "../../models/contracts.ts";
import { bodyParameters } from "../linear-modules.ts";

/** Digests of a base's weights, heads left out; a model of the same weights has the same. */
export interface BaseFingerprint {
  /** Of all its norms and biases, which stay as they are where a model is quantised. */
  readonly vectors: string;
  /** Of samples of its matrices; absent where some of them are quantised. */
  readonly matrices?: string;
}

/** Stretches of a matrix that are looked at, and numbers in each: 4 kB a matrix, however large it is. */
const STRETCHES = 32;
const STRETCH_LENGTH = 32;

/** Digits of a digest that are kept: for telling models apart, not for keeping out forgers. */
const DIGITS = 16;

/** The fingerprint of a model with these weights. It reads a few kilobytes a matrix. */
export function fingerprintOf(base: CausalLM | Encoder, weights: Weights): BaseFingerprint {
  const [vectors, matrices] = [createHash("sha256"), createHash("sha256")];
  let isWhole = true;
  for (const { path, shape } of bodyParameters(base)) {
    const weight = weights.get(path)!;
    const isMatrix = shape.length > 1;
    const hash = isMatrix ? matrices : vectors;
    vectors.update(`${path} ${shape}\n`);
    if (isQuantized(weight)) isWhole = false;
    else for (const part of samples(weight, isMatrix)) hash.update(part);
  }
  const digest = (hash: typeof vectors) => hash.digest("hex").slice(0, DIGITS);
  return { vectors: digest(vectors), ...(isWhole && { matrices: digest(matrices) }) };
}

function samples(weight: Exclude<Weight, { scheme: string }>, isMatrix: boolean): readonly Uint8Array[] {
  const count = numElements(weight.shape);
  const length = isMatrix ? Math.min(STRETCH_LENGTH, count) : count;
  const stretches = isMatrix && count > length ? STRETCHES : 1;
  return Array.from({ length: stretches }, (_, i) => {
    const start = stretches === 1 ? 0 : Math.floor((i * (count - length)) / (stretches - 1));
    const { buffer, byteOffset, byteLength } = readStoredElements(weight, start, length);
    return new Uint8Array(buffer, byteOffset, byteLength);
  });
}

/** Whether two fingerprints can be of one base: matrices count where both are whole. */
export function isSameBase(a: BaseFingerprint, b: BaseFingerprint): boolean {
  const isComparable = a.matrices !== undefined && b.matrices !== undefined;
  return a.vectors === b.vectors && (!isComparable || a.matrices === b.matrices);
}

/** In one word. */
export function showFingerprint({ vectors, matrices }: BaseFingerprint): string {
  return matrices === undefined ? vectors : `${vectors}-${matrices}`;
}

/** Reads {@link showFingerprint}'s word; `undefined` if it is none. */
export function parseFingerprint(text: string | undefined): BaseFingerprint | undefined {
  const [, vectors, matrices] = /^([0-9a-f]{16})(?:-([0-9a-f]{16}))?$/.exec(text ?? "") ?? [];
  return vectors === undefined ? undefined : { vectors, ...(matrices !== undefined && { matrices }) };
}
