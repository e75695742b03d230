import { closeSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { dequantize } from "../core/dequantize.ts";
import { allocate, BYTES_PER_ELEMENT, type HostTensor, numElements, type TypedArray } from "../core/dtype.ts";
import { EnvironmentError } from "../core/errors.ts";
import {
  isInFile,
  isQuantized,
  type StoredTensor,
  type Weight,
  type WeightFile,
  type Weights,
} from "../core/weights.ts";

/** Most bytes one read call takes on every platform. */
const MAX_READ_BYTES = 1 << 30;

/** A file as it is now. System errors pass unchanged. */
export function weightFile(path: string): WeightFile {
  const { size, mtimeMs } = statSync(path);
  return { path: realpathSync(path), sizeBytes: size, modifiedMs: mtimeMs };
}

/**
 * The tensor in memory: itself, or its numbers read from its file.
 *
 * @throws {EnvironmentError} if the file is not as it was when it was opened, or cannot be read.
 */
export function readStored(tensor: StoredTensor): HostTensor {
  if (!isInFile(tensor)) return tensor;
  const { dtype, shape, file, byteOffset } = tensor;
  checkUnchanged(file);
  const data = allocate(dtype, numElements(shape));
  try {
    readRange(file, byteOffset, new Uint8Array(data.buffer));
  } catch (cause) {
    if (cause instanceof EnvironmentError) throw cause;
    const got = cause instanceof Error ? cause.message : String(cause);
    throw new EnvironmentError({ where: file.path, expected: "a readable weight file", got }, { cause });
  }
  return { dtype, shape, data };
}

function readRange(file: WeightFile, byteOffset: number, bytes: Uint8Array): void {
  const descriptor = openSync(file.path, "r");
  try {
    for (let done = 0; done < bytes.length; ) {
      const length = Math.min(MAX_READ_BYTES, bytes.length - done);
      const count = readSync(descriptor, bytes, done, length, byteOffset + done);
      if (count === 0) throw changed(file, "a shorter one");
      done += count;
    }
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Some of a tensor's numbers, row-major; from a file no others are read. Errors as {@link readStored}.
 *
 * @param start the first of them
 */
export function readStoredElements(tensor: StoredTensor, start: number, length: number): TypedArray {
  if (!isInFile(tensor)) return tensor.data.subarray(start, start + length);
  const { dtype, file, byteOffset } = tensor;
  return readStored({
    dtype,
    shape: [length],
    file,
    byteOffset: byteOffset + start * BYTES_PER_ELEMENT[dtype],
  }).data;
}

/** A weight in memory, dense: read from its file, and dequantised where it is quantised. Errors as {@link readStored}. */
export function readWeight(weight: Weight): HostTensor {
  if (!isQuantized(weight)) return readStored(weight);
  const { zeroPoints, ...rest } = weight;
  return dequantize({
    ...rest,
    values: readStored(weight.values),
    scales: readStored(weight.scales),
    ...(zeroPoints && { zeroPoints: readStored(zeroPoints) }),
  });
}

/** All of a model's weights in memory, dense; see {@link readWeight}. */
export function readWeights(weights: Weights): Map<string, HostTensor> {
  return new Map([...weights].map(([path, weight]) => [path, readWeight(weight)]));
}

/** Bytes that the tensor takes. */
export function byteLength({ dtype, shape }: StoredTensor): number {
  return numElements(shape) * BYTES_PER_ELEMENT[dtype];
}

/** @throws {EnvironmentError} if the file is gone, or another size or date says that it holds something else by now. */
export function checkUnchanged(file: WeightFile): void {
  const now = statSync(file.path, { throwIfNoEntry: false });
  if (now?.size === file.sizeBytes && now.mtimeMs === file.modifiedMs) return;
  throw changed(file, now ? "one that was written since" : "nothing there");
}

function changed(file: WeightFile, got: string): EnvironmentError {
  return new EnvironmentError({
    where: file.path,
    expected: "the weight file as it was when the model was loaded",
    got,
    fix: "Load the model again.",
  });
}
