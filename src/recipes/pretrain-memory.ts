import type { Tokenizer } from "../codecs/tokenizer.ts";
import { checkTrainingMemory, describeForecast } from "../plan/check-training-memory.ts";
import type { TrainingMemoryRequest } from "../plan/training-forecast.ts";
import { MaskedLM } from "../train/masked-lm.ts";
import { NextToken } from "../train/next-token.ts";
import { buildDecoder } from "./decoder-trainee.ts";
import { buildEncoder, maskedOptions } from "./encoder-trainee.ts";
import { limitsOf, type MemoryLimits } from "./memory-limits.ts";
import type { Recipe } from "./recipe.ts";

/**
 * What a pretraining run will hold at most, as a sentence.
 *
 * @throws {EnvironmentError} if the run will not fit into memory, with what would.
 */
export function checkPretrainMemory(recipe: Recipe, tokenizer: Tokenizer, limits: MemoryLimits): string {
  const forecast = checkTrainingMemory(requestOf(recipe, tokenizer), limitsOf(limits));
  return `memory: ${describeForecast(forecast)}`;
}

function requestOf(recipe: Recipe, tokenizer: Tokenizer): TrainingMemoryRequest {
  const { train: options, masking } = recipe;
  const { vocabularySize } = tokenizer;
  if (!masking) {
    const writer = buildDecoder(recipe, vocabularySize);
    return { objective: new NextToken(writer), options, writer };
  }
  const encoder = buildEncoder(recipe, vocabularySize);
  const objective = new MaskedLM(encoder, maskedOptions(tokenizer, masking));
  return { objective, options, keepsInitialWeights: true };
}
