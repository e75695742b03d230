import { ConfigError } from "../core/errors.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import type { Loaded } from "../models/load-model.ts";
import { AdaptedDecoder, AdaptedEncoder } from "./adapter.ts";
import { type LoadAdapterOptions, type LoadedAdapter, loadAdapter } from "./peft/adapter-file.ts";

/**
 * A loaded model with the adapter of a directory on it, in PEFT's layout: a model again, with the weights of both.
 *
 * @throws as `loadAdapter`
 */
export function loadAdapted<M extends CausalLM | Encoder>(
  base: Loaded<M>,
  directory: string,
  options: LoadAdapterOptions = {},
): Loaded<M> {
  return putOn(base, loadAdapter(directory, base, options));
}

/**
 * For models that no adapter is put on: decoders with a head that sorts texts.
 *
 * @throws {ConfigError} if one was asked for.
 */
export function refuseAdapter(model: string, directory: string | undefined): void {
  if (directory === undefined) return;
  throw new ConfigError({
    where: model,
    expected: "no adapter, as it is a decoder that sorts texts",
    got: directory,
    fix: "Put the adapter on a model that predicts the next token, or on an encoder.",
  });
}

/** A loaded model with an adapter on it. The base's weights are shared, not copied. */
export function putOn<M extends CausalLM | Encoder>(base: Loaded<M>, loaded: LoadedAdapter<M>): Loaded<M> {
  const { adapter, model, weights } = loaded;
  const adapted: CausalLM | Encoder =
    "heads" in model ? new AdaptedEncoder(model, adapter) : new AdaptedDecoder(model, adapter);
  return { ...base, model: adapted as M, weights: new Map([...base.weights, ...weights]) };
}
