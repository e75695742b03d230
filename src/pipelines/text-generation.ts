import type { ChatMessage } from "../codecs/chat-messages.ts";
import { DataError } from "../core/errors.ts";
import { beamSearch } from "../generate/beam-search.ts";
import { Decoder } from "../generate/decoder.ts";
import { generate, generateBatch } from "../generate/generate.ts";
import { encodeMessages } from "./chat.ts";
import {
  type OwnGenerationOptions,
  type PublishedGenerationOptions,
  readGenerationOptions,
} from "./generation-options.ts";
import type { LanguageModel } from "./language-model.ts";

/** Who is given a text as it grows: `TextStreamer` of transformers.js fits. */
export interface Streamer {
  readonly callback_function?: ((text: string) => void) | undefined;
}

export interface TextGenerationOptions extends PublishedGenerationOptions {
  /** Default true, except for conversations: the prompt is part of the text. */
  readonly return_full_text?: boolean;
  /** Given the text as it grows; for one prompt and one text. */
  readonly streamer?: Streamer;
  readonly tools?: readonly object[];
  readonly signal?: AbortSignal;
}

/** A text, or a conversation with its answer. */
export interface GeneratedText {
  readonly generated_text: string | readonly ChatMessage[];
}

/** One prompt: a text, or the messages of a conversation. */
export type TextPrompt = string | readonly ChatMessage[];

/**
 * Continues texts and answers conversations, in the shape of transformers.js.
 *
 * @returns the texts of one prompt; for a list of prompts, a list of these
 * @throws {ConfigError} if an option is unknown or out of range, or a prompt longer than the context.
 * @throws {DataError} if there is nothing to continue, or no chat template for a conversation.
 */
export async function generateTexts(
  model: LanguageModel,
  input: TextPrompt | readonly TextPrompt[],
  options: TextGenerationOptions = {},
): Promise<GeneratedText[] | GeneratedText[][]> {
  const { return_full_text: isFull, streamer, tools, signal, ...rest } = options;
  const own = readGenerationOptions(rest, model.defaults.sampling);
  const isBatch = Array.isArray(input) && !isConversation(input);
  const prompts = (isBatch ? input : [input]) as readonly TextPrompt[];
  if (prompts.length === 0) {
    throw new DataError({ where: "text-generation", expected: "at least one prompt", got: "none" });
  }
  const tokens = prompts.map((prompt) => encode(model, prompt, tools));
  const texts = await write(model, tokens, own, { streamer, signal });
  const results = prompts.map((prompt, i) =>
    texts[i]!.map((text) => ({ generated_text: join(prompt, text, isFull ?? true) })),
  );
  return isBatch ? results : results[0]!;
}

function isConversation(input: readonly unknown[]): input is readonly ChatMessage[] {
  return (
    input.length > 0 && input.every((item) => typeof item === "object" && item !== null && "role" in item)
  );
}

function encode(
  model: LanguageModel,
  prompt: TextPrompt,
  tools: readonly object[] | undefined,
): readonly number[] {
  if (typeof prompt === "string") return Array.from(model.tokenizer.encodeInput(prompt).ids);
  return encodeMessages(model, prompt, { tools });
}

function join(prompt: TextPrompt, text: string, isFull: boolean): string | readonly ChatMessage[] {
  if (!isFull) return text;
  return typeof prompt === "string" ? prompt + text : [...prompt, { role: "assistant", content: text }];
}

interface Listening {
  readonly streamer: Streamer | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The texts of each prompt. */
async function write(
  model: LanguageModel,
  prompts: readonly (readonly number[])[],
  own: OwnGenerationOptions,
  { streamer, signal }: Listening,
): Promise<string[][]> {
  const { tokenizer, defaults } = model;
  const { maxTokens, sampling, stop, numSamples } = own;
  const stopTokens = [...defaults.stopTokens, ...own.stopTokens];
  const request = { tokenizer, maxTokens, sampling, stop, stopTokens, signal };
  if (own.numBeams > 1) return searchAll(model, prompts, own, request);
  if (prompts.length * numSamples === 1) {
    const onText = streamer?.callback_function;
    const { text } = await generate({ ...request, decoder: model.decoder, tokens: prompts[0]!, onText });
    return [[text]];
  }
  const results = await generateBatch({ ...request, decoder: model.decoder, prompts, numSamples });
  return results.map((texts) => texts.map(({ text }) => text));
}

async function searchAll(
  model: LanguageModel,
  prompts: readonly (readonly number[])[],
  { numBeams, numSamples, lengthPenalty, stopping }: OwnGenerationOptions,
  request: object,
): Promise<string[][]> {
  const { model: network, weights } = model.loaded;
  const decoder = new Decoder(model.engine, network, weights, { rows: numBeams });
  const beams = {
    numTexts: numSamples,
    ...(lengthPenalty !== undefined && { lengthPenalty }),
    ...(stopping !== undefined && { stopping }),
  };
  try {
    const results: string[][] = [];
    for (const tokens of prompts) {
      const found = await beamSearch({ ...request, ...beams, decoder, tokens });
      results.push(found.map(({ text }) => text));
    }
    return results;
  } finally {
    decoder.dispose();
  }
}
