import { ConfigError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import type { SamplingOptions } from "../generate/sampling-options.ts";

/** Options of text generation by the names that users of transformers know. */
export interface PublishedGenerationOptions {
  readonly max_new_tokens?: number;
  readonly min_new_tokens?: number;
  /** Default: as the model was published. False takes the likeliest token each time. */
  readonly do_sample?: boolean;
  readonly temperature?: number;
  readonly top_k?: number;
  readonly top_p?: number;
  readonly min_p?: number;
  readonly typical_p?: number;
  readonly repetition_penalty?: number;
  readonly no_repeat_ngram_size?: number;
  readonly num_beams?: number;
  readonly length_penalty?: number;
  readonly early_stopping?: boolean | "never";
  readonly num_return_sequences?: number;
  readonly stop_strings?: string | readonly string[];
  readonly eos_token_id?: number | readonly number[];
  readonly seed?: number;
}

const SAMPLING = {
  min_new_tokens: "minNewTokens",
  temperature: "temperature",
  top_k: "topK",
  top_p: "topP",
  min_p: "minP",
  typical_p: "typicalP",
  repetition_penalty: "repetitionPenalty",
  no_repeat_ngram_size: "noRepeatNgramSize",
  seed: "seed",
} as const satisfies Partial<Record<keyof PublishedGenerationOptions, keyof SamplingOptions>>;

const OTHERS = [
  "max_new_tokens",
  "do_sample",
  "num_beams",
  "length_penalty",
  "early_stopping",
  "num_return_sequences",
  "stop_strings",
  "eos_token_id",
] as const satisfies readonly (keyof PublishedGenerationOptions)[];

/** What `early_stopping` means in our words. */
function stoppingOf(early: boolean | "never" | undefined): "full" | "likely" | "never" | undefined {
  if (early === undefined || early === "never") return early;
  if (typeof early === "boolean") return early ? "full" : "likely";
  const expected = 'true, false or "never"';
  throw new ConfigError({ where: "early_stopping", expected, got: JSON.stringify(early) });
}

/** The same by our names. */
export interface OwnGenerationOptions {
  readonly maxTokens: number | undefined;
  readonly sampling: Partial<SamplingOptions>;
  readonly stop: readonly string[];
  readonly stopTokens: readonly number[];
  readonly numBeams: number;
  readonly numSamples: number;
  readonly lengthPenalty: number | undefined;
  readonly stopping: "full" | "likely" | "never" | undefined;
}

/**
 * Translates transformers' names.
 *
 * @param defaults how the model was published
 * @param own further names that the caller reads itself
 * @throws {ConfigError} if a name is unknown or a value of the wrong kind; ranges are checked where they are used.
 */
export function readGenerationOptions(
  given: PublishedGenerationOptions,
  defaults: Partial<SamplingOptions>,
  own: readonly string[] = [],
): OwnGenerationOptions {
  const known = [...Object.keys(SAMPLING), ...OTHERS, ...own];
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue;
    throw new ConfigError({
      where: key,
      expected: "an option of text generation",
      got: "an unknown one",
      fix: suggest(key, known),
    });
  }
  const chosen = Object.entries(SAMPLING).flatMap(([theirs, ours]) => {
    const value = given[theirs as keyof typeof SAMPLING];
    return value === undefined ? [] : [[ours, value]];
  });
  const { do_sample: isSampling, eos_token_id: ends = [], stop_strings: stop = [] } = given;
  return {
    maxTokens: given.max_new_tokens,
    sampling: {
      ...greedyUnless(isSampling, defaults),
      ...Object.fromEntries(chosen),
      ...(isSampling === false && GREEDY),
    },
    stop: typeof stop === "string" ? [stop] : stop,
    stopTokens: typeof ends === "number" ? [ends] : ends,
    numBeams: given.num_beams ?? 1,
    numSamples: given.num_return_sequences ?? 1,
    lengthPenalty: given.length_penalty,
    stopping: stoppingOf(given.early_stopping),
  };
}

const GREEDY = { temperature: 0 };

/** A model that was published without sampling settings takes the likeliest token, as in transformers. */
function greedyUnless(
  isSampling: boolean | undefined,
  defaults: Partial<SamplingOptions>,
): Partial<SamplingOptions> {
  const asksForSampling = ["temperature", "topK", "topP", "minP"].some((key) => key in defaults);
  return isSampling || asksForSampling ? defaults : { ...defaults, ...GREEDY };
}
