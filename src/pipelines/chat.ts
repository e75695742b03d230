import type { ChatMessage } from "../codecs/chat-messages.ts";
import { DataError } from "../core/errors.ts";
import type { TokenConstraint } from "../generate/constraint/token-constraint.ts";
import { generate } from "../generate/generate.ts";
import type { SamplingOptions } from "../generate/sampling-options.ts";
import type { GenerateResult } from "../generate/sequence.ts";
import type { LanguageModel } from "./language-model.ts";

export interface ChatOptions {
  /** JSON schemas of functions the model may call. */
  readonly tools?: readonly object[] | undefined;
  /** Further variables that the template reads, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  readonly maxTokens?: number | undefined;
  /** Default: what the model was published with. */
  readonly sampling?: Partial<SamplingOptions> | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly constraint?: TokenConstraint | undefined;
  readonly onText?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the model answered. */
export interface ChatReply {
  readonly message: { readonly role: "assistant"; readonly content: string };
  readonly finishReason: GenerateResult["finishReason"];
  readonly usage: GenerateResult["usage"];
  readonly timings: GenerateResult["timings"];
}

/**
 * Answers the last message of a conversation. What the decoder has read of it before is not read again, so a conversation that
 * grows costs only what is new.
 *
 * @throws {DataError} if the model has no chat template, or a message is not one.
 * @throws {ConfigError} if an option is out of range, or the conversation is longer than the context: nothing is left out unasked.
 * @example
 * const { message } = await chat(model, [{ role: "user", content: "What is a token?" }]);
 */
export async function chat(
  model: LanguageModel,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): Promise<ChatReply> {
  const { tools, variables, sampling = model.defaults.sampling, ...rest } = options;
  const result = await generate({
    ...rest,
    decoder: model.decoder,
    tokenizer: model.tokenizer,
    tokens: encodeMessages(model, messages, { tools, variables }),
    sampling,
    stopTokens: model.defaults.stopTokens,
    reuseCache: true,
  });
  const { text, finishReason, usage, timings } = result;
  return { message: { role: "assistant", content: text }, finishReason, usage, timings };
}

/**
 * A conversation as tokens, up to where the assistant begins to write.
 *
 * @throws {DataError} if the model has no chat template, or a message is not one.
 */
export function encodeMessages(
  model: LanguageModel,
  messages: readonly ChatMessage[],
  options: Pick<ChatOptions, "tools" | "variables"> = {},
): readonly number[] {
  if (!model.template) {
    throw new DataError({
      where: model.loaded.directory,
      expected: "a model with a chat template",
      got: "one without",
      fix: "Use generate: this model continues text, it was not trained on conversations.",
    });
  }
  const text = model.template.render(messages, { ...options, addGenerationPrompt: true });
  return Array.from(model.tokenizer.encodeMarked(text));
}
