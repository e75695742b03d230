import { ConfigError } from "../core/errors.ts";
import { generate } from "../generate/generate.ts";
import type { SamplingOptions } from "../generate/sampling-options.ts";
import { encodeMessages } from "./chat.ts";
import type { LanguageModel } from "./language-model.ts";

export interface SummarizeOptions {
  /** Most sentences; default 3. */
  readonly sentences?: number | undefined;
  /** Most tokens written; default 100. */
  readonly maxTokens?: number | undefined;
  /**
   * How the model is asked: `chat` by an instruction in its chat template, `tldr` by "TL;DR:" after the text, which models that
   * only continue text understand. Default: `chat` where there is a template.
   */
  readonly style?: "chat" | "tldr" | undefined;
  /** A text that is too long is refused; with true it is summarised in parts, and the summaries together. */
  readonly inParts?: boolean | undefined;
  /** In place of what suits the style: as the model was published, or the two likeliest tokens for `tldr`. */
  readonly sampling?: Partial<SamplingOptions> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A text in a few sentences. */
export interface Summary {
  readonly summary: string;
  /** How many parts the text was read in. */
  readonly parts: number;
}

const DEFAULT_SENTENCES = 3;
const DEFAULT_TOKENS = 100;

/** The two likeliest tokens, as in the paper: less repetitive than greedy decoding. */
const TLDR_SAMPLING = { topK: 2 };

/**
 * Summarises a text with any causal model. How good the summary is depends on the model: one that was never trained on
 * summaries writes something in that place, no more.
 *
 * @throws {ConfigError} if an option is out of range, or the text is longer than the context and not to be read in parts.
 * @throws {DataError} if the model has no tokenizer.
 * @see Radford et al. 2019 (GPT-2), §3.6, for "TL;DR:", top-k 2, 100 tokens and the first 3 sentences.
 * @example
 * const { summary } = await summarize(model, article, { sentences: 2 });
 */
export async function summarize(
  model: LanguageModel,
  text: string,
  options: SummarizeOptions = {},
): Promise<Summary> {
  const { maxTokens = DEFAULT_TOKENS, inParts = false } = options;
  for (const key of ["sentences", "maxTokens"] as const) {
    const value = options[key] ?? 1;
    if (Number.isInteger(value) && value >= 1) continue;
    throw new ConfigError({ where: `summarize.${key}`, expected: "an integer ≥ 1", got: `${value}` });
  }
  if (text.trim() === "") {
    throw new ConfigError({
      where: "summarize",
      expected: "a text with something in it",
      got: "an empty one",
    });
  }
  const room = model.decoder.capacity - maxTokens + 1;
  const prompt = await promptFor(model, text, options);
  if (prompt.length <= room) return { summary: await write(model, prompt, options), parts: 1 };
  if (!inParts) {
    throw new ConfigError({
      where: "summarize",
      expected: `a text whose prompt has at most ${room} tokens`,
      got: `${prompt.length}`,
      fix: "Shorten it, or have it read in parts (--in-parts, inParts: true).",
    });
  }
  const pieces = await splitToFit(model, text, room, options);
  const summaries: string[] = [];
  for (const piece of pieces)
    summaries.push(await write(model, await promptFor(model, piece, options), options));
  const together = summaries.join("\n");
  // Summaries that are no shorter than the text would be summarised for ever.
  if (together.length >= text.length) return { summary: together, parts: pieces.length };
  const { summary, parts } = await summarize(model, together, options);
  return { summary, parts: pieces.length + parts - 1 };
}

async function promptFor(
  model: LanguageModel,
  text: string,
  options: SummarizeOptions,
): Promise<readonly number[]> {
  const { sentences = DEFAULT_SENTENCES, style = model.template ? "chat" : "tldr" } = options;
  if (style === "tldr") return Array.from(model.tokenizer.encodeInput(`${text.trimEnd()}\n\nTL;DR:`).ids);
  const few = sentences === 1 ? "one sentence" : `at most ${sentences} sentences`;
  return encodeMessages(model, [
    { role: "user", content: `Summarize the following text in ${few}.\n\n${text}` },
  ]);
}

async function write(
  model: LanguageModel,
  tokens: readonly number[],
  options: SummarizeOptions,
): Promise<string> {
  const { sentences = DEFAULT_SENTENCES, maxTokens = DEFAULT_TOKENS, style, signal } = options;
  const isTldr = style === "tldr" || (style === undefined && !model.template);
  const { text } = await generate({
    decoder: model.decoder,
    tokenizer: model.tokenizer,
    tokens,
    maxTokens,
    stopTokens: model.defaults.stopTokens,
    sampling: { ...(isTldr ? TLDR_SAMPLING : model.defaults.sampling), ...options.sampling },
    signal,
  });
  return firstSentences(text, sentences);
}

/** Pieces of whole paragraphs, sentences or, at worst, words whose prompts fit. */
async function splitToFit(
  model: LanguageModel,
  text: string,
  room: number,
  options: SummarizeOptions,
): Promise<string[]> {
  const prompt = await promptFor(model, text, options);
  if (prompt.length <= room) return [text];
  const middle = splitPoint(text);
  if (middle <= 0 || middle >= text.length) {
    const expected = "a context with room for a word and the question";
    throw new ConfigError({ where: "summarize", expected, got: `${room} tokens` });
  }
  const halves = [text.slice(0, middle), text.slice(middle)];
  const pieces: string[] = [];
  for (const half of halves) pieces.push(...(await splitToFit(model, half, room, options)));
  return pieces;
}

/** Where a text is best cut in two: the paragraph, sentence or word that ends nearest its middle. */
function splitPoint(text: string): number {
  const middle = text.length / 2;
  for (const end of [/\n\s*\n/g, /[.!?]["')\]]*\s+/g, /\s+/g]) {
    const ends = [...text.trimEnd().matchAll(end)].map(({ index, 0: found }) => index + found.length);
    const nearest = ends.sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))[0];
    if (nearest !== undefined && nearest > text.length / 8 && nearest < (7 * text.length) / 8) return nearest;
  }
  return Math.floor(middle);
}

/** The first sentences of a text, on one line; the last one whole if it can be. */
export function firstSentences(text: string, count: number): string {
  const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });
  const sentences = [...segmenter.segment(text.trim().replaceAll(/\s+/g, " "))].map(({ segment }) => segment);
  return sentences.slice(0, count).join("").trim();
}
