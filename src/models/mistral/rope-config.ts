import { ConfigError } from "../../core/errors.ts";
import { boolean, integer, oneOf, readFields, real } from "../../core/fields.ts";
import { suggest } from "../../core/nearest.ts";
import type {
  DynamicScaling,
  LinearScaling,
  Llama3Scaling,
  RopeScaling,
  YarnScaling,
} from "../../nn/rope-scaling.ts";

type Published = Readonly<Record<string, unknown>>;

const CONTEXT = integer(1, 2 ** 31 - 1);
const FACTOR = real(1, 1e6);
const TURNS = real(1e-6, 1e6);

/**
 * Checks how rotary frequencies are stretched.
 *
 * @throws {ConfigError} if a key is unknown, missing or out of range, or the context is not the one the kind reaches.
 */
export function ropeScaling(
  given: RopeScaling,
  model: { contextLength: number },
  where: string,
): RopeScaling {
  if (given.kind === "linear") {
    return readFields<LinearScaling>(where, { kind: oneOf(["linear"]), factor: FACTOR }, given);
  }
  if (given.kind === "dynamic") {
    const fields = { kind: oneOf(["dynamic"]), factor: FACTOR, originalContextLength: CONTEXT };
    const scaling = readFields<DynamicScaling>(where, fields, given);
    const reach = dynamicReach(scaling);
    if (model.contextLength === reach) return scaling;
    const expected = `a context of factor × originalContextLength, ${reach}`;
    throw new ConfigError({ where, expected, got: `${model.contextLength}` });
  }
  if (given.kind === "llama3") return llama3(given, where);
  if (given.kind === "yarn") {
    return readFields<YarnScaling>(
      where,
      {
        ...{ kind: oneOf(["yarn"]), factor: FACTOR, originalContextLength: CONTEXT },
        ...{ betaFast: TURNS, betaSlow: TURNS, truncate: boolean(), attentionFactor: real(1e-6, 1e6) },
      },
      given,
    );
  }
  throw unknownKind((given satisfies never as { kind: unknown }).kind, where);
}

/** Tokens that a dynamically stretched model is meant for. */
export function dynamicReach({ factor, originalContextLength }: DynamicScaling): number {
  return Math.floor(factor * originalContextLength);
}

/** Rotary settings of a published `config.json`, and the context they reach. */
export interface PublishedRope {
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | undefined;
  readonly contextLength: number;
}

/**
 * Reads both published spellings: `rope_theta` with `rope_scaling`, and the `rope_parameters` of transformers 5.
 *
 * @throws {ConfigError} if the kind of scaling is unknown or lacks a number.
 */
export function fromPublishedRope(config: Published, contextLength: number): PublishedRope {
  const where = `config.json ${config.rope_scaling ? "rope_scaling" : "rope_parameters"}`;
  const rope = record(config.rope_scaling ?? config.rope_parameters ?? {}, where);
  const kind = rope.rope_type ?? rope.type ?? "default";
  const theta = rope.rope_theta ?? config.rope_theta ?? 10_000;
  const partial = rope.partial_rotary_factor ?? config.partial_rotary_factor ?? 1;
  if (partial !== 1) {
    const got = JSON.stringify(partial);
    throw new ConfigError({
      where: `${where} partial_rotary_factor`,
      expected: "1: heads that turn whole",
      got,
    });
  }
  const original =
    config.original_max_position_embeddings ?? rope.original_max_position_embeddings ?? contextLength;
  const scaling = readKind(kind, rope, { contextLength, original }, where);
  const { rope_theta: ropeTheta } = readFields<{ rope_theta: number }>(
    where,
    { rope_theta: real(1, 1e12) },
    { rope_theta: theta },
  );
  return { ropeTheta, ropeScaling: scaling, contextLength: reachOf(scaling, contextLength) };
}

/** The older of the published spellings, which every version of the reference implementation reads. */
export function toPublishedRope(theta: number, scaling: RopeScaling | undefined): Published {
  return { rope_theta: theta, rope_scaling: scaling ? publishedScaling(scaling) : null };
}

function reachOf(scaling: RopeScaling | undefined, contextLength: number): number {
  if (scaling?.kind === "dynamic") return dynamicReach(scaling);
  if (scaling?.kind !== "yarn") return contextLength;
  // Some files say the original context and some the stretched one.
  return Math.max(contextLength, Math.floor(scaling.factor * scaling.originalContextLength));
}

