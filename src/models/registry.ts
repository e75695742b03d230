import { ConfigError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { Bert } from "./bert/model.ts";
import * as bert from "./bert/weights.ts";
import type { CausalLM, Encoder } from "./contracts.ts";
import { Gpt2 } from "./gpt2/model.ts";
import * as gpt2 from "./gpt2/weights.ts";
import { PUBLISHED_TYPES } from "./mistral/config.ts";
import { Mistral } from "./mistral/model.ts";
import * as mistral from "./mistral/weights.ts";

/** What loading, saving and listing need to know about a family of models. */
export interface Family<M> {
  /** `model_type` in a published `config.json`. */
  readonly modelType: string;
  /** Builds the model that a published configuration describes; the tensors' names tell which parts are there. */
  readonly fromPublished: (config: Readonly<Record<string, unknown>>, names: readonly string[]) => M;
  /** `config.json` for a model of this family. */
  readonly toPublished: (model: M, endOfTextId: number | undefined) => object;
  /** The parameter that a published tensor belongs to; `undefined` for what is none. */
  readonly pathOfPublished: (name: string, model: M, names: ReadonlySet<string>) => string | undefined;
  /** The names that a parameter is published under: nearly always one. */
  readonly publishedNames: (path: string, model: M) => readonly string[];
}

/** Families that predict the next token. */
const CAUSAL: readonly Family<CausalLM>[] = [
  {
    modelType: "gpt2",
    fromPublished: (config) => new Gpt2(gpt2.fromPublishedConfig(config)),
    toPublished: (model, endOfTextId) => gpt2.toPublishedConfig((model as Gpt2).config, endOfTextId),
    pathOfPublished: gpt2.pathOfPublished,
    publishedNames: (path) => [gpt2.publishedName(path)],
  },
  ...PUBLISHED_TYPES.map(
    (modelType): Family<CausalLM> => ({
      modelType,
      fromPublished: (config) => new Mistral(mistral.fromPublishedConfig(config)),
      toPublished: (model, endOfTextId) => mistral.toPublishedConfig((model as Mistral).config, endOfTextId),
      pathOfPublished: (name, model) => mistral.pathOfPublished(name, (model as Mistral).config),
      publishedNames: (path) => [mistral.publishedName(path)],
    }),
  ),
];

/** Families that read whole texts. */
const ENCODERS: readonly Family<Encoder>[] = [
  {
    modelType: "bert",
    fromPublished: bert.fromPublished,
    toPublished: (model) => bert.toPublished(model as Bert),
    pathOfPublished: (name, model, names) => bert.pathOfPublished(name, model as Bert, names),
    publishedNames: (path, model) => bert.publishedNames(path, model as Bert),
  },
];

/** @throws {ConfigError} if there is no such family, or it is one of encoders. */
export function familyOf(modelType: unknown, where: string): Family<CausalLM> {
  return find(CAUSAL, modelType, where, {
    others: ENCODERS,
    expected: "a model that predicts the next token",
    got: "an encoder",
    fix: "Load it with loadEncoder, or use fill-mask or embed.",
  });
}

/** @throws {ConfigError} if there is no such family, or it is one that predicts the next token. */
export function encoderFamilyOf(modelType: unknown, where: string): Family<Encoder> {
  return find(ENCODERS, modelType, where, {
    others: CAUSAL,
    expected: "an encoder",
    got: "a model that predicts the next token",
    fix: "Load it with loadModel, or use generate.",
  });
}

/** Whether models of that type are encoders. */
export function isEncoderType(modelType: unknown): boolean {
  return ENCODERS.some((family) => family.modelType === modelType);
}

interface OtherKind {
  readonly others: readonly { readonly modelType: string }[];
  readonly expected: string;
  readonly got: string;
  readonly fix: string;
}

function find<M>(families: readonly Family<M>[], modelType: unknown, where: string, other: OtherKind) {
  const family = families.find((candidate) => candidate.modelType === modelType);
  if (family) return family;
  const key = `${where} model_type`;
  if (other.others.some((candidate) => candidate.modelType === modelType)) {
    const { expected, got, fix } = other;
    throw new ConfigError({ where: key, expected, got: `${got} ("${modelType}")`, fix });
  }
  const known = [...CAUSAL, ...ENCODERS].map((candidate) => candidate.modelType);
  const near = typeof modelType === "string" ? nearest(modelType, known) : undefined;
  throw new ConfigError({
    where: key,
    expected: "a known architecture",
    got: JSON.stringify(modelType ?? null),
    fix: `Known: ${known.join(", ")}.${near ? ` Did you mean "${near}"?` : ""}`,
  });
}
