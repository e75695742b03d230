import { ConfigError } from "../core/errors.ts";
import { boolean, integer, oneOf, readFields, real } from "../core/fields.ts";
import { suggest } from "../core/nearest.ts";
import { type TrainOptions, trainOptions } from "../train/options.ts";
import { flattenRecipe } from "./flat-recipe.ts";
import { type ModelRecipe, readModelRecipe, TRAINED_FAMILIES } from "./model-recipe.ts";

/** How text becomes tokens. */
export interface TokenizerRecipe {
  /** Byte-level BPE for decoders, WordPiece for encoders, characters for either. */
  readonly kind: "bpe" | "wordpiece" | "char";
  /** Tokens to learn, for `bpe` and `wordpiece`; characters are as many as the text has. */
  readonly vocabularySize: number;
}

/** How text is divided. */
export interface CorpusRecipe {
  readonly validationFraction: number;
  readonly splitBy: "document" | "tail";
}

/** How an encoder's text is hidden from it; decoders have none of this. */
export interface MaskingRecipe {
  /** Share of the tokens to predict. */
  readonly fraction: number;
  /** Whole words at a time rather than single tokens. */
  readonly wholeWords: boolean;
  /** Pairs of texts, half of which do not belong together, and a head that tells. */
  readonly nextSentence: boolean;
}

/** A complete run except for the data: what `plinth pretrain <recipe>` does. */
export interface Recipe {
  readonly tokenizer: TokenizerRecipe;
  readonly corpus: CorpusRecipe;
  readonly model: ModelRecipe;
  /** With encoders, and only there. */
  readonly masking?: MaskingRecipe;
  readonly train: TrainOptions;
}

/** A recipe as it is written down: what is not said takes the fallback. */
export type RecipeInput = { readonly [K in keyof Recipe]?: Partial<NonNullable<Recipe[K]>> };

/**
 * Completes and checks a recipe.
 *
 * @throws {ConfigError} if a key is unknown (the nearest is named) or a value out of range.
 */
export function readRecipe(input: RecipeInput): Recipe {
  for (const key of Object.keys(input)) {
    if ((SECTIONS as readonly string[]).includes(key)) continue;
    throw new ConfigError({
      where: key,
      expected: "a section of a recipe",
      got: `"${key}"`,
      fix: suggest(key, SECTIONS),
    });
  }
  const model = readModelRecipe(input.model ?? {});
  const masking = readMasking(input.masking, model);
  const tokenizer = readTokenizer(input.tokenizer ?? {}, model);
  return {
    tokenizer,
    corpus: readFields<CorpusRecipe>(
      "corpus",
      { validationFraction: real(0.0001, 0.9, 0.05), splitBy: oneOf(["document", "tail"], "document") },
      input.corpus ?? {},
    ),
    model,
    ...(masking && { masking }),
    train: trainOptions(input.train ?? {}),
  };
}

const SECTIONS = ["tokenizer", "corpus", "model", "masking", "train"] as const satisfies (keyof Recipe)[];

function readTokenizer(input: Partial<TokenizerRecipe>, { family }: ModelRecipe): TokenizerRecipe {
  const isEncoder = family === "bert";
  const kinds = isEncoder ? (["wordpiece", "char"] as const) : (["bpe", "char"] as const);
  return readFields<TokenizerRecipe>(
    "tokenizer",
    { kind: oneOf(kinds, kinds[0]), vocabularySize: integer(257, 2 ** 20, 4096) },
    input,
  );
}

function readMasking(input: Partial<MaskingRecipe> | undefined, { family }: ModelRecipe) {
  if (family !== "bert") {
    if (input === undefined) return undefined;
    throw new ConfigError({
      where: "masking",
      expected: "an encoder, which fills in hidden tokens",
      got: `the decoder family "${family}"`,
      fix: "Leave the section out, or set model.family=bert.",
    });
  }
  return readFields<MaskingRecipe>(
    "masking",
    { fraction: real(0.01, 0.9, 0.15), wholeWords: boolean(false), nextSentence: boolean(false) },
    input ?? {},
  );
}

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
  const known = TRAINED_FAMILIES.flatMap((family) =>
    Object.keys(flattenRecipe(readRecipe({ model: { family } }))),
  );
  const ofKey = known.find((setting) => setting.endsWith(`.${name}`));
  return ofKey ? `Did you mean "${ofKey}"?` : suggest(name, known);
}
