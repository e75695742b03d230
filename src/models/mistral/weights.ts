import { ConfigError } from "../../core/errors.ts";
import { type MistralConfig, mistralConfig, type PublishedType, windowOf } from "./config.ts";
import { fromPublishedRope, toPublishedRope } from "./rope-config.ts";

type Published = Readonly<Record<string, unknown>>;

/** Fields of a published `config.json` that carry the shape, by our names. */
const PUBLISHED_KEYS = {
  vocabularySize: "vocab_size",
  width: "hidden_size",
  numLayers: "num_hidden_layers",
  numHeads: "num_attention_heads",
  numKeyValueHeads: "num_key_value_heads",
  headSize: "head_dim",
  feedForwardSize: "intermediate_size",
  rmsNormEpsilon: "rms_norm_eps",
  tiedHead: "tie_word_embeddings",
} as const satisfies Partial<Record<keyof MistralConfig, string>>;

/** Names of fields that are read in other ways, for complaints. */
const THEIR_KEYS: Readonly<Record<string, string>> = {
  ...PUBLISHED_KEYS,
  contextLength: "max_position_embeddings",
  slidingWindow: "sliding_window",
  queryKeyValueBias: "attention_bias",
  feedForwardBias: "mlp_bias",
};

/** What each type means where its `config.json` is silent: the fallbacks of the reference implementation. */
const SILENT: Readonly<Record<PublishedType, Published>> = {
  mistral: { max_position_embeddings: 131_072, num_key_value_heads: 8, sliding_window: 4096 },
  llama: { max_position_embeddings: 2048, attention_bias: false, mlp_bias: false },
  qwen2: { max_position_embeddings: 32_768, sliding_window: 4096, max_window_layers: 28 },
};

/**
 * Reads a published `config.json` of type `mistral`, `llama` or `qwen2`.
 *
 * @throws {ConfigError} if a field is missing or out of range, or asks for arithmetic that is not the family's.
 */
export function fromPublishedConfig(published: Published, where = "config.json"): MistralConfig {
  const type = published.model_type as PublishedType;
  const config: Published = { rms_norm_eps: 1e-6, ...SILENT[type], ...published };
  checkArithmetic(config, where);
  // Null is the same as silence here, unlike for the window.
  const fields = Object.entries(PUBLISHED_KEYS).flatMap(([ours, theirs]) => {
    const value = config[theirs] ?? undefined;
    return value === undefined ? [] : [[ours, value]];
  });
  const contextLength = (config.max_position_embeddings ?? SILENT[type].max_position_embeddings) as number;
  const { ropeScaling, ...rope } = fromPublishedRope(config, contextLength);
  const given: Partial<MistralConfig> = {
    ...{ publishedType: type, ...(Object.fromEntries(fields) as Partial<MistralConfig>), ...rope },
    ...(ropeScaling && { ropeScaling }),
    ...biasesOf(type, config),
    ...windowsOf(type, config, where),
  };
  try {
    return mistralConfig(given, where);
  } catch (error) {
    throw error instanceof ConfigError ? inTheirWords(error, where) : error;
  }
}

/** The same complaint about the key that the file has. */
function inTheirWords({ failure }: ConfigError, where: string): ConfigError {
  const ours = failure.where.slice(where.length + 1);
  const theirs = Object.hasOwn(THEIR_KEYS, ours) ? THEIR_KEYS[ours] : ours;
  return new ConfigError({ ...failure, where: `${where} ${theirs}` });
}

/** Writes a `config.json` that Python `transformers` reads. Training applies no dropout, and the file says so. */
export function toPublishedConfig(config: MistralConfig, endOfTextId: number | undefined): object {
  const { publishedType, ropeScaling, contextLength } = config;
  const shape = Object.entries(PUBLISHED_KEYS).map(([ours, theirs]) => [
    theirs,
    config[ours as keyof typeof PUBLISHED_KEYS],
  ]);
  const special = endOfTextId === undefined ? null : endOfTextId;
  const original = ropeScaling?.kind === "dynamic" ? ropeScaling.originalContextLength : contextLength;
  return {
    model_type: publishedType,
    architectures: [ARCHITECTURES[publishedType]],
    ...Object.fromEntries(shape),
    max_position_embeddings: original,
    ...toPublishedRope(config.ropeTheta, ropeScaling),
    ...OWN_FIELDS[publishedType](config),
    hidden_act: "silu",
    attention_dropout: 0,
    initializer_range: 0.02,
    bos_token_id: special,
    eos_token_id: special,
    dtype: "float32",
  };
}

