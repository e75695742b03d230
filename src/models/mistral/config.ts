import { ConfigError } from "../../core/errors.ts";
import { boolean, type Field, integer, oneOf, optional, readFields, real } from "../../core/fields.ts";
import type { RopeScaling } from "../../nn/rope-scaling.ts";
import { ropeScaling } from "./rope-config.ts";

/** Published model types that one description covers. */
export const PUBLISHED_TYPES = ["mistral", "llama", "qwen2"] as const;

/** One of them. */
export type PublishedType = (typeof PUBLISHED_TYPES)[number];

/** The shape of a model of the Mistral family, which takes in Llama and Qwen2. */
export interface MistralConfig {
  /** The `model_type` it is saved as. Changes no arithmetic, but each can say some of the properties only. */
  readonly publishedType: PublishedType;
  readonly vocabularySize: number;
  /** Most tokens the model can look at. */
  readonly contextLength: number;
  readonly width: number;
  readonly numLayers: number;
  /** Heads of the queries. */
  readonly numHeads: number;
  /** Heads of keys and values, each of which serves as many query heads as any other. */
  readonly numKeyValueHeads: number;
  /** Width of one head; all query heads together may be wider or narrower than the model. */
  readonly headSize: number;
  /** Width of the feed-forward hidden layer. */
  readonly feedForwardSize: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  readonly ropeScaling?: RopeScaling;
  /** A layer looks back that many tokens, its own included; absent: at all before it. */
  readonly slidingWindow?: number;
  /** Layers that look at everything although there is a window. */
  readonly fullAttentionLayers: readonly number[];
  readonly queryKeyValueBias: boolean;
  readonly outputBias: boolean;
  readonly feedForwardBias: boolean;
  /** Whether the output head is the token table. */
  readonly tiedHead: boolean;
}

/** The SwiGLU paper's two thirds of 4 × width, rounded up to this. */
const FEED_FORWARD_UNIT = 32;

/**
 * Checks a configuration. Sizes must be said; where the rest is not, heads are not grouped, they add up to the width, the
 * feed-forward layer holds as many numbers as a two-matrix one of 4 × width, nothing has a bias, and no layer has a window.
 *
 * @param where names the configuration in errors
 * @throws {ConfigError} if a key is unknown, missing or out of range, or the parts do not fit together.
 */
export function mistralConfig(given: Partial<MistralConfig>, where = "mistral"): MistralConfig {
  const { width = 0, numHeads = 1, numLayers = 0 } = given;
  const wide = FEED_FORWARD_UNIT * Math.ceil((8 * width) / 3 / FEED_FORWARD_UNIT);
  const perHead = width / numHeads;
  const config = readFields<MistralConfig>(
    where,
    {
      publishedType: oneOf(PUBLISHED_TYPES, narrowestType(given)),
      vocabularySize: integer(1, 2 ** 31 - 1),
      contextLength: integer(1, 2 ** 31 - 1),
      width: integer(1, 2 ** 20),
      numLayers: integer(1, 1024),
      numHeads: integer(1, 1024),
      numKeyValueHeads: integer(1, 1024, numHeads),
      headSize: integer(2, 2 ** 16, Number.isInteger(perHead) ? perHead : undefined),
      feedForwardSize: integer(1, 2 ** 22, wide),
      rmsNormEpsilon: real(0, 1, 1e-5),
      ropeTheta: real(1, 1e12, 10_000),
      ropeScaling: optional(ropeScalingField),
      slidingWindow: optional(integer(1, 2 ** 31 - 1)),
      fullAttentionLayers: layersField(numLayers),
      queryKeyValueBias: boolean(false),
      outputBias: boolean(false),
      feedForwardBias: boolean(false),
      tiedHead: boolean(false),
    },
    given,
  );
  checkHeads(config, where);
  checkPublishable(config, where);
  const scaling = config.ropeScaling;
  return scaling ? { ...config, ropeScaling: ropeScaling(scaling, config, `${where}.ropeScaling`) } : config;
}

/** The window of each layer, where it has one. */
export function windowOf(config: MistralConfig, layer: number): number | undefined {
  return config.fullAttentionLayers.includes(layer) ? undefined : config.slidingWindow;
}

/** The published type that says the least beyond what the configuration says. */
function narrowestType(given: Partial<MistralConfig>): PublishedType {
  if (given.outputBias || given.feedForwardBias) return "llama";
  if (given.queryKeyValueBias || (given.fullAttentionLayers?.length ?? 0) > 0) return "qwen2";
  return "mistral";
}

function checkHeads({ numHeads, numKeyValueHeads, headSize }: MistralConfig, where: string): void {
  if (numHeads % numKeyValueHeads !== 0) {
    throw new ConfigError({
      where: `${where}.numKeyValueHeads`,
      expected: `a divisor of the ${numHeads} query heads`,
      got: `${numKeyValueHeads}`,
    });
  }
  if (headSize % 2 === 0) return;
  throw new ConfigError({
    where: `${where}.headSize`,
    expected: "an even number, as rotary positions turn pairs",
    got: `${headSize}`,
  });
}

/** What a published type cannot say, it must not be given: the saved model would be another one. */
function checkPublishable(config: MistralConfig, where: string): void {
  const { queryKeyValueBias, outputBias, feedForwardBias, slidingWindow, fullAttentionLayers } = config;
  const says: Readonly<Record<PublishedType, boolean>> = {
    mistral:
      !queryKeyValueBias &&
      !outputBias &&
      !feedForwardBias &&
      (fullAttentionLayers.length === 0 || !slidingWindow),
    llama: queryKeyValueBias === outputBias && slidingWindow === undefined,
    qwen2: queryKeyValueBias && !outputBias && !feedForwardBias,
  };
  if (says[config.publishedType]) return;
  const able = PUBLISHED_TYPES.filter((type) => says[type]);
  throw new ConfigError({
    where: `${where}.publishedType`,
    expected: "a type that can say these biases and windows",
    got: `"${config.publishedType}"`,
    fix: able.length > 0 ? `Use ${able.join(" or ")}.` : "No published type can: change biases or windows.",
  });
}

const ropeScalingField: Field<RopeScaling> = {
  describe: "an object with a kind",
  fallback: undefined,
  accepts: (value): value is RopeScaling => typeof value === "object" && value !== null && "kind" in value,
};

function layersField(numLayers: number): Field<readonly number[]> {
  const isLayer = (value: unknown) =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < numLayers;
  return {
    describe: `a list of layers in [0, ${numLayers})`,
    fallback: [],
    accepts: (value): value is readonly number[] =>
      Array.isArray(value) && value.every(isLayer) && new Set(value).size === value.length,
  };
}
