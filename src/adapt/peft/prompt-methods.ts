import { ConfigError } from "../../core/errors.ts";
import type { JsonObject } from "../../hub/strict-json.ts";
import type { CausalLM } from "../../models/contracts.ts";
import type { Adapter } from "../adapter.ts";
import { PrefixTuning } from "../prefix-tuning.ts";
import { PromptTuning } from "../prompt-tuning.ts";
import { ANY, oneOfValues, type PeftBase, type PeftMethod, READ, readNumber } from "./peft-method.ts";

/** What both have: the sizes are the base's, and tell nothing that the tensor's shape does not. */
const SHARED = {
  suffixes: [],
  plainNames: ["prompt_embeddings"],
  settings: {
    num_virtual_tokens: READ,
    ...{ token_dim: ANY, num_layers: ANY, num_attention_heads: ANY },
    num_transformer_submodules: oneOfValues(1),
  },
} as const;

/** Prompt tuning. */
export const PROMPT_TUNING: PeftMethod = {
  ...SHARED,
  peftType: "PROMPT_TUNING",
  settings: {
    ...SHARED.settings,
    ...{ prompt_tuning_init: ANY, prompt_tuning_init_text: ANY },
    ...{ tokenizer_name_or_path: ANY, tokenizer_kwargs: ANY },
  },
  read: (config, base, where) =>
    new PromptTuning(decoderOf(base, where), { virtualTokens: readVirtualTokens(config, where) }),
  write: (adapter: Adapter, base) => {
    if (!(adapter instanceof PromptTuning)) return undefined;
    const { width, numHeads } = base.model.shape;
    const sizes = { token_dim: width, num_attention_heads: numHeads };
    return { ...writeVirtualTokens(adapter.virtualTokens, base), ...sizes, prompt_tuning_init: "RANDOM" };
  },
};

/** Prefix tuning, without the network that makes prefixes in training. */
export const PREFIX_TUNING: PeftMethod = {
  ...SHARED,
  peftType: "PREFIX_TUNING",
  settings: {
    ...SHARED.settings,
    ...{ prefix_projection: oneOfValues(false), encoder_hidden_size: ANY, init_weights: ANY },
  },
  read: (config, base, where) =>
    new PrefixTuning(decoderOf(base, where), { virtualTokens: readVirtualTokens(config, where) }),
  write: (adapter: Adapter, base) => {
    if (!(adapter instanceof PrefixTuning)) return undefined;
    const { numKeyValueHeads: heads, headSize } = (base.model as CausalLM).shape;
    const sizes = { token_dim: heads * headSize, num_attention_heads: heads };
    return { ...writeVirtualTokens(adapter.virtualTokens, base), ...sizes, prefix_projection: false };
  },
};

function readVirtualTokens(config: JsonObject, where: string): number {
  return readNumber(config, "num_virtual_tokens", where);
}

function writeVirtualTokens(count: number, { model }: PeftBase): object {
  return { num_virtual_tokens: count, num_layers: model.shape.numLayers, num_transformer_submodules: 1 };
}

function decoderOf({ model }: PeftBase, where: string): CausalLM {
  if (!("heads" in model)) return model;
  const expected = "a base that predicts the next token";
  throw new ConfigError({ where: `${where} peft_type`, expected, got: "an encoder" });
}
