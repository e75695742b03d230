import { existsSync } from "node:fs";
import { join } from "node:path";
import { openModelDirectory } from "../../hub/model-directory.ts";
import { quantizeModel } from "../../models/quantize-model.ts";
import type { ChosenMethod } from "./method.ts";

/** A base of four bits that a run made for itself. */
const QUANTIZED_BASE = "base-nf4";

/**
 * The directory that the base is loaded from: as it is, or quantised into the run's own directory where the method wants four bits
 * and the base has more. A tensor at a time is in memory.
 */
export async function prepareBase(
  base: string,
  directory: string,
  { record }: ChosenMethod,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (!record.quantizes || isQuantizedDirectory(base)) return base;
  const target = join(directory, QUANTIZED_BASE);
  if (!existsSync(target)) await quantizeModel(base, target, { scheme: "nf4", ...(signal && { signal }) });
  return target;
}

function isQuantizedDirectory(directory: string): boolean {
  const opened = openModelDirectory(directory);
  opened.close();
  return opened.config.quantization_config !== undefined;
}
