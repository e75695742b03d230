import { ConfigError } from "../core/errors.ts";
import type { CausalLM, Encoder } from "../models/contracts.ts";
import { DecoderClassifier } from "../models/decoder-classifier.ts";
import type { Loaded } from "../models/load-model.ts";
import { AdaptedDecoder, AdaptedEncoder, type Adapter } from "./adapter.ts";
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

/** A loaded model with an adapter on it. The base's weights are shared, not copied. */
export function putOn<M extends CausalLM | Encoder>(base: Loaded<M>, loaded: LoadedAdapter<M>): Loaded<M> {
  const { adapter, model, weights } = loaded;
  const adapted: CausalLM | Encoder =
    model instanceof DecoderClassifier
      ? adaptClassifier(model, adapter)
      : "heads" in model
        ? new AdaptedEncoder(model, adapter)
        : new AdaptedDecoder(model, adapter);
  return { ...base, model: adapted as M, weights: new Map([...base.weights, ...weights]) };
}

/** A classifier whose body has the adapter on it. */
function adaptClassifier(model: DecoderClassifier, adapter: Adapter): DecoderClassifier {
  const ofHead = adapter.parameters.find(({ path }) =>
    model.headParameters.some((own) => path.startsWith(own.path.replace(/weight$/, ""))),
  );
  if (!ofHead) return new DecoderClassifier(new AdaptedDecoder(model.body, adapter), model);
  throw new ConfigError({
    where: "adapter",
    expected: "one of a classifier's body: the head is trained whole",
    got: ofHead.path,
  });
}
