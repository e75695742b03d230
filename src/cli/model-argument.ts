import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadAdapted } from "../adapt/load-adapted.ts";
import { ConfigError } from "../core/errors.ts";
import { readJsonObject } from "../hub/read-json-file.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import {
  type Loaded,
  type LoadedEncoder,
  type LoadedModel,
  loadClassifier,
  loadEncoder,
  loadModel,
} from "../models/load-model.ts";
import { isEncoderType } from "../models/registry.ts";
import { ClassifierModel } from "../pipelines/classifier-model.ts";
import { EncoderModel } from "../pipelines/encoder-model.ts";
import { LanguageModel } from "../pipelines/language-model.ts";
import { checkMemory } from "../plan/check-memory.ts";
import { boolean, text } from "./flag-specs.ts";
import type { FlagValues, PositionalSpec } from "./flags.ts";

/** The word that names a model, as verbs that use one take it. */
export const MODEL_ARGUMENT: PositionalSpec = {
  name: "model",
  describe:
    "a model directory, the directory of a pretraining run, or owner/name[@revision] on Hugging Face; --model says the same",
  required: true,
  isModel: true,
};

/** Flags of every verb that loads a model. */
export const MODEL_FLAGS = {
  adapter: text({
    describe: "an adapter to put on the model: its directory, in PEFT's layout",
    placeholder: "DIR",
  }),
  checkMemory: boolean({ describe: "go on even where memory will not suffice", fallback: true }),
} as const;

/** Where a run of `plinth pretrain` puts its model. */
const MODEL_OF_RUN = "model";

/** The model directory that a word means: itself, or `model` inside the directory of a run. */
export function modelDirectory(word: string): string {
  const inRun = join(word, MODEL_OF_RUN);
  return !existsSync(join(word, "config.json")) && existsSync(join(inRun, "config.json")) ? inRun : word;
}

/**
 * Loads the model that a word names.
 *
 * @throws {EnvironmentError} if there is no such directory, or memory does not suffice.
 * @throws {ConfigError} if its architecture is unknown.
 * @throws {FormatError} if it is not a model directory, or not whole.
 */
export function loadModelArgument(word: string, flags: FlagValues<typeof MODEL_FLAGS>): LoadedModel {
  const directory = modelDirectory(word);
  if (flags.checkMemory) checkMemory(directory);
  return refuseClassifier(withAdapter(loadModel(directory), flags.adapter));
}

/**
 * Opens whatever model a word names: an encoder, or a decoder, which may sort texts by a head of its own or that of an adapter.
 *
 * @throws as {@link loadModelArgument}
 */
export function openModelArgument(
  word: string,
  flags: FlagValues<typeof MODEL_FLAGS>,
): EncoderModel | ClassifierModel | LanguageModel {
  if (isEncoderArgument(word)) return new EncoderModel(loadEncoderArgument(word, flags));
  const loaded = loadDecoderArgument(word, flags);
  return ClassifierModel.fits(loaded) ? new ClassifierModel(loaded) : new LanguageModel(loaded);
}

function loadDecoderArgument(word: string, flags: FlagValues<typeof MODEL_FLAGS>): LoadedModel {
  const directory = modelDirectory(word);
  if (flags.checkMemory) checkMemory(directory);
  const loaded = ClassifierModel.isIn(directory) ? loadClassifier(directory) : loadModel(directory);
  return withAdapter<CausalLM>(loaded, flags.adapter);
}

function refuseClassifier(loaded: LoadedModel): LoadedModel {
  if (!ClassifierModel.fits(loaded)) return loaded;
  throw new ConfigError({
    where: loaded.directory,
    expected: "an adapter of a model that predicts the next token",
    got: "one with a head that sorts texts",
    fix: "Use plinth classify.",
  });
}

/**
 * Loads the encoder that a word names.
 *
 * @throws as {@link loadModelArgument}, and {ConfigError} if the model is no encoder.
 */
export function loadEncoderArgument(word: string, flags: FlagValues<typeof MODEL_FLAGS>): LoadedEncoder {
  const directory = modelDirectory(word);
  if (flags.checkMemory) checkMemory(directory);
  return withAdapter(loadEncoder(directory), flags.adapter);
}

function withAdapter<M extends CausalLM | Encoder>(
  base: Loaded<M>,
  directory: string | undefined,
): Loaded<M> {
  return directory === undefined ? base : loadAdapted(base, directory);
}

/**
 * Whether the model that a word names is an encoder. One that cannot be read is not: loading it says why.
 */
export function isEncoderArgument(word: string): boolean {
  const path = join(modelDirectory(word), "config.json");
  return existsSync(path) && isEncoderType(readJsonObject(path).model_type);
}
