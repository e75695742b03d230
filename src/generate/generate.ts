import { ConfigError } from "../core/errors.ts";
import type { Decoder } from "./decoder.ts";
import { type GenerationPlan, type GenerationRequest, planGeneration } from "./generation-plan.ts";
import { runSequences } from "./run-sequences.ts";
import { type GenerateEvent, type GenerateResult, Sequence } from "./sequence.ts";

/** What to generate, and how: see {@link GenerationRequest} for the rest. */
export interface GenerateOptions extends Omit<GenerationRequest, "capacity"> {
  /** Its cache is used, and holds prompt and text afterwards. */
  readonly decoder: Decoder;
  /** Also yield log-probabilities. */
  readonly logprobs?: boolean | undefined;
  /** Also yield that many of the likeliest tokens at each place; default 0. */
  readonly numAlternatives?: number | undefined;
  /**
   * Keep what the decoder has read of the same beginning. Saves time in a conversation; scores may differ in the last digits
   * from those of a fresh decoder, so a seed repeats its text only from the same start.
   */
  readonly reuseCache?: boolean | undefined;
  /** Aborting ends the text after the token under way. */
  readonly signal?: AbortSignal | undefined;
}

/** Who is told while the text grows. */
export interface GenerateCallbacks {
  /** Text as soon as it is certain: whole characters, and no part of a stop string. */
  readonly onText?: ((text: string) => void) | undefined;
  readonly onToken?: ((token: number, logprob: number | undefined) => void) | undefined;
}

/** Several prompts, and several texts for each. */
export interface GenerateBatchOptions extends Omit<GenerateOptions, "prompt" | "tokens"> {
  /** Texts or token ids; they may be of different lengths. */
  readonly prompts: readonly (string | ArrayLike<number>)[];
  /** Texts for each prompt; default 1. The first is what a single generation with the same seed gives. */
  readonly numSamples?: number | undefined;
  /**
   * A seed for each prompt. Default: `sampling.seed` for all of them, so that prompts draw alike: enough for one text, but many
   * together are then no independent draws.
   */
  readonly seeds?: readonly number[] | undefined;
  readonly onEvent?: ((event: GenerateEvent, prompt: number, sample: number) => void) | undefined;
}

/**
 * Continues a prompt, token by token.
 *
 * Tokens that the tokenizer does not know (a model may have more, to round up its sizes) are never drawn.
 *
 * @throws {ConfigError} if an option is out of range, prompt and `maxTokens` exceed the decoder's capacity, or a prompt in
 *   words or a stop string comes without a tokenizer.
 * @throws {DataError} if the prompt is empty and there is no token to start from, or a token id is out of range.
 * @example
 * const { text } = await generate({ decoder, tokenizer, prompt: "The", sampling: { temperature: 0 } });
 */
export async function generate(options: GenerateOptions & GenerateCallbacks): Promise<GenerateResult> {
  const { onText, onToken, ...rest } = options;
  const events = stream(rest);
  for (;;) {
    const next = await events.next();
    if (next.done) return next.value;
    if (next.value.type === "text") onText?.(next.value.text);
    else onToken?.(next.value.token, next.value.logprob);
  }
}

/**
 * As {@link generate}, one event at a time. Leaving the loop early ends the generation.
 *
 * @example
 * for await (const event of stream({ decoder, tokenizer, prompt: "The" })) {
 *   if (event.type === "text") process.stdout.write(event.text);
 * }
 */
export async function* stream(options: GenerateOptions): AsyncGenerator<GenerateEvent, GenerateResult, void> {
  const { decoder, signal, reuseCache = false } = options;
  const plan = planGeneration({ ...options, capacity: decoder.capacity });
  const sequence = newSequence(plan, 0, options);
  for await (const { event } of runSequences(decoder, [sequence], { signal, reuseCache })) yield event;
  return sequence.result();
}

/**
 * Continues several prompts side by side, as many at once as the decoder has rows. Each text is the one that its prompt
 * would get alone, up to rounding of scores.
 *
 * @returns for each prompt, its texts
 * @throws as {@link generate}; nothing has been generated then.
 * @example
 * const decoder = new Decoder(engine, model, weights, { rows: 4 });
 * const [[cat], [dog]] = await generateBatch({ decoder, tokenizer, prompts: ["The cat", "A dog and"] });
 */
export async function generateBatch(options: GenerateBatchOptions): Promise<GenerateResult[][]> {
  const { decoder, prompts, numSamples = 1, seeds, signal, reuseCache = false } = options;
  if (seeds && seeds.length !== prompts.length) {
    const expected = `one for each of ${prompts.length} prompts`;
    throw new ConfigError({ where: "seeds", expected, got: `${seeds.length}` });
  }
  if (!Number.isInteger(numSamples) || numSamples < 1) {
    throw new ConfigError({ where: "numSamples", expected: "an integer ≥ 1", got: `${numSamples}` });
  }
  const sequences = prompts.flatMap((prompt, i) => {
    const given = typeof prompt === "string" ? { prompt } : { tokens: prompt };
    const sampling = seeds ? { ...options.sampling, seed: seeds[i]! } : options.sampling;
    const plan = planGeneration({ ...options, ...given, sampling, capacity: decoder.capacity });
    return Array.from({ length: numSamples }, (_, sample) => newSequence(plan, sample, options));
  });
  for await (const { index, event } of runSequences(decoder, sequences, { signal, reuseCache })) {
    options.onEvent?.(event, Math.floor(index / numSamples), index % numSamples);
  }
  return prompts.map((_, i) =>
    sequences.slice(i * numSamples, (i + 1) * numSamples).map((sequence) => sequence.result()),
  );
}

function newSequence(
  plan: GenerationPlan,
  sample: number,
  {
    tokenizer,
    logprobs = false,
    numAlternatives = 0,
  }: Pick<GenerateOptions, "tokenizer" | "logprobs" | "numAlternatives">,
): Sequence {
  if (!Number.isInteger(numAlternatives) || numAlternatives < 0) {
    throw new ConfigError({
      where: "numAlternatives",
      expected: "an integer ≥ 0",
      got: `${numAlternatives}`,
    });
  }
  return new Sequence(plan, { tokenizer, sample, logprobs, numAlternatives });
}
