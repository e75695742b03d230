import { ConfigError } from "../core/errors.ts";
import { integer, oneOf, readFields, real } from "../core/fields.ts";
import { suggest } from "../core/nearest.ts";
import { type Gpt2Config, gpt2Config } from "../models/gpt2/config.ts";
import { type TrainOptions, trainOptions } from "../train/options.ts";
import { flattenRecipe } from "./run-directory.ts";

/** How text becomes tokens. */
export interface TokenizerRecipe {
  readonly kind: "bpe" | "char";
  /** Tokens to learn, for `bpe`; characters are as many as the text has. */
  readonly vocabularySize: number;
}

/** How text is divided. */
export interface CorpusRecipe {
  readonly validationFraction: number;
  readonly splitBy: "document" | "tail";
}

/** The model's sizes; vocabulary and context come from the tokenizer and from training. */
export type ModelRecipe = Omit<Gpt2Config, "vocabularySize" | "contextLength">;

/** A complete run except for the data: what `plinth pretrain <recipe>` does. */
export interface Recipe {
  readonly tokenizer: TokenizerRecipe;
  readonly corpus: CorpusRecipe;
  readonly model: ModelRecipe;
  readonly train: TrainOptions;
}

/** A recipe as it is written down: what is not said takes the fallback. */
export type RecipeInput = { readonly [K in keyof Recipe]?: Partial<Recipe[K]> };

/**
 * Completes and checks a recipe.
 *
 * @throws {ConfigError} if a key is unknown (the nearest is named) or a value out of range.
 */
export function readRecipe(input: RecipeInput): Recipe {
  for (const key of Object.keys(input)) {
    if (Object.hasOwn(SECTIONS, key)) continue;
    throw new ConfigError({
      where: key,
      expected: "a section of a recipe",
      got: `"${key}"`,
      fix: suggest(key, Object.keys(SECTIONS)),
    });
  }
  return {
    tokenizer: SECTIONS.tokenizer(input.tokenizer ?? {}),
    corpus: SECTIONS.corpus(input.corpus ?? {}),
    model: SECTIONS.model(input.model ?? {}),
    train: SECTIONS.train(input.train ?? {}),
  };
}

const SECTIONS: { readonly [K in keyof Recipe]: (input: Partial<Recipe[K]>) => Recipe[K] } = {
  tokenizer: (input) =>
    readFields<TokenizerRecipe>(
      "tokenizer",
      { kind: oneOf(["bpe", "char"], "bpe"), vocabularySize: integer(257, 2 ** 20, 4096) },
      input,
    ),
  corpus: (input) =>
    readFields<CorpusRecipe>(
      "corpus",
      { validationFraction: real(0.0001, 0.9, 0.05), splitBy: oneOf(["document", "tail"], "document") },
      input,
    ),
  model: (input) => {
    for (const [key, from] of Object.entries(SET_ELSEWHERE)) {
      if (!Object.hasOwn(input, key)) continue;
      throw new ConfigError({
        where: `model.${key}`,
        expected: "a size that is the model's own",
        got: `"${key}"`,
        fix: `Set ${from}.`,
      });
    }
    const { vocabularySize, contextLength, ...sizes } = gpt2Config({ ...SMALL, ...input }, "model");
    return sizes;
  },
  train: trainOptions,
};

/** Sizes of a model that follow from other sections, and where they are set. */
const SET_ELSEWHERE = { vocabularySize: "tokenizer.vocabularySize", contextLength: "train.contextLength" };

const SMALL = { width: 384, numLayers: 6, numHeads: 6 };

/**
 * Applies `section.key=value` settings to a recipe.
 *
 * @throws {ConfigError} if a setting does not name a section and a key.
 * @example
 * applySettings({}, { "train.steps": 10 }); // => { train: { steps: 10 } }
 */
export function applySettings(
  input: RecipeInput,
  settings: Readonly<Record<string, string | number | boolean>>,
): RecipeInput {
  const result: Record<string, Record<string, unknown>> = {};
  for (const [section, values] of Object.entries(input)) result[section] = { ...values };
  for (const [name, value] of Object.entries(settings)) {
    const [section, key, ...rest] = name.split(".");
    if (!section || !key || rest.length > 0) {
      throw new ConfigError({
        where: `--set ${name}`,
        expected: "section.key=value",
        got: `"${name}"`,
        fix: suggestSetting(name),
      });
    }
    result[section] = { ...result[section], [key]: value };
  }
  return result as RecipeInput;
}

function suggestSetting(name: string): string {
  const known = Object.keys(flattenRecipe(readRecipe({})));
  const ofKey = known.find((setting) => setting.endsWith(`.${name}`));
  return ofKey ? `Did you mean "${ofKey}"?` : suggest(name, known);
}
