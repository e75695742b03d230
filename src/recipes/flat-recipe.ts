import { createHash } from "node:crypto";

/** A recipe as one flat table, by `section.key`. */
export type FlatRecipe = Readonly<Record<string, string | number | boolean>>;

/**
 * A recipe of any kind: sections of settings.
 *
 * @example flattenRecipe(recipe)["train.steps"]; // => 2000
 */
export function flattenRecipe(recipe: object): FlatRecipe {
  return Object.fromEntries(
    Object.entries(recipe).flatMap(([section, values]) =>
      Object.entries(values as object).flatMap(([key, value]) =>
        value === undefined ? [] : [[`${section}.${key}`, toScalar(value)]],
      ),
    ),
  );
}

function toScalar(value: unknown): string | number | boolean {
  return typeof value === "object" ? JSON.stringify(value) : (value as string | number | boolean);
}

/** Settings that runs of earlier versions do not have, and what they did. */
export const IMPLIED: FlatRecipe = {
  "model.family": "gpt2",
  "train.patience": 0,
  "train.best": "loss",
  "train.recompute": false,
  "train.optimizerState": "float32",
  "head.cacheBytes": 0,
  "label.classWeights": false,
  "tag.classWeights": false,
};

/** Identifies the configuration of a run, whatever the order of its keys. */
export function hashRecipe(recipe: object): string {
  const told = Object.entries(flattenRecipe(recipe)).filter(([key, value]) => IMPLIED[key] !== value);
  const sorted = told.sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
}
