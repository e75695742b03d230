import { join } from "node:path";
import type { HostTensor } from "../../core/dtype.ts";
import { ConfigError } from "../../core/errors.ts";
import { boolean, type Field, integer, optional, readFields, real } from "../../core/fields.ts";
import type { StoredTensor } from "../../core/weights.ts";
import type { ModelDirectory } from "../../hub/model-directory.ts";
import { type ModelWeights, openConsolidatedWeights } from "../../hub/model-weights.ts";
import { readJsonObject } from "../../hub/read-json-file.ts";
import type { JsonObject } from "../../hub/strict-json.ts";

// The layout in which Mistral publishes its own checkpoints: `params.json`, `consolidated.safetensors`, other names, and heads that
// turn neighbouring elements where the Hugging Face layout turns elements half a head apart.

/** The configuration file of that layout. */
export const PARAMS = "params.json";

interface Params {
  readonly dim: number;
  readonly n_layers: number;
  readonly n_heads: number;
  readonly n_kv_heads?: number;
  readonly head_dim?: number;
  readonly hidden_dim: number;
  readonly vocab_size: number;
  readonly norm_eps: number;
  readonly rope_theta: number;
  readonly sliding_window?: number;
  readonly max_seq_len: number;
  readonly tied_embeddings: boolean;
}

const SIZE = integer(1, 2 ** 31 - 1);

const FIELDS: { readonly [K in keyof Params]-?: Field<Exclude<Params[K], undefined>> } = {
  dim: SIZE,
  n_layers: integer(1, 1024),
  n_heads: SIZE,
  n_kv_heads: optional(SIZE),
  head_dim: optional(SIZE),
  hidden_dim: SIZE,
  vocab_size: SIZE,
  norm_eps: real(0, 1, 1e-5),
  rope_theta: real(1, 1e12, 10_000),
  sliding_window: optional(SIZE),
  max_seq_len: integer(1, 2 ** 31 - 1, 32_768),
  tied_embeddings: boolean(false),
};

/** Keys that change nothing here. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "model_type",
  "max_batch_size",
  "causal",
  "_sliding_window",
]);

/**
 * Opens a directory in Mistral's own layout as if it were in that of Hugging Face.
 *
 * @throws {ConfigError} if `params.json` lacks a size, or asks for what is not this family's: experts, images, other rotations.
 * @throws {FormatError} if a weight file is missing or malformed, or a pickle.
 */
export function openConsolidated(directory: string): ModelDirectory {
  const params = readParams(join(directory, PARAMS));
  const weights = new RenamedWeights(openConsolidatedWeights(directory), params);
  return { path: directory, config: toConfig(params), weights, close: () => weights.close() };
}

function readParams(path: string): Params {
  const given = Object.entries(readJsonObject(path)).filter(([key, value]) => {
    const isOff = value === null || value === false;
    return Object.hasOwn(FIELDS, key) ? value !== null : !isOff && !WITHOUT_EFFECT.has(key);
  });
  const foreign = given.find(([key]) => !Object.hasOwn(FIELDS, key));
  if (!foreign) return readFields<Params>(path, FIELDS, Object.fromEntries(given));
  throw new ConfigError({
    where: `${path}, ${foreign[0]}`,
    expected: "the keys of a dense Mistral decoder",
    got: JSON.stringify(foreign[1]).slice(0, 80),
    fix: "Experts, images and other rotations are not of this family.",
  });
}

function toConfig(params: Params): JsonObject {
  return {
    model_type: "mistral",
    vocab_size: params.vocab_size,
    hidden_size: params.dim,
    num_hidden_layers: params.n_layers,
    num_attention_heads: params.n_heads,
    num_key_value_heads: params.n_kv_heads ?? params.n_heads,
    head_dim: params.head_dim ?? params.dim / params.n_heads,
    intermediate_size: params.hidden_dim,
    rms_norm_eps: params.norm_eps,
    rope_theta: params.rope_theta,
    sliding_window: params.sliding_window ?? null,
    max_position_embeddings: params.max_seq_len,
    tie_word_embeddings: params.tied_embeddings,
  };
}