function readKind(
  kind: unknown,
  rope: Published,
  { contextLength, original }: { readonly contextLength: number; readonly original: unknown },
  where: string,
): RopeScaling | undefined {
  const originalContextLength = original as number; // checked with the rest
  if (kind === "default") return undefined;
  if (kind === "linear")
    return ropeScaling({ kind, factor: rope.factor as number }, { contextLength }, where);
  if (kind === "dynamic") {
    const scaling = { kind, factor: rope.factor as number, originalContextLength: contextLength } as const;
    return ropeScaling(scaling, { contextLength: dynamicReach(scaling) }, where);
  }
  if (kind === "llama3") {
    const scaling = {
      ...{ kind, factor: rope.factor, originalContextLength },
      ...{ lowFrequencyFactor: rope.low_freq_factor, highFrequencyFactor: rope.high_freq_factor },
    } as Llama3Scaling;
    return ropeScaling(scaling, { contextLength }, where);
  }
  if (kind !== "yarn") throw unknownKind(kind, where);
  const factor = (rope.factor ?? contextLength / originalContextLength) as number;
  const scaling = {
    ...{ kind, factor, originalContextLength },
    ...{ betaFast: rope.beta_fast || 32, betaSlow: rope.beta_slow || 1, truncate: rope.truncate ?? true },
    attentionFactor: rope.attention_factor ?? yarnAttentionFactor(factor, rope),
  } as YarnScaling;
  return ropeScaling(scaling, { contextLength }, where);
}

/** YaRN eq. 22, `0.1·ln(factor) + 1`; DeepSeek's files weigh the logarithm. */
function yarnAttentionFactor(factor: number, { mscale, mscale_all_dim }: Published): number {
  const sharpen = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const isWeighed = mscale && mscale_all_dim;
  return isWeighed ? sharpen(mscale as number) / sharpen(mscale_all_dim as number) : sharpen(1);
}

function llama3(given: Llama3Scaling, where: string): Llama3Scaling {
  const fields = {
    ...{ kind: oneOf(["llama3"]), factor: FACTOR, originalContextLength: CONTEXT },
    ...{ lowFrequencyFactor: TURNS, highFrequencyFactor: TURNS },
  };
  const scaling = readFields<Llama3Scaling>(where, fields, given);
  if (scaling.lowFrequencyFactor < scaling.highFrequencyFactor) return scaling;
  throw new ConfigError({
    where: `${where}.highFrequencyFactor`,
    expected: `more than the low factor ${scaling.lowFrequencyFactor}`,
    got: `${scaling.highFrequencyFactor}`,
  });
}

function publishedScaling(scaling: RopeScaling): Published {
  const { kind, factor } = scaling;
  if (kind === "linear" || kind === "dynamic") return { rope_type: kind, factor };
  const original_max_position_embeddings = scaling.originalContextLength;
  if (kind === "llama3") {
    const { lowFrequencyFactor: low_freq_factor, highFrequencyFactor: high_freq_factor } = scaling;
    return { rope_type: kind, factor, original_max_position_embeddings, low_freq_factor, high_freq_factor };
  }
  return {
    ...{ rope_type: kind, factor, original_max_position_embeddings },
    ...{ beta_fast: scaling.betaFast, beta_slow: scaling.betaSlow, truncate: scaling.truncate },
    attention_factor: scaling.attentionFactor,
  };
}

function record(value: unknown, where: string): Published {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  const nested = isRecord ? Object.keys(value).find((key) => key.endsWith("_attention")) : undefined;
  if (isRecord && nested === undefined) return value as Published;
  const got = nested === undefined ? JSON.stringify(value) : `different settings by layer ("${nested}")`;
  throw new ConfigError({ where, expected: "an object with one rope_type for all layers", got });
}

const KINDS = ["default", "linear", "dynamic", "llama3", "yarn"];

function unknownKind(kind: unknown, where: string): ConfigError {
  return new ConfigError({
    where: `${where} rope_type`,
    expected: "a known kind of scaling",
    got: JSON.stringify(kind ?? null),
    fix: typeof kind === "string" ? suggest(kind, KINDS) : `Known: ${KINDS.join(", ")}.`,
  });
}
