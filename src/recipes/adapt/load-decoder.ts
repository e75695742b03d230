import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { ConfigError } from "../../core/errors.ts";
import type { Weights } from "../../core/weights.ts";
import type { CausalLM } from "../../models/contracts.ts";
import { loadModel } from "../../models/load-model.ts";
import { requireTokenizer } from "../../models/require-tokenizer.ts";
import type { AdaptRecipe } from "./adapt-recipe.ts";

/** A decoder with its tokenizer. */
export interface LoadedDecoder {
  readonly directory: string;
  readonly model: CausalLM;
  readonly weights: Weights;
  readonly tokenizer: Tokenizer;
}

/**
 * Loads a decoder that takes part in a run: the base of a task that continues text, or its teacher.
 *
 * @param who in errors
 * @throws as `loadModel`
 * @throws {DataError} if it has no tokenizer.
 * @throws {ConfigError} if the run's context is longer than its own.
 */
export function loadDecoder(
  directory: string,
  { train: { contextLength } }: AdaptRecipe,
  who: "base" | "teacher" = "base",
): LoadedDecoder {
  const loaded = loadModel(directory);
  const { model, weights } = loaded;
  checkContext(contextLength, model.shape.contextLength, who);
  return { directory, model, weights, tokenizer: requireTokenizer(loaded, who) };
}

/** @throws {ConfigError} if rows may be longer than a model can read. */
export function checkContext(asked: number, most: number, who = "base"): void {
  if (asked <= most) return;
  throw new ConfigError({
    where: "train.contextLength",
    expected: `at most the ${who}'s ${most}`,
    got: `${asked}`,
    fix: `Set train.contextLength=${most} or less.`,
  });
}
