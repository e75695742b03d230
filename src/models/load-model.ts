import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer, type Tokenizer } from "../codecs/tokenizer.ts";
import { FormatError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { Weight, Weights } from "../core/weights.ts";
import type { ModelWeights } from "../hub/model-weights.ts";
import type { Parameter } from "../nn/scope.ts";
import type { CausalLM, Encoder } from "./contracts.ts";
import { openCheckpoint } from "./open-checkpoint.ts";
import { encoderFamilyOf, type Family, familyOf } from "./registry.ts";

/** A model with its weights, in memory or to be mapped from their files, and its tokenizer when the directory has one. */
export interface Loaded<M> {
  readonly directory: string;
  readonly model: M;
  /** By parameter path, float32. */
  readonly weights: Weights;
  readonly tokenizer: Tokenizer | undefined;
}

/** A model that predicts the next token, loaded. */
export type LoadedModel = Loaded<CausalLM>;

/** An encoder, loaded. */
export type LoadedEncoder = Loaded<Encoder>;

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

function load<M extends Described>(
  directory: string,
  find: (modelType: unknown, where: string) => Family<M>,
): Loaded<M> {
  const opened = openCheckpoint(directory);
  try {
    const family = find(opened.config.model_type, join(directory, "config.json"));
    const model = family.fromPublished(opened.config, opened.weights.names);
    const weights = readWeights(directory, model, family, opened.weights);
    const hasTokenizer = existsSync(join(directory, "tokenizer.json"));
    return { directory, model, weights, tokenizer: hasTokenizer ? loadTokenizer(directory) : undefined };
  } finally {
    opened.close();
  }
}

interface Described {
  readonly parameters: readonly Parameter[];
}

function readWeights<M extends Described>(
  directory: string,
  model: M,
  family: Family<M>,
  published: ModelWeights,
): Map<string, Weight> {
  const nameOf = new Map<string, string>();
  const names = new Set(published.names);
  for (const name of published.names) {
    const path = family.pathOfPublished(name, model, names);
    if (path !== undefined) nameOf.set(path, name);
  }
  const known = new Set(model.parameters.map(({ path }) => path));
  const missing = [...known].filter((path) => !nameOf.has(path));
  const extra = [...nameOf.keys()].filter((path) => !known.has(path));
  if (missing.length + extra.length > 0) throw disagreement(directory, missing, extra);
  return new Map(
    model.parameters.map(({ path, shape }) => {
      const name = nameOf.get(path)!;
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

function disagreement(directory: string, missing: string[], extra: string[]): FormatError {
  const list = (names: string[]) => names.slice(0, 5).join(", ") + (names.length > 5 ? ", …" : "");
  const near = missing.length > 0 ? nearest(missing[0]!, extra) : undefined;
  return new FormatError({
    where: directory,
    expected: "exactly the tensors of the architecture",
    got: [
      missing.length > 0 ? `${missing.length} missing (${list(missing)})` : "",
      extra.length > 0 ? `${extra.length} left over (${list(extra)})` : "",
    ]
      .filter(Boolean)
      .join(" and "),
    ...(near && { fix: `Is "${near}" meant to be "${missing[0]}"?` }),
  });
}
