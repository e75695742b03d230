import { ConfigError } from "../../core/errors.ts";
import { type Gpt2Config, gpt2Config } from "./config.ts";

/** Fields of a published `config.json` that carry the shape, by our names. */
const PUBLISHED_KEYS = {
  vocabularySize: "vocab_size",
  contextLength: "n_positions",
  width: "n_embd",
  numLayers: "n_layer",
  numHeads: "n_head",
  feedForwardSize: "n_inner",
  layerNormEpsilon: "layer_norm_epsilon",
} as const satisfies Record<keyof Gpt2Config, string>;

/** Switches of the reference implementation that change the arithmetic, and the one setting each that is GPT-2. */
const REQUIRED: Readonly<Record<string, readonly unknown[]>> = {
  activation_function: ["gelu_new", "gelu_pytorch_tanh"],
  scale_attn_weights: [true],
  scale_attn_by_inverse_layer_idx: [false],
  add_cross_attention: [false],
  tie_word_embeddings: [true],
};

/**
 * Reads a published `config.json`.
 *
 * @throws {ConfigError} if a field is out of range or asks for arithmetic that is not GPT-2's.
 */
export function fromPublishedConfig(published: Readonly<Record<string, unknown>>): Gpt2Config {
  for (const [key, accepted] of Object.entries(REQUIRED)) {
    const value = published[key] ?? accepted[0];
    if (accepted.includes(value)) continue;
    throw new ConfigError({
      where: `config.json ${key}`,
      expected: accepted.map((item) => JSON.stringify(item)).join(" or "),
      got: JSON.stringify(value),
    });
  }
  const fields = Object.entries(PUBLISHED_KEYS).flatMap(([ours, theirs]) => {
    const value = published[theirs] ?? undefined;
    return value === undefined ? [] : [[ours, value]];
  });
  return gpt2Config(Object.fromEntries(fields) as Partial<Gpt2Config>);
}

/** Writes a `config.json` that Python `transformers` reads. Training applies no dropout, and the file says so. */
export function toPublishedConfig(config: Gpt2Config, endOfTextId: number | undefined): object {
  const shape = Object.entries(PUBLISHED_KEYS).map(([ours, theirs]) => [
    theirs,
    config[ours as keyof Gpt2Config],
  ]);
  const special = endOfTextId === undefined ? null : endOfTextId;
  return {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    ...Object.fromEntries(shape),
    activation_function: "gelu_new",
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    tie_word_embeddings: true,
    bos_token_id: special,
    eos_token_id: special,
    dtype: "float32",
  };
}

/**
 * The parameter a published tensor belongs to; `undefined` for what is not a parameter: the causal-mask buffers of old
 * files, and the output head, which is the token table again.
 */
export function pathOfPublished(name: string): string | undefined {
  const bare = name.replace(/^transformer\./, "");
  const isBuffer = /^h\.\d+\.attn\.(bias|masked_bias)$/.test(bare);
  return isBuffer || bare === "lm_head.weight" ? undefined : bare;
}

/** The published name of a parameter: what `GPT2LMHeadModel.save_pretrained` writes. */
export function publishedName(path: string): string {
  return `transformer.${path}`;
}
