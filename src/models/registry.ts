import { ConfigError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import { bertHeadsFor } from "./bert/config.ts";
import { Bert } from "./bert/model.ts";
import * as bert from "./bert/weights.ts";
import type { CausalLM, Encoder, TaskHead } from "./contracts.ts";
import { DecoderClassifier } from "./decoder-classifier.ts";
import { Gpt2 } from "./gpt2/model.ts";
import * as gpt2 from "./gpt2/weights.ts";
import { PUBLISHED_TYPES } from "./mistral/config.ts";
import { Mistral } from "./mistral/model.ts";
import * as mistral from "./mistral/weights.ts";
import { readLabels, readProblem, toPublishedLabels } from "./published-labels.ts";

/** The head of a decoder that sorts texts, as it is published and as it is called here. */
const CLASSIFIER_HEAD = "score.weight";

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

/** A family of models that predict the next token. */
export interface CausalFamily extends Family<CausalLM> {
  /** What the reference implementation calls one with a head that sorts texts. */
  readonly classifierArchitecture: string;
}

/** A family of encoders. */
export interface EncoderFamily extends Family<Encoder> {
  /** The same encoder with the head of a task in place of those it has. What it shares with the other has the same paths. */
  readonly withHead: (model: Encoder, head: TaskHead) => Encoder;
}

/** Families that predict the next token. */
const CAUSAL: readonly CausalFamily[] = [
  {
    modelType: "gpt2",
    classifierArchitecture: "GPT2ForSequenceClassification",
    fromPublished: (config) => new Gpt2(gpt2.fromPublishedConfig(config)),
    toPublished: (model, endOfTextId) => gpt2.toPublishedConfig((model as Gpt2).config, endOfTextId),
    pathOfPublished: gpt2.pathOfPublished,
    publishedNames: (path) => [gpt2.publishedName(path)],
  },
  ...PUBLISHED_TYPES.map(
    (modelType): CausalFamily => ({
      modelType,
      classifierArchitecture: mistral.CLASSIFIER_ARCHITECTURES[modelType],
      fromPublished: (config) => new Mistral(mistral.fromPublishedConfig(config)),
      toPublished: (model, endOfTextId) => mistral.toPublishedConfig((model as Mistral).config, endOfTextId),
      pathOfPublished: (name, model) => mistral.pathOfPublished(name, (model as Mistral).config),
      publishedNames: (path) => [mistral.publishedName(path)],
    }),
  ),
];

/** Families that read whole texts. */
const ENCODERS: readonly EncoderFamily[] = [
  {
    modelType: "bert",
    withHead: (model, head) => new Bert((model as Bert).config, bertHeadsFor(head)),
    fromPublished: bert.fromPublished,
    toPublished: (model) => bert.toPublished(model as Bert),
    pathOfPublished: (name, model, names) => bert.pathOfPublished(name, model as Bert, names),
    publishedNames: (path, model) => bert.publishedNames(path, model as Bert),
  },
];

/** @throws {ConfigError} if there is no such family, or it is one of encoders. */
export function familyOf(modelType: unknown, where: string): CausalFamily {
  return find(CAUSAL, modelType, where, {
    others: ENCODERS,
    expected: "a model that predicts the next token",
    got: "an encoder",
    fix: "Load it with loadEncoder, or use fill-mask or embed.",
  });
}

/** @throws {ConfigError} if there is no such family, or it is one that predicts the next token. */
export function encoderFamilyOf(modelType: unknown, where: string): EncoderFamily {
  return find(ENCODERS, modelType, where, {
    others: CAUSAL,
    expected: "an encoder",
    got: "a model that predicts the next token",
    fix: "Load it with loadModel, or use generate.",
  });
}

/**
 * The same for decoders that sort texts: what is true of their family, and the head.
 *
 * @throws as {@link familyOf}
 */
export function classifierFamilyOf(modelType: unknown, where: string): Family<DecoderClassifier> {
  const family = familyOf(modelType, where);
  return {
    modelType: family.modelType,
    fromPublished: (config, names) => {
      const labels = readLabels(config);
      const padId = Number.isSafeInteger(config.pad_token_id) ? (config.pad_token_id as number) : undefined;
      const options = { labels, problem: readProblem(config, labels.length), padId };
      return new DecoderClassifier(family.fromPublished(config, names), options);
    },
    toPublished: (model, endOfTextId) => ({
      ...family.toPublished(model.body, endOfTextId),
      architectures: [family.classifierArchitecture],
      ...toPublishedLabels(model),
      pad_token_id: model.padId ?? null,
    }),
    pathOfPublished: (name, { body }, names) =>
      name === CLASSIFIER_HEAD ? name : family.pathOfPublished(name, body, names),
    publishedNames: (path, { body }) =>
      path === CLASSIFIER_HEAD ? [path] : family.publishedNames(path, body),
  };
}

/**
 * The family of a model, as what it is.
 *
 * @throws as {@link familyOf} and {@link encoderFamilyOf}
 */
export function familyOfModel<M extends CausalLM | Encoder>(model: M, where: string): Family<M> {
  const family: unknown =
    model instanceof DecoderClassifier
      ? classifierFamilyOf(model.family, where)
      : "heads" in model
        ? encoderFamilyOf(model.family, where)
        : familyOf(model.family, where);
  return family as Family<M>;
}

/** Whether a published configuration is of a decoder that sorts texts. */
export function isClassifierConfig(config: Readonly<Record<string, unknown>>): boolean {
  const [architecture] = Array.isArray(config.architectures) ? config.architectures : [];
  return CAUSAL.some(
    (family) => family.modelType === config.model_type && family.classifierArchitecture === architecture,
  );
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

function find<F extends { readonly modelType: string }>(
  families: readonly F[],
  modelType: unknown,
  where: string,
  other: OtherKind,
): F {
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
