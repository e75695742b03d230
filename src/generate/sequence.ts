import type { Tokenizer } from "../codecs/tokenizer.ts";
import { Random } from "../core/random.ts";
import { type ConstraintState, tokenMask } from "./constraint/token-constraint.ts";
import type { GenerationPlan } from "./generation-plan.ts";
import { logProbability, sampleToken, type TokenLogProbability, topLogProbabilities } from "./sampling.ts";
import { TextWriter } from "./text-writer.ts";

/** What happens while a text grows. */
export type GenerateEvent =
  | {
      readonly type: "token";
      readonly token: number;
      readonly logprob?: number;
      readonly alternatives?: readonly TokenLogProbability[];
    }
  | { readonly type: "text"; readonly text: string };

/** Why a text ended: `stop`, a stop token, a stop string or a constraint fulfilled; `length`, `maxTokens` reached. */
export type FinishReason = "stop" | "length" | "aborted";

/** A finished generation. */
export interface GenerateResult {
  /** Without the prompt and without a stop string; "" without a tokenizer. */
  readonly text: string;
  /** Tokens generated, without one that ended the text. The last may belong to a stop string. */
  readonly tokens: readonly number[];
  /** Natural log-probability of each token under the model's own scores, when asked for. */
  readonly logprobs?: readonly number[];
  /** At each token the likeliest ones, best first, when asked for. */
  readonly alternatives?: readonly (readonly TokenLogProbability[])[];
  readonly finishReason: FinishReason;
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

/** How a sequence is told apart from others, and what it yields. */
export interface SequenceOptions {
  readonly tokenizer: Tokenizer | undefined;
  /** Which of several texts for one prompt this is; the first draws what a single one would. */
  readonly sample: number;
  readonly logprobs: boolean;
  /** How many of the likeliest tokens to name at each place. */
  readonly numAlternatives: number;
}

/** One text that grows by a token at a time, from the scores it is given. */
export class Sequence {
  readonly plan: GenerationPlan;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #random: Random;
  readonly #writer: TextWriter | undefined;
  readonly #tokens: number[] = [];
  readonly #logprobs: number[] | undefined;
  readonly #alternatives: TokenLogProbability[][] | undefined;
  readonly #numAlternatives: number;
  #constraint: ConstraintState | undefined;
  #numSteps = 0;
  #finishReason: FinishReason | undefined;
  #started = 0;
  #prefilled = 0;
  #ended = 0;

  constructor(plan: GenerationPlan, options: SequenceOptions) {
    const { tokenizer, sample, logprobs, numAlternatives } = options;
    const random = new Random(plan.sampling.seed);
    this.plan = plan;
    this.#tokenizer = tokenizer;
    this.#random = sample === 0 ? random : random.fork(`sample ${sample}`);
    this.#writer = tokenizer && new TextWriter(tokenizer, plan.stop);
    this.#logprobs = logprobs ? [] : undefined;
    this.#alternatives = numAlternatives > 0 ? [] : undefined;
    this.#numAlternatives = numAlternatives;
    this.#constraint = plan.constraint?.start;
  }

  get isFinished(): boolean {
    return this.#finishReason !== undefined;
  }

  /** The token that the model has to read next. */
  get lastToken(): number {
    return this.#tokens.at(-1)!;
  }

  /** Notes that its prompt is about to be read. */
  begin(): void {
    this.#started = performance.now();
    this.#prefilled = this.#started;
  }

  /** Notes that its prompt has been read. */
  endPrefill(): void {
    this.#prefilled = performance.now();
  }

  /**
   * Draws the next token.
   *
   * @param scores  of the token that comes next `(V)`
   * @param history tokens of prompt and text so far
   * @param signal  once aborted, the token is the last
   */
  *advance(scores: Float32Array, history: readonly number[], signal?: AbortSignal): Generator<GenerateEvent> {
    const { stopTokens, maxTokens } = this.plan;
    const known = scores.subarray(0, this.#tokenizer?.vocabularySize);
    if (this.#tokens.length > 0) this.#numSteps++;
    const token = this.#draw(known, history);
    if (stopTokens.has(token)) return yield* this.finish("stop");
    this.#constraint = this.#constraint?.advance(token);
    yield this.#keep(known, token);
    const text = this.#writer?.push(token);
    if (text) yield { type: "text", text };
    if (this.#writer?.isStopped || this.#constraint?.mustEnd) yield* this.finish("stop");
    else if (signal?.aborted) yield* this.finish("aborted");
    else if (this.#tokens.length === maxTokens) yield* this.finish("length");
  }

  /** Ends the text, with what was held back of it. */
  *finish(reason: FinishReason): Generator<GenerateEvent> {
    this.#finishReason = reason;
    this.#ended = performance.now();
    const rest = this.#writer?.flush();
    if (rest) yield { type: "text", text: rest };
  }

  /** What came of it; all but the last token have been read by the model. */
  result(): GenerateResult {
    const decodeMs = this.#ended - this.#prefilled;
    return {
      text: this.#writer?.text ?? "",
      tokens: this.#tokens,
      ...(this.#logprobs && { logprobs: this.#logprobs }),
      ...(this.#alternatives && { alternatives: this.#alternatives }),
      finishReason: this.#finishReason ?? "aborted",
      usage: { promptTokens: this.plan.prompt.length, completionTokens: this.#tokens.length },
      timings: {
        prefillMs: this.#prefilled - this.#started,
        decodeMs,
        tokensPerSecond: this.#numSteps > 0 ? (this.#numSteps / decodeMs) * 1e3 : 0,
      },
    };
  }

  #draw(scores: Float32Array, history: readonly number[]): number {
    const { sampling, stopTokens, maxTokens, prompt } = this.plan;
    const context = {
      promptLength: prompt.length,
      endTokens: stopTokens,
      allowed: this.#constraint && tokenMask(this.#constraint, stopTokens, maxTokens - this.#tokens.length),
    };
    return sampleToken(scores, history, sampling, this.#random, context);
  }

  #keep(scores: Float32Array, token: number): GenerateEvent {
    const logprob = this.#logprobs && logProbability(scores, token);
    const alternatives = this.#alternatives && topLogProbabilities(scores, this.#numAlternatives);
    this.#tokens.push(token);
    if (logprob !== undefined) this.#logprobs!.push(logprob);
    if (alternatives) this.#alternatives!.push(alternatives);
    return {
      type: "token",
      token,
      ...(logprob !== undefined && { logprob }),
      ...(alternatives && { alternatives }),
    };
  }
}
