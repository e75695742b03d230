import { createHash } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { writeFileAtomic } from "../hub/atomic-write.ts";
import { readJsonObject } from "../hub/read-json-file.ts";
import { serializeJson } from "../hub/serialize-json.ts";
import { CheckpointStore } from "../train/checkpoint.ts";
import type { Recipe } from "./recipe.ts";

const RECIPE_FILE = "recipe.json";

/** The run's tokenizer, as a Hugging Face `tokenizer.json`. */
export const TOKENIZER_FILE = "tokenizer.json";

/** Every event of a run. */
export const METRICS_FILE = "metrics.jsonl";

/** The finished model. */
export const MODEL_DIRECTORY = "model";

/** A recipe as one flat table, by `section.key`. */
export type FlatRecipe = Readonly<Record<string, string | number | boolean>>;

/** @example flattenRecipe(recipe)["train.steps"]; // => 2000 */
export function flattenRecipe(recipe: Recipe): FlatRecipe {
  return Object.fromEntries(
    Object.entries(recipe).flatMap(([section, values]) =>
      Object.entries(values).map(([key, value]) => [`${section}.${key}`, value as string | number]),
    ),
  );
}

/** Identifies the configuration of a run, whatever the order of its keys. */
export function hashRecipe(recipe: Recipe): string {
  const sorted = Object.entries(flattenRecipe(recipe)).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
}

/**
 * Checks, before anything is written, that a run may begin in a directory, or continue there.
 *
 * @throws {ConfigError} if it holds a run that is not to be resumed, none that could be, or one of another recipe:
 *   then the first setting that differs is named.
 */
export function checkRunDirectory(directory: string, recipe: Recipe, resume: boolean): void {
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
export function beginRunDirectory(directory: string, recipe: Recipe, tokenizer: Tokenizer): void {
  rmSync(join(directory, METRICS_FILE), { force: true });
  writeFileAtomic(join(directory, RECIPE_FILE), serializeJson({ ...recipe }, RECIPE_FILE));
  writeFileAtomic(join(directory, TOKENIZER_FILE), JSON.stringify(tokenizer.toJSON()));
}

function checkSameRecipe(directory: string, recipe: Recipe): void {
  const path = join(directory, RECIPE_FILE);
  const began = flattenRecipe(readJsonObject(path) as unknown as Recipe);
  for (const [key, got] of Object.entries(flattenRecipe(recipe))) {
    if (Object.is(began[key], got)) continue;
    throw new ConfigError({
      where: key,
      expected: `${began[key]}, as when the run began`,
      got: `${got}`,
      fix: "Resume with the same settings, or start a new run in another directory.",
    });
  }
}
