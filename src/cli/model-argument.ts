import { existsSync } from "node:fs";
import { join } from "node:path";
import { FormatError } from "../core/errors.ts";
import { readJsonObject } from "../hub/read-json-file.ts";
import { describeJson } from "../hub/strict-json.ts";
import { type LoadedModel, loadModel } from "../models/load-model.ts";
import type { PositionalSpec } from "./flags.ts";

/** The word that names a model, as verbs that use one take it. */
export const MODEL_ARGUMENT: PositionalSpec = {
  name: "model",
  describe: "a model directory, or the directory of a pretraining run",
  required: true,
};

/** Where a run of `plinth pretrain` puts its model. */
const MODEL_OF_RUN = "model";

/** The model directory that a word means: itself, or `model` inside the directory of a run. */
export function modelDirectory(word: string): string {
  const inRun = join(word, MODEL_OF_RUN);
  return !existsSync(join(word, "config.json")) && existsSync(join(inRun, "config.json")) ? inRun : word;
}

/**
 * Loads the model that a word names.
 *
 * @throws {EnvironmentError} if there is no such directory.
 * @throws {ConfigError} if its architecture is unknown.
 * @throws {FormatError} if it is not a model directory, or not whole.
 */
export function loadModelArgument(word: string): LoadedModel {
  return loadModel(modelDirectory(word));
}

/**
 * Tokens that end a text according to the model's `generation_config.json`; none if it does not say.
 *
 * @throws {FormatError} if what it says is not ids.
 */
export function publishedStopTokens({ directory }: LoadedModel): readonly number[] {
  const path = join(directory, "generation_config.json");
  if (!existsSync(path)) return [];
  const ids = readJsonObject(path).eos_token_id ?? [];
  const list: readonly unknown[] = Array.isArray(ids) ? ids : [ids];
  if (list.every((id): id is number => Number.isSafeInteger(id))) return list;
  throw new FormatError({
    where: `${path} eos_token_id`,
    expected: "a token id or a list of them",
    got: describeJson(ids),
  });
}