/** Parts of the names, theirs to those of the Hugging Face layout. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^tok_embeddings\.(?=weight$)/, "model.embed_tokens."],
  [/^norm\.(?=weight$)/, "model.norm."],
  [/^output\.(?=weight$)/, "lm_head."],
  [/^layers\.(\d+)\.attention_norm\./, "model.layers.$1.input_layernorm."],
  [/^layers\.(\d+)\.ffn_norm\./, "model.layers.$1.post_attention_layernorm."],
  [/^layers\.(\d+)\.attention\.w([qkvo])\./, "model.layers.$1.self_attn.$2_proj."],
  [/^layers\.(\d+)\.feed_forward\.w1\./, "model.layers.$1.mlp.gate_proj."],
  [/^layers\.(\d+)\.feed_forward\.w2\./, "model.layers.$1.mlp.down_proj."],
  [/^layers\.(\d+)\.feed_forward\.w3\./, "model.layers.$1.mlp.up_proj."],
];

function toPublishedName(original: string): string {
  const [pattern, replacement] = NAMES.find(([pattern]) => pattern.test(original)) ?? [/^/, ""];
  return original.replace(pattern, replacement);
}

/** Weights of that layout by the names, and with the rows, of the Hugging Face layout. */
class RenamedWeights implements ModelWeights {
  readonly names: readonly string[];
  readonly #inner: ModelWeights;
  readonly #originals: ReadonlyMap<string, string>;
  readonly #params: Params;

  constructor(inner: ModelWeights, params: Params) {
    this.#inner = inner;
    this.#params = params;
    this.#originals = new Map(inner.names.map((name) => [toPublishedName(name), name]));
    this.names = [...this.#originals.keys()];
  }

  has(name: string): boolean {
    return this.#originals.has(name);
  }

  /** The place is that of the original rows. */
  entry(name: string): ReturnType<ModelWeights["entry"]> {
    return this.#inner.entry(this.#original(name));
  }

  read(name: string): HostTensor {
    return this.#ordered(name, this.#inner.read(this.#original(name)));
  }

  readFloat32(name: string): HostTensor {
    return this.#ordered(name, this.#inner.readFloat32(this.#original(name)));
  }

  float32(name: string): StoredTensor {
    return this.#headsOf(name) ? this.readFloat32(name) : this.#inner.float32(this.#original(name));
  }

  stored(name: string): StoredTensor {
    return this.#headsOf(name) ? this.read(name) : this.#inner.stored(this.#original(name));
  }

  readInto(name: string, target: Uint8Array): void {
    this.#inner.readInto(this.#original(name), target);
    const numHeads = this.#headsOf(name);
    if (numHeads) splitPairs(target, numHeads, this.entry(name).shape[0]! / numHeads);
  }

  close(): void {
    this.#inner.close();
  }

  #original(name: string): string {
    return this.#originals.get(name) ?? name;
  }

  /** How many heads' rows are to be put in another order, if any. */
  #headsOf(name: string): number | undefined {
    const kind = /\.self_attn\.([qk])_proj\.weight$/.exec(name)?.[1];
    const { n_heads, n_kv_heads = n_heads } = this.#params;
    if (!kind) return undefined;
    return kind === "q" ? n_heads : n_kv_heads;
  }

  #ordered(name: string, tensor: HostTensor): HostTensor {
    const numHeads = this.#headsOf(name);
    if (!numHeads) return tensor;
    const { buffer, byteOffset, byteLength } = tensor.data;
    splitPairs(new Uint8Array(buffer, byteOffset, byteLength), numHeads, tensor.shape[0]! / numHeads);
    return tensor;
  }
}

/** Rows 0, 1, 2 … of each head in the order 0, 2, 4 … 1, 3, 5 …, in place: a pair's elements come to lie half a head apart. */
function splitPairs(bytes: Uint8Array, numHeads: number, headSize: number): void {
  const rowSize = bytes.length / (numHeads * headSize);
  for (let head = 0; head < numHeads; head++) {
    const rows = bytes.subarray(head * headSize * rowSize, (head + 1) * headSize * rowSize);
    const before = rows.slice();
    for (let row = 0; row < headSize; row++) {
      const to = (row % 2) * (headSize / 2) + Math.floor(row / 2);
      rows.set(before.subarray(row * rowSize, (row + 1) * rowSize), to * rowSize);
    }
  }
}
