import { hasTokenizer, loadTokenizer, type Tokenizer } from "../codecs/tokenizer.ts";
import { FormatError } from "../core/errors.ts";
import type { Weight, Weights } from "../core/weights.ts";
import type { ModelWeights } from "../hub/model-weights.ts";
import type { QuantizedWeights } from "../hub/quantized-weights.ts";
import type { CausalLM, Encoder } from "./contracts.ts";
import type { DecoderClassifier } from "./decoder-classifier.ts";
import type { Described } from "./match-tensors.ts";
import { type FindFamily, openModel } from "./open-model.ts";
import { classifierFamilyOf, encoderFamilyOf, familyOf } from "./registry.ts";

/** A model with its weights, in memory or to be mapped from their files, and its tokenizer when the directory has one. */
export interface Loaded<M> {
  readonly directory: string;
  readonly model: M;
  /** By parameter path: float32, or quantised where the directory is. */
  readonly weights: Weights;
  readonly tokenizer: Tokenizer | undefined;
}

/** A model that predicts the next token, loaded. */
export type LoadedModel = Loaded<CausalLM>;

/** An encoder, loaded. */
export type LoadedEncoder = Loaded<Encoder>;

/** A decoder that sorts texts, loaded. */
export type LoadedClassifier = Loaded<DecoderClassifier>;

/**
 * Loads a Hugging Face directory of a model that predicts the next token, or one in Mistral's own layout.
 *
 * @throws {ConfigError} if the architecture is unknown or an encoder's, or the configuration cannot be.
 * @throws {FormatError} if tensors are missing, left over or of another shape than the configuration says.
 */
export function loadModel(directory: string): LoadedModel {
  return load(directory, familyOf);
}

/**
 * Loads a Hugging Face directory of an encoder, with the heads that are in it.
 *
 * @throws {ConfigError} if the architecture is unknown or no encoder's, or the configuration cannot be.
 * @throws {FormatError} if tensors are missing, left over or of another shape than the configuration says.
 */
export function loadEncoder(directory: string): LoadedEncoder {
  return load(directory, encoderFamilyOf);
}

/**
 * Loads a Hugging Face directory of a decoder with a head that sorts texts, such as a `GPT2ForSequenceClassification`.
 *
 * @throws {ConfigError} if the architecture is unknown or an encoder's, or the configuration cannot be.
 * @throws {FormatError} if tensors are missing, left over or of another shape than the configuration says.
 */
export function loadClassifier(directory: string): LoadedClassifier {
  return load(directory, classifierFamilyOf);
}

function load<M extends Described>(directory: string, find: FindFamily<M>): Loaded<M> {
  const { opened, model, nameOf, quantized } = openModel(directory, find);
  try {
    const weights = readWeights(directory, model, nameOf, opened.weights, quantized);
    const tokenizer = hasTokenizer(directory) ? loadTokenizer(directory) : undefined;
    return { directory, model, weights, tokenizer };
  } finally {
    opened.close();
  }
}

function readWeights<M extends Described>(
  directory: string,
  { parameters }: M,
  nameOf: ReadonlyMap<string, string>,
  published: ModelWeights,
  quantized: QuantizedWeights | undefined,
): Map<string, Weight> {
  return new Map(
    parameters.map(({ path, shape, sumAxis }): [string, Weight] => {
      const name = nameOf.get(path)!;
      const blocks = sumAxis === undefined ? undefined : quantized?.open(name, shape, sumAxis);
      if (blocks) return [path, blocks];
      const entry = published.entry(name);
      if (entry.shape.join() !== shape.join()) {
        throw new FormatError({
          where: `${directory}, tensor ${name}`,
          expected: `shape [${shape}] as config.json says`,
          got: `[${entry.shape}]`,
        });
      }
      return [path, published.float32(name)];
    }),
  );
}
