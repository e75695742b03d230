import { hasTokenizer, loadTokenizer, type Tokenizer, tokenizerFiles } from "../codecs/tokenizer.ts";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import { isQuantized, type Weight, type Weights } from "../core/weights.ts";
import { readStored } from "../engine/stored-tensor.ts";
import { writeModelDirectory } from "../hub/model-directory.ts";
import type { Parameter } from "../nn/scope.ts";
import { textCompanions } from "./companion-files.ts";
import type { CausalLM, Encoder } from "./contracts.ts";
import type { DecoderClassifier } from "./decoder-classifier.ts";
import { classifierFamilyOf, encoderFamilyOf, type Family, familyOf } from "./registry.ts";

/** Everything that a model directory is made of. */
export interface Saved<M> {
  readonly model: M;
  /** By parameter path, float32. */
  readonly weights: Weights;
  readonly tokenizer: Tokenizer | undefined;
  /**
   * Where it was loaded from: with the same tokenizer, its files go on as they are, chat templates among them, and for what predicts tokens what
   * it says of how it is meant to write. Default: it is new.
   */
  readonly directory?: string | undefined;
  /** The model card, Markdown. */
  readonly card: string;
}

/** What a directory of a model that predicts the next token is made of. */
export type SavedModel = Saved<CausalLM>;

/** What an encoder's directory is made of. */
export type SavedEncoder = Saved<Encoder>;

/** What a directory of a decoder that sorts texts is made of. */
export type SavedClassifier = Saved<DecoderClassifier>;

/**
 * Writes a Hugging Face model directory, whole or not at all, that Python `transformers` loads with the same logits.
 *
 * @throws {EnvironmentError} if the directory holds something else or the system refuses.
 */
export function saveModel(directory: string, saved: SavedModel): void {
  const endOfTextId = saved.tokenizer?.endOfTextId;
  const special = endOfTextId === undefined ? {} : { bos_token_id: endOfTextId, eos_token_id: endOfTextId };
  const family = familyOf(saved.model.family, directory);
  save(directory, saved, family, { config: family.toPublished(saved.model, endOfTextId), special });
}

/**
 * Writes a Hugging Face directory of an encoder and its heads, whole or not at all.
 *
 * @throws {EnvironmentError} if the directory holds something else or the system refuses.
 */
export function saveEncoder(directory: string, saved: SavedEncoder): void {
  const family = encoderFamilyOf(saved.model.family, directory);
  save(directory, saved, family, { config: family.toPublished(saved.model, undefined) });
}

/**
 * Writes a Hugging Face directory of a decoder that sorts texts, whole or not at all.
 *
 * @throws {EnvironmentError} if the directory holds something else or the system refuses.
 */
export function saveClassifier(directory: string, saved: SavedClassifier): void {
  const endOfTextId = saved.tokenizer?.specials.eos;
  const family = classifierFamilyOf(saved.model.family, directory);
  save(directory, saved, family, { config: family.toPublished(saved.model, endOfTextId) });
}

interface Described {
  readonly parameters: readonly Parameter[];
  readonly shape: { readonly contextLength: number };
}

function save<M extends Described>(
  directory: string,
  { model, weights, tokenizer, directory: source, card }: Saved<M>,
  family: Family<M>,
  { config, special }: { readonly config: object; readonly special?: object },
): void {
  const kept = source !== undefined && isTokenizerOf(source, tokenizer) ? textCompanions(source) : undefined;
  const generationConfig = special && (kept?.generationConfig ?? special);
  writeModelDirectory(directory, {
    config,
    ...(generationConfig && { generationConfig }),
    tensors: model.parameters.flatMap(({ path }) => {
      const tensor = dense(path, weights.get(path)!);
      return family.publishedNames(path, model).map((name) => [name, tensor] as const);
    }),
    files: {
      ...(kept?.files ??
        (tokenizer && tokenizerFiles(tokenizer, { contextLength: model.shape.contextLength }))),
      "README.md": card,
    },
  });
}

function isTokenizerOf(directory: string, tokenizer: Tokenizer | undefined): boolean {
  if (!tokenizer || !hasTokenizer(directory)) return !tokenizer && !hasTokenizer(directory);
  return loadTokenizer(directory).hash() === tokenizer.hash();
}

/** A tensor whose numbers are read when they are written, so that one at a time is in memory. */
function dense(path: string, weight: Weight): HostTensor {
  if (isQuantized(weight)) {
    throw new ConfigError({
      where: `saveModel, ${path}`,
      expected: "float32 weights",
      got: weight.scheme,
      fix: "Save what readWeights makes of them, or copy the directory they came from.",
    });
  }
  const { dtype, shape } = weight;
  return {
    dtype,
    shape,
    get data() {
      return readStored(weight).data;
    },
  };
}
