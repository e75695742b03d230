import { Ia3 } from "../../adapt/ia3.ts";
import type { Targets } from "../../adapt/linear-modules.ts";
import { Lora, type LoraOptions } from "../../adapt/lora.ts";
import { PrefixTuning } from "../../adapt/prefix-tuning.ts";
import { PromptTuning } from "../../adapt/prompt-tuning.ts";
import { ConfigError } from "../../core/errors.ts";
import { boolean, integer, real, string } from "../../core/fields.ts";
import type { HeadSettings } from "./frozen-features.ts";
import {
  type BaseModel,
  defineMethod,
  type Fitted,
  type Method,
  requireDecoder,
  type Unfitted,
  withAdapter,
} from "./method.ts";

/** LoRA as it is written down. */
interface LoraSettings {
  readonly rank: number;
  /** Default: twice the rank. 0 stands for that. */
  readonly alpha: number;
  readonly targets: string;
  readonly rankStabilized: boolean;
  readonly decomposed: boolean;
  /** Share of each layer's input that training leaves out of the correction. */
  readonly dropout: number;
}

const LORA_FIELDS = {
  rank: integer(1, 2 ** 16, 8),
  alpha: real(0, 1e6, 0),
  targets: string("all-linear"),
  rankStabilized: boolean(false),
  decomposed: boolean(false),
  dropout: real(0, 0.99, 0),
};

/** Adapters start at nothing and are small: they take, and need, larger steps than a whole model. */
const ADAPTER_TRAIN = { learningRate: 1e-3, weightDecay: 0, beta2: 0.999 } as const;

const LORA = defineMethod<LoraSettings>({
  name: "lora",
  summary: "low-rank corrections on linear layers; the base stays as it is",
  section: "lora",
  fields: LORA_FIELDS,
  train: ADAPTER_TRAIN,
  apply: applyLora,
});

const QLORA = defineMethod<LoraSettings>({
  name: "qlora",
  summary: "LoRA over a base in four bits (nf4, unless it is quantised already)",
  section: "lora",
  fields: LORA_FIELDS,
  train: ADAPTER_TRAIN,
  quantizes: true,
  apply: applyLora,
});

const FULL = defineMethod<object>({
  name: "full",
  summary: "all of the model's numbers",
  fields: {},
  train: { learningRate: 1e-4, weightDecay: 0.01, beta2: 0.999 },
  needsFloats: true,
  apply: ({ model, head }) => ({ model, trained: [...model.parameters, ...head] }),
});

const HEAD = defineMethod<HeadSettings>({
  name: "head",
  summary: "only a new head on the base's hidden states",
  section: "head",
  fields: { cacheBytes: integer(0, Number.MAX_SAFE_INTEGER, 2 ** 30) },
  train: { learningRate: 1e-3, weightDecay: 0.01, beta2: 0.999 },
  apply: ({ model, head }) => {
    if (head.length > 0) return { model, trained: head };
    throw new ConfigError({
      where: "method head",
      expected: "a task that puts a head on the model, such as classify",
      got: "one that uses the model's own",
      fix: "Use lora or full.",
    });
  },
});

const PREFIX = defineMethod<{ virtualTokens: number }>({
  name: "prefix",
  summary: "learned keys and values before every text, in every layer of a decoder",
  section: "prefix",
  fields: { virtualTokens: integer(1, 2 ** 16, 20) },
  virtualTokens: ({ virtualTokens }) => virtualTokens,
  train: { ...ADAPTER_TRAIN, learningRate: 1e-2 },
  apply: (unfitted, settings) =>
    withAdapter(unfitted, new PrefixTuning(requireDecoder("prefix", unfitted.model), settings)),
});

const PROMPT = defineMethod<{ virtualTokens: number }>({
  name: "prompt",
  summary: "learned vectors in place of words before every text, for decoders",
  section: "prompt",
  fields: { virtualTokens: integer(1, 2 ** 16, 20) },
  virtualTokens: ({ virtualTokens }) => virtualTokens,
  train: { ...ADAPTER_TRAIN, learningRate: 3e-2 },
  apply: (unfitted, settings) =>
    withAdapter(unfitted, new PromptTuning(requireDecoder("prompt", unfitted.model), settings)),
});

const IA3 = defineMethod<{ targets: string; feedForward: string }>({
  name: "ia3",
  summary: "a learned factor for each key, value and inner number of the feed-forward layers",
  section: "ia3",
  fields: { targets: string("all-linear"), feedForward: string("") },
  train: { ...ADAPTER_TRAIN, learningRate: 1e-2 },
  apply: (unfitted, { targets, feedForward }) => {
    const inside = feedForward === "" ? [] : feedForward.split(",");
    return withAdapter(
      unfitted,
      new Ia3(unfitted.model, { targets: readTargets(targets), feedForward: inside }),
    );
  },
});

/** Every method, by name: another is one more record. */
export const METHODS: Readonly<Record<string, Method>> = Object.fromEntries(
  [LORA, QLORA, FULL, HEAD, PREFIX, PROMPT, IA3].map((method) => [method.name, method]),
);

function applyLora<M extends BaseModel>(unfitted: Unfitted<M>, settings: LoraSettings): Fitted<M> {
  const { alpha, targets, dropout, ...rest } = settings;
  const options: LoraOptions = {
    ...rest,
    alpha: alpha === 0 ? 2 * settings.rank : alpha,
    targets: readTargets(targets),
  };
  const lora = new Lora(unfitted.model, options);
  return { ...withAdapter(unfitted, lora), ...(dropout > 0 && { dropout: { lora, rate: dropout } }) };
}

/**
 * Which layers, as they are written on the command line: `all-linear`, names between commas, or a pattern between slashes.
 *
 * @throws {ConfigError} if a pattern is not one.
 * @example
 * readTargets("q_proj,v_proj"); // => ["q_proj", "v_proj"]
 */
export function readTargets(text: string): Targets {
  if (text === "all-linear") return text;
  const [, pattern] = /^\/(.*)\/$/.exec(text) ?? [];
  if (pattern === undefined) return text.split(",").map((name) => name.trim());
  try {
    return new RegExp(pattern);
  } catch (cause) {
    const got = (cause as Error).message;
    throw new ConfigError(
      { where: "targets", expected: "a regular expression between slashes", got },
      { cause },
    );
  }
}
