import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import type { MaskedOptions } from "../data/masked-sampler.ts";
import type { MaskingVocabulary } from "../data/masking.ts";
import { bertConfig } from "../models/bert/config.ts";
import { localFirstWeights } from "../models/bert/first-weights.ts";
import { Bert } from "../models/bert/model.ts";
import { saveEncoder } from "../models/save-model.ts";
import { MaskedLM, maskedStream } from "../train/masked-lm.ts";
import { MaskedValidation } from "../train/masked-validation.ts";
import type { Baseline } from "../train/report.ts";
import { fillText } from "./fill-text.ts";
import { scoreNeighbours } from "./neighbour-baseline.ts";
import type { MaskingRecipe, Recipe } from "./recipe.ts";
import type { Trainee, TraineeOptions } from "./trainee.ts";

/** The encoder that a recipe describes, with the heads that its training needs. */
export function buildEncoder({ model, masking, train }: Recipe, vocabularySize: number): Bert {
  const { family, ...sizes } = model as Extract<Recipe["model"], { family: "bert" }>;
  const { contextLength } = train;
  const { nextSentence } = masking!;
  const heads = { maskedLanguage: "tied", ...(nextSentence && { pooler: true, nextSentence }) } as const;
  return new Bert(bertConfig({ ...sizes, vocabularySize, contextLength }, "model"), heads);
}

/**
 * An encoder, which is trained to fill in hidden tokens.
 *
 * @throws {ConfigError} if the tokenizer lacks the special tokens for it.
 */
export function encoderTrainee(options: TraineeOptions): Trainee {
  const { engine, recipe, tokenizer, train, heldOut } = options;
  const model = buildEncoder(recipe, tokenizer.vocabularySize);
  const masking = maskedOptions(tokenizer, recipe.masking!);
  const { batchSize, contextLength } = recipe.train;
  const counted = train.map(({ dataset }) => dataset);
  const measured = { shape: { batchSize, contextLength }, options: masking, datasets: heldOut };
  return {
    model,
    objective: new MaskedLM(model, masking),
    initialWeights: localFirstWeights(model, new Random(recipe.train.seed).fork("weights")),
    examples: maskedStream({ ...masking, ...recipe.train, datasets: train }),
    measure: (arena) => new MaskedValidation(engine, model, arena.weights(), measured),
    pipelineTag: "fill-mask",
    taught: describeMasking(recipe.masking!),
    baselines: () => scoreNeighbours(counted, heldOut, { ...masking, batchSize, contextLength }),
    sample: (weights) => fillText({ engine, model, tokenizer, masking, contextLength, heldOut }, weights),
    controls: async (weights) => {
      const validation = new MaskedValidation(engine, model, weights, measured);
      try {
        const { maskedAccuracy, standardError } = await validation.run(true);
        const control: Baseline = {
          label: "this model, on text in random order",
          maskedAccuracy,
          standardError,
        };
        return [control];
      } finally {
        validation.dispose();
      }
    },
    save: (directory, weights, card) => saveEncoder(directory, { model, weights, tokenizer, card }),
    nextCommands: (directory) => [
      `fill-mask ${directory} --text "Some [MASK] text"`,
      `embed ${directory} --text "Some text"`,
      `inspect ${directory}`,
    ],
  };
}

/**
 * How text of this tokenizer is hidden.
 *
 * @throws {ConfigError} if it lacks a special token.
 */
export function maskedOptions(
  tokenizer: Tokenizer,
  { fraction, wholeWords, nextSentence }: MaskingRecipe,
): MaskedOptions {
  const vocabulary = maskingVocabulary(tokenizer);
  const words = wholeWords ? { continuesWord: wordRule(tokenizer) } : {};
  return { vocabulary, fraction, pairs: nextSentence, ...words };
}

/** @throws {ConfigError} naming the special token that is missing. */
export function maskingVocabulary({ vocabularySize, specials, specialIds }: Tokenizer): MaskingVocabulary {
  const idOf = (role: "pad" | "cls" | "sep" | "mask"): number => {
    const id = specials[role];
    if (id !== undefined) return id;
    throw new ConfigError({
      where: "tokenizer",
      expected: `a special token [${role.toUpperCase()}], as masked-language training needs`,
      got: "none",
      fix: "Use a tokenizer that was trained for an encoder.",
    });
  };
  const [padId, clsId, sepId, maskId] = [idOf("pad"), idOf("cls"), idOf("sep"), idOf("mask")];
  return { size: vocabularySize, padId, clsId, sepId, maskId, specialIds };
}

/** Letters, digits and what joins them. */
const WORD_CHARACTER = /^[\p{L}\p{M}\p{N}_'’]$/u;

/** Pieces after the first of a word begin with `##`; single characters make a word where none of them separates. */
function wordRule(tokenizer: Tokenizer): (previous: number, id: number) => boolean {
  const texts = Array.from({ length: tokenizer.vocabularySize }, (_, id) => tokenizer.tokenText(id));
  if (texts.some((text) => /^##./u.test(text))) return (_, id) => texts[id]!.startsWith("##");
  const inWord = texts.map((text) => WORD_CHARACTER.test(text));
  return (previous, id) => inWord[previous]! && inWord[id]!;
}

function describeMasking({ fraction, wholeWords, nextSentence }: MaskingRecipe): string {
  const what = `${Math.round(fraction * 100)} % of the ${wholeWords ? "text, by whole words," : "tokens"} hidden`;
  const pairs = nextSentence ? ", and to tell whether two texts follow each other" : "";
  return `It was taught to fill in text with ${what}${pairs}; it does not write text.`;
}
