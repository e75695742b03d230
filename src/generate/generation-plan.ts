import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError, DataError } from "../core/errors.ts";
import { integer, readFields } from "../core/fields.ts";
import type { TokenConstraint } from "./constraint/token-constraint.ts";
import { type SamplingOptions, samplingOptions } from "./sampling-options.ts";

/** Tokens generated when `maxTokens` is not given and there is room for so many. */
export const DEFAULT_MAX_TOKENS = 256;

/** What to generate, unchecked. */
export interface GenerationRequest {
  /** Tokens there is room for, prompt included. */
  readonly capacity: number;
  /** Needed for a prompt in words, stop strings and text; its end-of-text token ends the text. */
  readonly tokenizer?: Tokenizer | undefined;
  /** Text to continue; the empty one starts a new document, from the end-of-text token. */
  readonly prompt?: string | undefined;
  /** The prompt as token ids, in place of `prompt`. */
  readonly tokens?: ArrayLike<number> | undefined;
  /** Default: what the context has room for, at most {@link DEFAULT_MAX_TOKENS}. */
  readonly maxTokens?: number | undefined;
  readonly sampling?: Partial<SamplingOptions> | undefined;
  /** The text ends before the first of these. */
  readonly stop?: readonly string[] | undefined;
  /** Tokens that end the text, besides the tokenizer's end of text. */
  readonly stopTokens?: readonly number[] | undefined;
  /** What the text may be: a JSON schema, a pattern, one of several texts … */
  readonly constraint?: TokenConstraint | undefined;
}

/** What a generation will do, checked. */
export interface GenerationPlan {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  readonly sampling: SamplingOptions;
  readonly stop: readonly string[];
  readonly stopTokens: ReadonlySet<number>;
  readonly constraint: TokenConstraint | undefined;
}

/**
 * Checks everything that can be checked before the model runs.
 *
 * @throws {ConfigError} if an option is out of range, the prompt does not fit, or a tokenizer is missing.
 * @throws {DataError} if there is no token to start from.
 */
export function planGeneration(request: GenerationRequest): GenerationPlan {
  const { capacity, tokenizer, stop = [], stopTokens = [] } = request;
  const prompt = promptTokens(request);
  const { maxTokens } = readFields<{ readonly maxTokens: number }>(
    "generate",
    { maxTokens: integer(1, Number.MAX_SAFE_INTEGER, DEFAULT_MAX_TOKENS) },
    { maxTokens: request.maxTokens },
  );
  return {
    prompt,
    sampling: samplingOptions(request.sampling),
    maxTokens: fitLength(prompt.length, request.maxTokens === undefined, maxTokens, capacity),
    stop: checkStops(stop, tokenizer, request.constraint),
    stopTokens: new Set([...stopTokens, ...endTokens(tokenizer)]),
    constraint: request.constraint,
  };
}

function fitLength(numPrompt: number, isDefault: boolean, maxTokens: number, capacity: number): number {
  const room = capacity - numPrompt + 1; // the last token is not read again
  if (room < 1) {
    throw new ConfigError({
      where: "prompt",
      expected: `at most ${capacity} tokens, the size of the context`,
      got: `${numPrompt}`,
      fix: "Shorten the prompt.",
    });
  }
  if (isDefault) return Math.min(maxTokens, room);
  if (maxTokens <= room) return maxTokens;
  throw new ConfigError({
    where: "maxTokens",
    expected: `at most ${room} after a prompt of ${numPrompt} tokens in a context of ${capacity}`,
    got: `${maxTokens}`,
    fix: "Ask for fewer tokens, or shorten the prompt.",
  });
}

function promptTokens({ prompt, tokens, tokenizer }: GenerationRequest): readonly number[] {
  if ((prompt === undefined) === (tokens === undefined)) {
    const got = prompt === undefined ? "neither" : "both";
    throw new ConfigError({ where: "prompt", expected: "either a text or token ids", got });
  }
  if (prompt !== undefined && tokenizer === undefined) {
    throw new ConfigError({
      where: "prompt",
      expected: "a model with a tokenizer",
      got: "one without",
      fix: "Give the prompt as token ids.",
    });
  }
  const given = Array.from(prompt === undefined ? tokens! : tokenizer!.encodeInput(prompt).ids);
  const ids = given.length > 0 ? given : startOfText(tokenizer);
  if (ids.length > 0) return ids;
  throw new DataError({
    where: "prompt",
    expected: "at least one token, as there is no end-of-text token to start a document from",
    got: "none",
  });
}

/** What a text without a prompt starts from: a begin token, or else the separator of documents. */
function startOfText(tokenizer: Tokenizer | undefined): number[] {
  const begin = tokenizer?.specials.bos;
  return begin === undefined ? endTokens(tokenizer).slice(0, 1) : [begin];
}

/** The tokens that end a text, if there is a tokenizer that has any. */
function endTokens(tokenizer: Tokenizer | undefined): number[] {
  if (!tokenizer) return [];
  if (tokenizer.specials.eos !== undefined) return [tokenizer.specials.eos];
  try {
    return [tokenizer.endOfTextId];
  } catch (error) {
    if (error instanceof DataError) return []; // a published tokenizer without one
    throw error;
  }
}

function checkStops(
  stop: readonly string[],
  tokenizer: Tokenizer | undefined,
  constraint: TokenConstraint | undefined,
): readonly string[] {
  if (stop.includes("")) throw new ConfigError({ where: "stop", expected: "texts to stop at", got: '""' });
  if (stop.length > 0 && constraint) {
    // Cut there, the text would no longer be what the constraint promises.
    const expected = "no text to stop at where a constraint says what the text is";
    throw new ConfigError({ where: "stop", expected, got: JSON.stringify(stop[0]) });
  }
  if (stop.length === 0 || tokenizer) return stop;
  throw new ConfigError({
    where: "stop",
    expected: "a model with a tokenizer",
    got: "one without",
    fix: "Stop at token ids instead.",
  });
}
