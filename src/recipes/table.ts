import { ConfigError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import type { RecipeInput } from "./recipe.ts";

/** A recipe that the command line knows. */
export interface NamedRecipe {
  readonly summary: string;
  readonly recipe: RecipeInput;
}

/** GPT-2 on any text, sized for an hour or so on two cores. */
const gpt2: RecipeInput = {
  tokenizer: { kind: "bpe", vocabularySize: 4096 },
  model: { width: 384, numLayers: 6, numHeads: 6 },
  train: { steps: 2000, batchSize: 8, contextLength: 256, learningRate: 1e-3 },
};

/**
 * One long text, character by character: the classic small experiment, with the last tenth held out. Small batches: early
 * in training many steps are worth more than smooth ones.
 */
const shakespeare: RecipeInput = {
  tokenizer: { kind: "char" },
  corpus: { splitBy: "tail", validationFraction: 0.1 },
};

/** The recipes that `plinth pretrain` knows by name. */
export const RECIPES: Readonly<Record<string, NamedRecipe>> = {
  gpt2: { summary: "GPT-2, 6 layers × 384, byte-level BPE; about an hour", recipe: gpt2 },
  "gpt2-tiny": {
    summary: "GPT-2, 4 layers × 128, byte-level BPE; a few minutes",
    recipe: {
      ...gpt2,
      tokenizer: { kind: "bpe", vocabularySize: 2048 },
      model: { width: 128, numLayers: 4, numHeads: 4 },
      train: { steps: 1500, batchSize: 16, contextLength: 128, learningRate: 2e-3 },
    },
  },
  "shakespeare-char": {
    summary: "characters of one text, last tenth held out; about 5 minutes",
    recipe: {
      ...shakespeare,
      model: { width: 192, numLayers: 4, numHeads: 6 },
      train: {
        steps: 2200,
        batchSize: 8,
        contextLength: 128,
        learningRate: 3e-3,
        beta2: 0.99,
        validateEvery: 1100,
      },
    },
  },
  "shakespeare-char-long": {
    summary: "the same to below the best n-gram; about 20 minutes",
    recipe: {
      ...shakespeare,
      model: { width: 256, numLayers: 6, numHeads: 8 },
      train: {
        steps: 1800,
        batchSize: 8,
        contextLength: 256,
        learningRate: 2e-3,
        beta2: 0.99,
        validateEvery: 600,
      },
    },
  },
};

/** @throws {ConfigError} naming the nearest known recipe. */
export function findRecipe(name: string): NamedRecipe {
  const found = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (found) return found;
  throw new ConfigError({
    where: "recipe",
    expected: "the name of a recipe",
    got: `"${name}"`,
    fix: suggest(name, Object.keys(RECIPES)),
  });
}
