import type { Random } from "../../core/random.ts";
import type { Weight, Weights } from "../../core/weights.ts";
import type { CausalLM, Encoder, TaskHead } from "../../models/contracts.ts";
import { DecoderClassifier, type DecoderClassifierOptions } from "../../models/decoder-classifier.ts";
import { encoderFamilyOf } from "../../models/registry.ts";
import { initializeParameters, type Parameter } from "../../nn/scope.ts";
import { input } from "../../tensor/tensor.ts";
import { encoderScores, parametersBetween } from "./scoring-model.ts";

/** A base with its weights, from a directory or just trained. */
export interface Weighted<M> {
  readonly model: M;
  readonly weights: Weights;
}

/** A base that has a new head, and what is new or stands behind its hidden states. */
export interface WithHead<M> extends Weighted<M> {
  readonly headParameters: readonly Parameter[];
}

/**
 * An encoder with the head of a task in place of those it has. Weights of the body, and of the pooler where there is one, are the
 * base's; the head's are drawn, by the deviation that the family was published with.
 *
 * @throws {ConfigError} if the encoder's family is not in the registry.
 */
export function encoderWithHead(base: Weighted<Encoder>, head: TaskHead, random: Random): WithHead<Encoder> {
  const model = encoderFamilyOf(base.model.family, "new head").withHead(base.model, head);
  const { headParameters } = encoderScores(model);
  // A classifier of the base would have the same names, but it sorted other things.
  const kept = new Set(poolerOf(base.model).map(({ path }) => path));
  const fresh = headParameters.filter(({ path }) => !kept.has(path));
  return { model, headParameters, weights: takeOver(model.parameters, fresh, base.weights, random) };
}

/**
 * A decoder that sorts texts, on a base that predicts the next token.
 *
 * @throws {ConfigError} if there are no labels.
 */
export function decoderWithHead(
  base: Weighted<CausalLM>,
  options: DecoderClassifierOptions,
  random: Random,
): WithHead<DecoderClassifier> {
  const model = new DecoderClassifier(base.model, options);
  const { headParameters } = model;
  return { model, headParameters, weights: takeOver(model.parameters, headParameters, base.weights, random) };
}

function poolerOf(encoder: Encoder): readonly Parameter[] {
  const hidden = input("hidden", "float32", [1, 1, encoder.shape.width]);
  const pooled = encoder.heads.pooled?.(hidden);
  return pooled ? parametersBetween(encoder.parameters, hidden, [pooled]) : [];
}

function takeOver(
  parameters: readonly Parameter[],
  fresh: readonly Parameter[],
  weights: Weights,
  random: Random,
): Weights {
  const drawn = initializeParameters(fresh, random);
  return new Map(
    parameters.map(({ path }): [string, Weight] => [path, drawn.get(path) ?? weights.get(path)!]),
  );
}
