import { ConfigError } from "../core/errors.ts";
import { type Field, integer, readFields, real } from "../core/fields.ts";

/** How the next token is chosen from the model's scores. Every control is off by default. */
export interface SamplingOptions {
  /** Divides the scores: below 1 sharper, above 1 flatter; 0 takes the best token (greedy). Default 1. */
  readonly temperature: number;
  /** Draws among that many best tokens; 0, the default, among all. Tokens that tie with the last of them stay in. */
  readonly topK: number;
  /** Draws among the fewest best tokens whose probabilities reach that sum, in (0, 1]. Default 1: all. */
  readonly topP: number;
  /** Leaves out tokens less probable than that fraction of the best one's probability, in [0, 1]. Default 0: none. */
  readonly minP: number;
  /** Draws among the tokens whose surprise is nearest the expected one and that reach that sum, in (0, 1]. Default 1: all. */
  readonly typicalP: number;
  /** Leaves out tokens below that probability, in [0, 1); the best one stays. Default 0: none. */
  readonly epsilonCutoff: number;
  /** As `epsilonCutoff`, but lower where the model is unsure: min(ε, √ε · e^−entropy). Default 0: none. */
  readonly etaCutoff: number;
  /** Divides positive scores of tokens already there by it, and multiplies negative ones. Above 0; default 1: off. */
  readonly repetitionPenalty: number;
  /** Subtracted from a token's score for each time it was generated, in [−2, 2] as OpenAI has it. Default 0. */
  readonly frequencyPenalty: number;
  /** Subtracted once from the score of every token that was generated, in [−2, 2]. Default 0. */
  readonly presencePenalty: number;
  /** No run of so many tokens comes twice, prompt included; 0, the default: runs may. */
  readonly noRepeatNgramSize: number;
  /** Added to the scores of single tokens, by id. */
  readonly logitBias: Readonly<Record<string, number>>;
  /** Token sequences that are never completed. One of the sequence [an end token] is not heeded. */
  readonly badWords: readonly (readonly number[])[];
  /** Tokens that are never drawn. */
  readonly suppressTokens: readonly number[];
  /** The text does not end before so many tokens. Default 0. */
  readonly minNewTokens: number;
  /** Of the random numbers; default 0. */
  readonly seed: number;
}

/** Longest run that `noRepeatNgramSize` looks for, far above any use. */
const MAX_NGRAM = 1024;

const POSITIVE: Field<number> = {
  describe: "a number above 0",
  fallback: 1,
  accepts: (value): value is number => Number.isFinite(value) && (value as number) > 0,
};

const SHARE: Field<number> = {
  describe: "a number above 0 and at most 1",
  fallback: 1,
  accepts: (value): value is number => POSITIVE.accepts(value) && value <= 1,
};

const CUTOFF: Field<number> = {
  describe: "a number from 0 up to, but not, 1",
  fallback: 0,
  accepts: (value): value is number =>
    Number.isFinite(value) && (value as number) >= 0 && (value as number) < 1,
};

const TOKENS: Field<readonly number[]> = {
  describe: "a list of token ids",
  fallback: [],
  accepts: (value): value is readonly number[] => Array.isArray(value) && value.every(isToken),
};

const SEQUENCES: Field<readonly (readonly number[])[]> = {
  describe: "a list of lists of token ids, none empty",
  fallback: [],
  accepts: (value): value is readonly (readonly number[])[] =>
    Array.isArray(value) && value.every((item) => TOKENS.accepts(item) && item.length > 0),
};

const BIASES: Field<Readonly<Record<string, number>>> = {
  describe: "numbers by token id",
  fallback: {},
  accepts: (value): value is Readonly<Record<string, number>> =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(value).every(([id, bias]) => isTokenName(id) && Number.isFinite(bias)),
};

/**
 * Checks sampling options and fills in the defaults.
 *
 * @throws {ConfigError} if a key is unknown or out of range.
 * @example
 * samplingOptions({ topK: 40 }).temperature; // => 1
 */
export function samplingOptions(given: Partial<SamplingOptions> = {}): SamplingOptions {
  for (const [key, value] of Object.entries(given)) {
    if (value !== null) continue; // which readFields would take for "not given"
    throw new ConfigError({ where: `sampling.${key}`, expected: "a value, or no such key", got: "null" });
  }
  return readFields<SamplingOptions>(
    "sampling",
    {
      temperature: real(0, Number.POSITIVE_INFINITY, 1),
      topK: integer(0, Number.MAX_SAFE_INTEGER, 0),
      topP: SHARE,
      minP: real(0, 1, 0),
      typicalP: SHARE,
      epsilonCutoff: CUTOFF,
      etaCutoff: CUTOFF,
      repetitionPenalty: POSITIVE,
      frequencyPenalty: real(-2, 2, 0),
      presencePenalty: real(-2, 2, 0),
      noRepeatNgramSize: integer(0, MAX_NGRAM, 0),
      logitBias: BIASES,
      badWords: SEQUENCES,
      suppressTokens: TOKENS,
      minNewTokens: integer(0, Number.MAX_SAFE_INTEGER, 0),
      seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 0),
    },
    given,
  );
}

/**
 * Holds the token ids among sampling options against a vocabulary.
 *
 * @throws {ConfigError} at an id outside it, which would be heeded by nobody.
 */
export function checkSamplingTokens(options: SamplingOptions, vocabularySize: number): void {
  const { logitBias, badWords, suppressTokens } = options;
  const ids = [
    ["logitBias", Object.keys(logitBias).map(Number)],
    ["badWords", badWords.flat()],
    ["suppressTokens", suppressTokens],
  ] as const;
  for (const [key, tokens] of ids) {
    const wrong = tokens.find((token) => token >= vocabularySize);
    if (wrong === undefined) continue;
    const expected = `token ids in [0, ${vocabularySize}), the vocabulary`;
    throw new ConfigError({ where: `sampling.${key}`, expected, got: `${wrong}` });
  }
}

function isToken(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTokenName(name: string): boolean {
  return /^(0|[1-9][0-9]{0,14})$/.test(name);
}
