import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { stream } from "../generate/generate.ts";
import type { SamplingOptions } from "../generate/sampling-options.ts";
import { endOfBlock, endOfLine } from "./code-block.ts";
import type { LanguageModel } from "./language-model.ts";

export interface CompleteCodeOptions {
  /** What stands before the cursor. */
  readonly before: string;
  /** What stands after it; only for models trained to fill in the middle. */
  readonly after?: string | undefined;
  /** Where the completion ends: with the line, with the block that the cursor is in (the default), or where the model ends it. */
  readonly until?: "line" | "block" | "end" | undefined;
  /** Most tokens written; default 128. */
  readonly maxTokens?: number | undefined;
  readonly sampling?: Partial<SamplingOptions> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What goes where the cursor is. */
export interface CodeCompletion {
  readonly completion: string;
  readonly finishReason: "line" | "block" | "stop" | "length" | "aborted";
}

const DEFAULT_TOKENS = 128;

/**
 * How published models are told what stands around the cursor: the tokens ahead of what is before, ahead of what is after, and
 * ahead of the answer, which also says in which order they come. Bavarian et al. 2022, §3.
 */
const MIDDLE_TOKENS: readonly {
  readonly before: string;
  readonly after: string;
  readonly middle?: string;
}[] = [
  { before: "<fim_prefix>", after: "<fim_suffix>", middle: "<fim_middle>" },
  { before: "<|fim_prefix|>", after: "<|fim_suffix|>", middle: "<|fim_middle|>" },
  { before: "▁<PRE>", after: "▁<SUF>", middle: "▁<MID>" },
  // Mistral from its second tokenizer on: what is after comes first, and the answer continues what is before.
  { before: "[PREFIX]", after: "[SUFFIX]" },
];

/**
 * Completes code at a cursor with any causal model, greedily unless told otherwise.
 *
 * @throws {ConfigError} if an option is out of range, the code does not fit into the context, or there is code after the cursor and the
 *   model was not trained to fill in the middle.
 * @example
 * await completeCode(model, { before: "function add(a, b) {\n  return " }); // completion: "a + b;"
 */
export async function completeCode(
  model: LanguageModel,
  options: CompleteCodeOptions,
): Promise<CodeCompletion> {
  const {
    before,
    until = "block",
    maxTokens = DEFAULT_TOKENS,
    sampling = { temperature: 0 },
    signal,
  } = options;
  if (before === "") {
    throw new ConfigError({ where: "before", expected: "some code before the cursor", got: "none" });
  }
  const tokens = encodeAround(model.tokenizer, options);
  const { decoder, tokenizer, defaults } = model;
  const { stopTokens } = defaults;
  const events = stream({
    decoder,
    tokenizer,
    tokens,
    maxTokens,
    sampling,
    stopTokens,
    signal,
    reuseCache: true,
  });
  const end = until === "end" ? undefined : until === "line" ? endOfLine : endOfBlock(before);
  let text = "";
  for (;;) {
    const next = await events.next();
    if (next.done) return { completion: next.value.text, finishReason: next.value.finishReason };
    if (next.value.type !== "text") continue;
    text += next.value.text;
    const length = end?.(text);
    if (length === undefined) continue;
    await events.return(undefined as never);
    return { completion: text.slice(0, length), finishReason: until as "line" | "block" };
  }
}

function encodeAround(tokenizer: Tokenizer, { before, after }: CompleteCodeOptions): readonly number[] {
  const plain = Array.from(tokenizer.encodeInput(before).ids);
  if (after === undefined || after === "") return plain;
  for (const names of MIDDLE_TOKENS) {
    const [prefix, suffix, middle] = [names.before, names.after, names.middle].map((name) =>
      name === undefined ? undefined : tokenizer.idOf(name),
    );
    if (prefix === undefined || suffix === undefined || (names.middle && middle === undefined)) continue;
    const start = tokenizer.encodeInput("").ids; // what texts begin with
    const [left, right] = [tokenizer.encode(before), tokenizer.encode(after)];
    if (middle === undefined) return [...start, suffix, ...right, prefix, ...left];
    return [...start, prefix, ...left, suffix, ...right, middle];
  }
  throw new ConfigError({
    where: "after",
    expected: "a model whose tokenizer has tokens for filling in the middle",
    got: "one without",
    fix: "Leave out what comes after the cursor.",
  });
}
