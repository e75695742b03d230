import { Random } from "../core/random.ts";
import type { Decoder } from "./decoder.ts";
import { type GenerationRequest, planGeneration } from "./generation-plan.ts";
import { logProbability, sampleToken } from "./sampling.ts";
import { TextWriter } from "./text-writer.ts";

/** The event loop gets its turn at least that often between tokens. */
const TURN_MS = 4;

/** What to generate, and how: see {@link GenerationRequest} for the rest. */
export interface GenerateOptions extends Omit<GenerationRequest, "capacity"> {
  /** Its cache is used, and holds prompt and text afterwards. */
  readonly decoder: Decoder;
  /** Also yield log-probabilities. */
  readonly logprobs?: boolean | undefined;
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

/** What {@link stream} yields. */
export type GenerateEvent =
  | { readonly type: "token"; readonly token: number; readonly logprob?: number }
  | { readonly type: "text"; readonly text: string };

/** A finished generation. */
export interface GenerateResult {
  /** Without the prompt and without a stop string; "" without a tokenizer. */
  readonly text: string;
  /** Tokens generated, without one that ended the text. The last may belong to a stop string. */
  readonly tokens: readonly number[];
  /** Natural log-probability of each token under the model's own scores, when asked for. */
  readonly logprobs?: readonly number[];
  /** `stop`: a stop token or stop string; `length`: `maxTokens` reached. */
  readonly finishReason: "stop" | "length" | "aborted";
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number };
  readonly timings: GenerateTimings;
}

/** Where the time went. */
export interface GenerateTimings {
  /** Reading the prompt. */
  readonly prefillMs: number;
  /** All after it: the first token is drawn at its beginning. */
  readonly decodeMs: number;
  /** Steps of the model after the prompt, by time; 0 without one. */
  readonly tokensPerSecond: number;
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
  const { decoder, tokenizer, signal } = options;
  const plan = planGeneration({ ...options, capacity: decoder.capacity });
  const random = new Random(plan.sampling.seed);
  const writer = tokenizer && new TextWriter(tokenizer, plan.stop);
  const tokens: number[] = [];
  const logprobs: number[] | undefined = options.logprobs ? [] : undefined;
  const clock = new Clock();
  let logits = await readPrompt(plan.prompt, options);
  await clock.endPrefill();
  let finishReason: GenerateResult["finishReason"] = logits ? "length" : "aborted";
  while (logits) {
    const scores: Float32Array = logits.subarray(0, tokenizer?.vocabularySize);
    const token = sampleToken(scores, decoder.tokens, plan.sampling, random);
    if (plan.stopTokens.has(token)) {
      finishReason = "stop";
      break;
    }
    tokens.push(token);
    logprobs?.push(logProbability(scores, token));
    yield { type: "token", token, ...(logprobs && { logprob: logprobs.at(-1)! }) };
    const text = writer?.push(token);
    if (text) yield { type: "text", text };
    if (writer?.isStopped) finishReason = "stop";
    else if (signal?.aborted) finishReason = "aborted";
    if (finishReason !== "length" || tokens.length === plan.maxTokens) break;
    logits = await decoder.step(token);
    await clock.giveTurn();
  }
  const rest = writer?.flush();
  if (rest) yield { type: "text", text: rest };
  return {
    text: writer?.text ?? "",
    tokens,
    ...(logprobs && { logprobs }),
    finishReason,
    usage: { promptTokens: plan.prompt.length, completionTokens: tokens.length },
    timings: clock.timings(Math.max(0, decoder.length - plan.prompt.length)),
  };
}

/** Scores after the prompt; `undefined` if that was aborted. */
async function readPrompt(
  prompt: readonly number[],
  { decoder, signal, reuseCache }: GenerateOptions,
): Promise<Float32Array | undefined> {
  // The last token is always read anew: its scores are wanted.
  const differs = prompt.findIndex((token, i) => i === prompt.length - 1 || decoder.tokens[i] !== token);
  decoder.truncate(reuseCache ? differs : 0);
  try {
    return await decoder.prefill(prompt.slice(decoder.length), signal);
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return undefined;
    throw error;
  }
}

/** Times a generation, and lets the event loop have its turn. */
class Clock {
  readonly #started = performance.now();
  #prefilled = this.#started;
  #lastTurn = this.#started;

  async endPrefill(): Promise<void> {
    this.#prefilled = performance.now();
    await this.#giveTurn();
  }

  async giveTurn(): Promise<void> {
    if (performance.now() - this.#lastTurn >= TURN_MS) await this.#giveTurn();
  }

  async #giveTurn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#lastTurn = performance.now();
  }

  timings(numSteps: number): GenerateTimings {
    const decodeMs = performance.now() - this.#prefilled;
    const tokensPerSecond = numSteps > 0 ? (numSteps / decodeMs) * 1e3 : 0;
    return { prefillMs: this.#prefilled - this.#started, decodeMs, tokensPerSecond };
  }
}
