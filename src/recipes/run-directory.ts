import { existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { writeFileAtomic } from "../hub/atomic-write.ts";
import { readJsonObject } from "../hub/read-json-file.ts";
import { serializeJson } from "../hub/serialize-json.ts";
import type { JsonObject } from "../hub/strict-json.ts";
import { CheckpointStore } from "../train/checkpoint.ts";
import { type FlatRecipe, flattenRecipe, IMPLIED } from "./flat-recipe.ts";
import type { ModelRecipe } from "./model-recipe.ts";
import { type Recipe, type RecipeInput, readRecipe } from "./recipe.ts";

const RECIPE_FILE = "recipe.json";

/** The run's tokenizer, as a Hugging Face `tokenizer.json`. */
export const TOKENIZER_FILE = "tokenizer.json";

/** Every event of a run. */
export const METRICS_FILE = "metrics.jsonl";

/** The finished model. */
export const MODEL_DIRECTORY = "model";

/**
 * The recipe of a run that is to go on.
 *
 * @throws {ConfigError} if there is none, or it is not a recipe.
 */
export function readRunRecipe(directory: string): Recipe {
  const { model, ...sections } = readRunSections(directory) as RecipeInput;
  return readRecipe({ ...sections, model: { family: "gpt2", ...model } as Partial<ModelRecipe> });
}

/**
 * The sections of whatever recipe a run that is to go on has, not yet checked.
 *
 * @throws {ConfigError} if there is none.
 */
export function readRunSections(directory: string): JsonObject {
  const path = join(directory, RECIPE_FILE);
  if (!existsSync(path)) {
    throw new ConfigError({
      where: directory,
      expected: "a run to resume",
      got: `no ${RECIPE_FILE}`,
      fix: "Start without --resume, or name the recipe.",
    });
  }
  return readJsonObject(path);
}

/**
 * Checks, before anything is written, that a run may begin in a directory, or continue there.
 *
 * @throws {ConfigError} if it holds a run that is not to be resumed, none that could be, or one of another recipe:
 *   then the first setting that differs is named.
 */
export function checkRunDirectory(directory: string, recipe: object, resume: boolean): void {
  if (existsSync(directory) && statSync(directory).isFile()) {
    const expected = "a directory, or nothing there yet";
    throw new ConfigError({ where: directory, expected, got: "a file", fix: "Choose another directory." });
  }
  const last = new CheckpointStore(join(directory, "checkpoints")).list().at(-1);
  if (resume && !last) {
    throw new ConfigError({
      where: directory,
      expected: "a checkpoint to resume from",
      got: "none",
      fix: "Start without --resume.",
    });
  }
  if (resume) {
    checkSameRecipe(directory, recipe);
    return;
  }
  const hasModel = existsSync(join(directory, MODEL_DIRECTORY));
  if (!last && !hasModel) return;
  throw new ConfigError({
    where: directory,
    expected: "a directory without a run in it",
    got: last ? `checkpoints up to step ${last.step}` : "a model",
    fix: last ? "Continue it with --resume, or choose another directory." : "Choose another directory.",
  });
}

/** Writes down what a new run is, and clears away the metrics of one that ended before its first checkpoint. */
export function beginRunDirectory(directory: string, recipe: object, tokenizer: Tokenizer): void {
  rmSync(join(directory, METRICS_FILE), { force: true });
  writeFileAtomic(join(directory, RECIPE_FILE), serializeJson({ ...recipe }, RECIPE_FILE));
  writeFileAtomic(join(directory, TOKENIZER_FILE), JSON.stringify(tokenizer.toJSON()));
}

function checkSameRecipe(directory: string, recipe: object): void {
  const path = join(directory, RECIPE_FILE);
  const now = flattenRecipe(recipe);
  const implied = Object.entries(IMPLIED).filter(([key]) => Object.hasOwn(now, key));
  const began: FlatRecipe = { ...Object.fromEntries(implied), ...flattenRecipe(readJsonObject(path)) };
  // The family first: where it differs, much else does too.
  for (const key of new Set(["model.family", ...Object.keys(now), ...Object.keys(began)])) {
    if (Object.is(began[key], now[key])) continue;
    throw new ConfigError({
      where: key,
      expected: `${began[key] ?? "nothing"}, as when the run began`,
      got: `${now[key] ?? "nothing"}`,
      fix: "Resume with the same settings, or start a new run in another directory.",
    });
  }
}
