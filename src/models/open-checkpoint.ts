import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ModelDirectory, openModelDirectory } from "../hub/model-directory.ts";
import { hasPublishedWeights } from "../hub/model-weights.ts";
import { openConsolidated, PARAMS } from "./mistral/consolidated.ts";

/**
 * Opens a model directory in the Hugging Face layout, or in Mistral's own where that is all there is. Either way names, shapes
 * and configuration are those of the Hugging Face layout.
 *
 * @throws {ConfigError} if the configuration of Mistral's layout cannot be.
 * @throws {EnvironmentError} if there is no such directory or it cannot be read.
 * @throws {FormatError} if a part is missing or malformed.
 */
export function openCheckpoint(directory: string): ModelDirectory {
  const isOriginal = !hasPublishedWeights(directory) && existsSync(join(directory, PARAMS));
  return isOriginal ? openConsolidated(directory) : openModelDirectory(directory);
}
