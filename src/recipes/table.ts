import { ConfigError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import type { RecipeInput } from "./recipe.ts";

/** A recipe that the command line knows. */
export interface NamedRecipe {
  readonly summary: string;
  readonly recipe: RecipeInput;
}

/** Text of any kind by byte-level BPE, sized for an hour or so on two cores. */
const text: RecipeInput = {
  tokenizer: { kind: "bpe", vocabularySize: 4096 },
  train: { steps: 2000, batchSize: 8, contextLength: 256, learningRate: 1e-3 },
};

/** The same in a few minutes. */
const tiny: RecipeInput = {
  tokenizer: { kind: "bpe", vocabularySize: 2048 },
  train: { steps: 1500, batchSize: 16, contextLength: 128, learningRate: 2e-3 },
};

/**
 * One long text, character by character: the classic small experiment, with the last tenth held out. Small batches: early
 * in training many steps are worth more than smooth ones.
 */
const shakespeare: RecipeInput = {
  tokenizer: { kind: "char" },
  corpus: { splitBy: "tail", validationFraction: 0.1 },
  train: {
    steps: 2200,
    batchSize: 8,
    contextLength: 128,
    learningRate: 3e-3,
    beta2: 0.99,
    validateEvery: 1100,
  },
};

/** The same for longer, with more to look back at. */
const shakespeareLong: RecipeInput = {
  ...shakespeare,
  train: {
    steps: 1800,
    batchSize: 8,
    contextLength: 256,
    learningRate: 2e-3,
    beta2: 0.99,
    validateEvery: 600,
  },
};

/** Post-norm layers take longer to settle than pre-norm ones, and smaller steps at the end. */
const bertTrain = { beta2: 0.98, weightDecay: 0.01, schedule: "linear" } as const;

/**
 * Characters of one text, hidden and filled in. Post-norm layers stay at guessing the most common token where the rate is
 * twice as high; sequences are short, as what fills a gap is near it.
 */
const bertChar = {
  tokenizer: { kind: "char" },
  corpus: { splitBy: "tail", validationFraction: 0.1 },
  model: { family: "bert", width: 128, numLayers: 4, numHeads: 4 },
  masking: { fraction: 0.15 },
  train: {
    steps: 9000,
    batchSize: 16,
    contextLength: 64,
    learningRate: 1e-3,
    minLearningRate: 5e-5,
    beta2: 0.98,
  },
} as const satisfies RecipeInput;

/** The recipes that `plinth pretrain` knows by name; the first is the default. */
export const RECIPES: Readonly<Record<string, NamedRecipe>> = {
  mistral: {
    summary: "Mistral-style decoder, 6 layers × 384, byte-level BPE; about an hour",
    recipe: {
      ...text,
      model: { family: "mistral", width: 384, numLayers: 6, numHeads: 6, slidingWindow: 128 },
    },
  },
  "mistral-tiny": {
    summary: "Mistral-style decoder, 4 layers × 128, byte-level BPE; a few minutes",
    recipe: {
      ...tiny,
      model: { family: "mistral", width: 128, numLayers: 4, numHeads: 4, slidingWindow: 64 },
    },
  },
  "shakespeare-char": {
    summary: "Mistral-style decoder, characters of one text, last tenth held out; about 5 minutes",
    recipe: {
      ...shakespeare,
      model: { family: "mistral", width: 192, numLayers: 4, numHeads: 6, slidingWindow: 64 },
      train: { ...shakespeare.train, batchSize: 4, contextLength: 256 },
    },
  },
  "shakespeare-char-long": {
    summary: "the same to below the best n-gram; about 20 minutes",
    recipe: {
      ...shakespeareLong,
      model: { family: "mistral", width: 256, numLayers: 6, numHeads: 8, slidingWindow: 64 },
    },
  },
  gpt2: {
    summary: "GPT-2, 6 layers × 384, byte-level BPE; about an hour",
    recipe: { ...text, model: { family: "gpt2", width: 384, numLayers: 6, numHeads: 6 } },
  },
  "gpt2-tiny": {
    summary: "GPT-2, 4 layers × 128, byte-level BPE; a few minutes",
    recipe: { ...tiny, model: { family: "gpt2", width: 128, numLayers: 4, numHeads: 4 } },
  },
  "gpt2-char": {
    summary: "GPT-2, characters of one text, last tenth held out; about 5 minutes",
    recipe: { ...shakespeare, model: { family: "gpt2", width: 192, numLayers: 4, numHeads: 6 } },
  },
  "gpt2-char-long": {
    summary: "the same to below the best n-gram; about 20 minutes",
    recipe: { ...shakespeareLong, model: { family: "gpt2", width: 256, numLayers: 6, numHeads: 8 } },
  },
  bert: {
    summary: "BERT, 6 layers × 384, WordPiece, whole words hidden, next sentence; about an hour",
    recipe: {
      tokenizer: { kind: "wordpiece", vocabularySize: 8192 },
      model: { family: "bert", width: 384, numLayers: 6, numHeads: 6 },
      masking: { wholeWords: true, nextSentence: true },
      train: { ...bertTrain, steps: 6000, batchSize: 16, contextLength: 128, learningRate: 4e-4 },
    },
  },
  "bert-tiny": {
    summary: "BERT, 4 layers × 128, WordPiece; a few minutes",
    recipe: {
      tokenizer: { kind: "wordpiece", vocabularySize: 4096 },
      model: { family: "bert", width: 128, numLayers: 4, numHeads: 4 },
      train: { ...bertTrain, steps: 4000, batchSize: 16, contextLength: 64, learningRate: 1e-3 },
    },
  },
  "bert-char": {
    summary: "BERT, characters of one text hidden and filled in, last tenth held out; about 8 minutes",
    recipe: bertChar,
  },
  "bert-char-long": {
    summary: "the same for more than twice as long; about 20 minutes",
    recipe: { ...bertChar, train: { ...bertChar.train, steps: 20_000 } },
  },
};

/** What `plinth pretrain` does when no recipe is named. */
export const DEFAULT_RECIPE = "mistral";

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
