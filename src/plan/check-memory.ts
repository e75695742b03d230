import { numElements } from "../core/dtype.ts";
import { EnvironmentError } from "../core/errors.ts";
import { SCHEME_BITS } from "../core/weights.ts";
import { describeModel, type ModelDescription, type TensorFootprint } from "../models/describe-model.ts";
import { availableMemory } from "./available-memory.ts";
import { forecastMemory, type MemoryRequest } from "./memory-forecast.ts";

/** Texts of that length are taken for granted when a model is loaded, before anybody says how long they are. */
const EXPECTED_TOKENS = 1024;

/** What is suggested in place of float32. */
const SMALLER = { scheme: "int4", blockSize: 128 } as const;

/**
 * Refuses a model that will not fit into memory, before it is loaded.
 *
 * @param available bytes; default: what the machine has
 * @throws {EnvironmentError} saying how much is needed and what would fit.
 * @throws as `describeModel`
 */
export function checkMemory(
  directory: string,
  request: MemoryRequest = {},
  available = availableMemory(),
): void {
  const description = describeModel(directory);
  const { contextTokens = EXPECTED_TOKENS } = request;
  const { totalBytes } = forecastMemory(description, { ...request, contextTokens });
  if (totalBytes <= available) return;
  throw new EnvironmentError({
    where: directory,
    expected: `a model that fits into the ${gigabytes(available)} of memory available`,
    got: `one that needs about ${gigabytes(totalBytes)} for ${description.kind === "causal" ? `${contextTokens} tokens` : "a batch"}`,
    fix: suggest(description, { ...request, contextTokens }, available),
  });
}

/** What would fit, and how much it would take. */
function suggest(description: ModelDescription, request: MemoryRequest, available: number): string {
  const isQuantized = description.tensors.some(({ scaleBytes }) => scaleBytes > 0);
  const smaller = forecastMemory(
    { ...description, tensors: description.tensors.map(toSmaller) },
    request,
  ).totalBytes;
  const offers: string[] = [];
  if (!isQuantized && smaller <= available) {
    const { scheme, blockSize } = SMALLER;
    const command = `plinth quantize --scheme ${scheme} --block-size ${blockSize}`;
    offers.push(`quantise it (${command}): about ${gigabytes(smaller)}`);
  }
  const shorter = longestThatFits(description, request, available);
  if (shorter) offers.push(`use texts of at most ${shorter} tokens`);
  offers.push("free memory, or load it all the same with --no-check-memory");
  const text = offers.join("; ");
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

function toSmaller(tensor: TensorFootprint): TensorFootprint {
  if (tensor.shape.length !== 2) return tensor;
  const numbers = numElements(tensor.shape);
  const { scheme, blockSize } = SMALLER;
  const bytes = (numbers * SCHEME_BITS[scheme]) / 8;
  return { ...tensor, isMapped: true, bytes, scaleBytes: (numbers / blockSize) * 4 };
}

/** The longest text, by halving, that would fit. */
function longestThatFits(
  description: ModelDescription,
  request: MemoryRequest,
  available: number,
): number | undefined {
  for (let contextTokens = request.contextTokens! / 2; contextTokens >= 64; contextTokens /= 2) {
    const tokens = Math.floor(contextTokens);
    if (forecastMemory(description, { ...request, contextTokens: tokens }).totalBytes <= available)
      return tokens;
  }
  return undefined;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
