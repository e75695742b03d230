import type { CausalLM } from "../models/contracts.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { mistralConfig } from "../models/mistral/config.ts";
import { Mistral } from "../models/mistral/model.ts";
import { saveModel } from "../models/save-model.ts";
import { NextToken, nextTokenStream } from "../train/next-token.ts";
import { Validation } from "../train/validation.ts";
import { scoreNgram } from "./baseline.ts";
import type { Recipe } from "./recipe.ts";
import { checkPrompt, sampleText } from "./sample-text.ts";
import type { Trainee, TraineeOptions } from "./trainee.ts";

/** A decoder, which is trained to predict the next token. */
export interface DecoderTrainee extends Trainee {
  readonly model: CausalLM;
}

/**
 * The decoder that a recipe describes.
 *
 * @throws {ConfigError} if its parts do not fit together.
 */
export function buildDecoder({ model, train }: Recipe, vocabularySize: number): CausalLM {
  const { contextLength } = train;
  if (model.family === "gpt2") {
    const { family, ...sizes } = model;
    return new Gpt2(gpt2Config({ ...sizes, vocabularySize, contextLength }, "model"));
  }
  const { family, ...sizes } = model as Extract<Recipe["model"], { family: "mistral" }>;
  return new Mistral(mistralConfig({ ...sizes, vocabularySize, contextLength }, "model"));
}

/** @throws {ConfigError} or {DataError} if the prompt of the samples cannot be used. */
export function decoderTrainee(options: TraineeOptions): DecoderTrainee {
  const { engine, recipe, tokenizer, train, heldOut, heldOutBytes, prompt } = options;
  const model = buildDecoder(recipe, tokenizer.vocabularySize);
  const sampling = { engine, model, tokenizer, prompt, seed: recipe.train.seed };
  checkPrompt(sampling);
  return {
    model,
    objective: new NextToken(model),
    examples: nextTokenStream({ ...recipe.train, datasets: train }),
    measure: (arena) => {
      const text = { datasets: heldOut, bytes: heldOutBytes, endOfTextId: tokenizer.endOfTextId };
      return new Validation(engine, model, arena.weights(), recipe.train, text);
    },
    pipelineTag: "text-generation",
    taught:
      "It continues text; it was not taught to follow instructions, and what it writes is not to be relied on.",
    baselines: () => [
      scoreNgram(
        tokenizer,
        train.map(({ dataset }) => dataset),
        heldOut,
      ),
    ],
    sample: (weights) => sampleText(sampling, weights),
    controls: async () => [],
    save: (directory, weights, card) => saveModel(directory, { model, weights, tokenizer, card }),
    nextCommands: (directory) => [
      `generate ${directory} --prompt "Once" --max-tokens 200`,
      `score ${directory} --text "Some text"`,
      `inspect ${directory}`,
    ],
  };
}
