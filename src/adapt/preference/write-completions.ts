import type { ChatTemplate } from "../../codecs/chat-template.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { ConfigError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import type { TextOrMessages } from "../../data/rows/examples.ts";
import type { Engine } from "../../engine/engine.ts";
import { Decoder } from "../../generate/decoder.ts";
import { generateBatch } from "../../generate/generate.ts";
import type { TrainingRow } from "../training-row.ts";
import type { WeightedModel } from "./score-rows.ts";

/** Sequences that a decoder writes side by side. */
const MAX_ROWS = 8;

/** How completions are written. */
export interface WritingOptions {
  readonly tokenizer: Tokenizer;
  /** Needed where prompts are conversations. */
  readonly template?: ChatTemplate | undefined;
  readonly maxTokens: number;
  /** 0: the likeliest token each time. */
  readonly temperature: number;
  /** Completions of each prompt; default 1. */
  readonly numSamples?: number;
  readonly seed: number;
}

/** A completion, and the tokens that it is, with the prompt before them and the end of text behind where the model ended it. */
export interface Completion {
  readonly text: string;
  readonly row: TrainingRow;
  /** Whether the model ended it, rather than running out of room. */
  readonly isEnded: boolean;
}

/**
 * Lets a model with its weights as they are complete prompts.
 *
 * @returns for each prompt, its completions
 * @throws {ConfigError} if a prompt leaves no room for `maxTokens`, or is a conversation and there is no template.
 */
export async function writeCompletions(
  engine: Engine,
  { model, weights }: WeightedModel,
  prompts: readonly TextOrMessages[],
  options: WritingOptions,
): Promise<Completion[][]> {
  const { tokenizer, maxTokens, temperature, seed, numSamples = 1 } = options;
  const tokens = prompts.map((prompt) => promptTokens(prompt, options));
  const longest = tokens.reduce((most, { length }) => Math.max(most, length), 0);
  const { contextLength } = model.shape;
  // The end of text is one token more than what is written.
  if (longest + maxTokens + 1 > contextLength) {
    throw new ConfigError({
      where: "maxTokens",
      expected: `at most ${Math.max(0, contextLength - longest - 1)} after the longest prompt, of ${longest} tokens`,
      got: `${maxTokens}`,
    });
  }
  const rows = Math.min(MAX_ROWS, prompts.length * numSamples);
  const decoder = new Decoder(engine, model, weights, { capacity: longest + maxTokens, rows });
  try {
    const random = new Random(seed).fork("completions");
    const seeds = prompts.map(() => random.uint32());
    const results = await generateBatch({
      seeds,
      sampling: { temperature },
      decoder,
      tokenizer,
      prompts: tokens,
      maxTokens,
      numSamples,
    });
    return results.map((texts, i) =>
      texts.map((result) => {
        const isEnded = result.finishReason === "stop";
        const written = isEnded ? [...result.tokens, endOf(tokenizer)] : result.tokens;
        const whole = [...tokens[i]!, ...written];
        const learnt = Uint8Array.from(whole, (_, place) => Number(place >= tokens[i]!.length));
        return { text: result.text, isEnded, row: { tokens: Int32Array.from(whole), learnt } };
      }),
    );
  } finally {
    decoder.dispose();
  }
}

function promptTokens(
  prompt: TextOrMessages,
  { tokenizer, template }: Pick<WritingOptions, "tokenizer" | "template">,
): number[] {
  if (typeof prompt === "string") {
    const ids = Array.from(tokenizer.encodeInput(prompt).ids);
    return ids.length > 1 && ids.at(-1) === endOf(tokenizer) ? ids.slice(0, -1) : ids;
  }
  if (!template) {
    const fix = "Give the chat template of the model.";
    throw new ConfigError({
      where: "prompt",
      expected: "a text, without a chat template",
      got: "messages",
      fix,
    });
  }
  return Array.from(tokenizer.encodeMarked(template.render(prompt, { addGenerationPrompt: true })));
}

/** The token that ends a text. */
function endOf(tokenizer: Tokenizer): number {
  return tokenizer.specials.eos ?? tokenizer.endOfTextId;
}
