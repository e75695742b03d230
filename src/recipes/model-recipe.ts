import { ConfigError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import { type BertConfig, bertConfig } from "../models/bert/config.ts";
import { type Gpt2Config, gpt2Config } from "../models/gpt2/config.ts";
import { type MistralConfig, mistralConfig } from "../models/mistral/config.ts";

/** A family's sizes; vocabulary and context come from the tokenizer and from training. */
type SizesOf<C> = Omit<C, "vocabularySize" | "contextLength">;

/** The model of a recipe: its family, and that family's own sizes. */
export type ModelRecipe =
  | ({ readonly family: "mistral" } & SizesOf<MistralConfig>)
  | ({ readonly family: "gpt2" } & SizesOf<Gpt2Config>)
  | ({ readonly family: "bert" } & SizesOf<BertConfig>);

/** Families that can be pretrained; the first unless another is named. */
export const TRAINED_FAMILIES = [
  "mistral",
  "gpt2",
  "bert",
] as const satisfies readonly ModelRecipe["family"][];

/** Sizes where nothing is said: a model for an hour on two cores. */
const SMALL = { width: 384, numLayers: 6, numHeads: 6 };

/** Grouped heads and a window as in Mistral 7B, in proportion; the token table serves as head, as suits a small model. */
const SMALL_MISTRAL = { ...SMALL, numKeyValueHeads: 2, tiedHead: true };

/** Sizes of a model that follow from other sections, and where they are set. */
const SET_ELSEWHERE = { vocabularySize: "tokenizer.vocabularySize", contextLength: "train.contextLength" };

/** Stand-ins while only the other sizes are checked. */
const PLACEHOLDERS = { vocabularySize: 1, contextLength: 1 };

/**
 * Completes and checks a recipe's model against the configuration of its family.
 *
 * @throws {ConfigError} if the family is none that can be pretrained, or a key is unknown or out of range.
 */
export function readModelRecipe(input: Partial<ModelRecipe>): ModelRecipe {
  const { family = TRAINED_FAMILIES[0], ...sizes } = input;
  for (const [key, from] of Object.entries(SET_ELSEWHERE)) {
    if (!Object.hasOwn(sizes, key)) continue;
    throw new ConfigError({
      where: `model.${key}`,
      expected: "a size that is the model's own",
      got: `"${key}"`,
      fix: `Set ${from}.`,
    });
  }
  const read = Object.hasOwn(READ, family) ? READ[family] : undefined;
  if (read) return read(sizes);
  throw new ConfigError({
    where: "model.family",
    expected: `one of ${TRAINED_FAMILIES.join(", ")}`,
    got: JSON.stringify(family),
    fix: suggest(`${family}`, TRAINED_FAMILIES),
  });
}

const READ: { readonly [F in ModelRecipe["family"]]: (sizes: object) => ModelRecipe } = {
  mistral: (sizes) => {
    checkHeads(sizes);
    const given = groupHeads({ ...SMALL_MISTRAL, ...sizes }, sizes);
    return {
      family: "mistral",
      ...withoutPlaceholders(mistralConfig({ ...given, ...PLACEHOLDERS }, "model")),
    };
  },
  gpt2: (sizes) => ({
    family: "gpt2",
    ...withoutPlaceholders(gpt2Config({ ...SMALL, ...sizes, ...PLACEHOLDERS }, "model")),
  }),
  bert: (sizes) => ({
    family: "bert",
    ...withoutPlaceholders(bertConfig({ ...SMALL, ...sizes, ...PLACEHOLDERS }, "model")),
  }),
};

/** @throws {ConfigError} if the width is not divided by the heads, and no head size says that it is not meant to be. */
function checkHeads(said: Partial<MistralConfig>): void {
  const { width, numHeads } = { ...SMALL, ...said };
  if (said.headSize !== undefined || !(width > 0 && numHeads > 0) || width % (2 * numHeads) === 0) return;
  throw new ConfigError({
    where: "model.numHeads",
    expected: `a divisor of half the width ${width}, as each head is turned in pairs`,
    got: `${numHeads}`,
    fix: "Change the heads or the width, or set model.headSize.",
  });
}

/** Heads share keys and values in threes, or in pairs, where their number allows it and nothing else is said. */
function groupHeads(merged: Partial<MistralConfig>, said: object): Partial<MistralConfig> {
  const { numHeads = 1 } = merged;
  if (Object.hasOwn(said, "numKeyValueHeads")) return merged;
  const group = [3, 2].find((size) => numHeads % size === 0) ?? 1;
  return { ...merged, numKeyValueHeads: numHeads / group };
}

function withoutPlaceholders<C extends { vocabularySize: number; contextLength: number }>(
  config: C,
): SizesOf<C> {
  const { vocabularySize, contextLength, ...sizes } = config;
  return sizes;
}