/**
 * The parameter a published tensor belongs to, with or without the prefix `model.`; `undefined` for what is not a
 * parameter: buffers of rotary frequencies in old files, and the head where it is the token table again.
 */
export function pathOfPublished(name: string, { tiedHead }: MistralConfig): string | undefined {
  if (/(^|\.)rotary_emb\.inv_freq$/.test(name)) return undefined;
  if (name === "lm_head.weight") return tiedHead ? undefined : name;
  return name.startsWith("model.") ? name : `model.${name}`;
}

/** The published name of a parameter, which is its path. */
export function publishedName(path: string): string {
  return path;
}

const ARCHITECTURES: Readonly<Record<PublishedType, string>> = {
  mistral: "MistralForCausalLM",
  llama: "LlamaForCausalLM",
  qwen2: "Qwen2ForCausalLM",
};

/** What the reference implementation calls each type with a head that sorts texts. */
export const CLASSIFIER_ARCHITECTURES: Readonly<Record<PublishedType, string>> = {
  mistral: "MistralForSequenceClassification",
  llama: "LlamaForSequenceClassification",
  qwen2: "Qwen2ForSequenceClassification",
};

/** Fields that only one type has. */
const OWN_FIELDS: Readonly<Record<PublishedType, (config: MistralConfig) => Published>> = {
  mistral: ({ slidingWindow }) => ({ sliding_window: slidingWindow ?? null }),
  llama: ({ queryKeyValueBias, feedForwardBias }) => ({
    attention_bias: queryKeyValueBias,
    mlp_bias: feedForwardBias,
  }),
  qwen2: (config) => ({
    use_sliding_window: config.slidingWindow !== undefined,
    sliding_window: config.slidingWindow ?? null,
    max_window_layers: Math.max(-1, ...config.fullAttentionLayers) + 1,
    layer_types: Array.from({ length: config.numLayers }, (_, layer) =>
      windowOf(config, layer) === undefined ? FULL : SLIDING,
    ),
  }),
};

const FULL = "full_attention";
const SLIDING = "sliding_attention";

/** Switches that change the arithmetic, and what is the family's. */
function checkArithmetic(config: Published, where: string): void {
  const activation = config.hidden_act ?? "silu";
  if (activation !== "silu" && activation !== "swish") {
    const expected = `"silu"`;
    throw new ConfigError({ where: `${where} hidden_act`, expected, got: JSON.stringify(activation) });
  }
}

/** Llama says its biases, Qwen2 always has those of queries, keys and values, Mistral has none. */
function biasesOf(type: PublishedType, config: Published): Partial<MistralConfig> {
  if (type === "qwen2") return { queryKeyValueBias: true };
  if (type === "mistral") return {};
  const attention = config.attention_bias as boolean;
  return {
    queryKeyValueBias: attention,
    outputBias: attention,
    feedForwardBias: config.mlp_bias as boolean,
  };
}

/** Every layer of Mistral has the window; in Qwen2 those that `layer_types` says, or else those from `max_window_layers` on. */
function windowsOf(type: PublishedType, config: Published, where: string): Partial<MistralConfig> {
  const slidingWindow = config.sliding_window as number | null;
  const hasWindow = type === "mistral" || (type === "qwen2" && config.use_sliding_window === true);
  if (!hasWindow || slidingWindow === null) return {};
  if (type === "mistral") return { slidingWindow };
  const isFull = layerTypes(config, where).map((layer) => layer === FULL);
  const fullAttentionLayers = isFull.flatMap((full, layer) => (full ? [layer] : []));
  return fullAttentionLayers.length === isFull.length ? {} : { slidingWindow, fullAttentionLayers };
}

function layerTypes(config: Published, where: string): readonly string[] {
  const { layer_types: given, num_hidden_layers: numLayers, max_window_layers: first } = config;
  // More layers than there may be are refused with the other sizes, and not listed here.
  if (!((numLayers as number) <= 1024)) return [];
  if (given === undefined || given === null) {
    return Array.from({ length: numLayers as number }, (_, layer) =>
      layer >= (first as number) ? SLIDING : FULL,
    );
  }
  const isList = Array.isArray(given) && given.length === numLayers;
  if (isList && given.every((layer) => layer === FULL || layer === SLIDING)) return given;
  throw new ConfigError({
    where: `${where} layer_types`,
    expected: `for each of ${numLayers} layers "${FULL}" or "${SLIDING}"`,
    got: JSON.stringify(given).slice(0, 80),
  });
}
