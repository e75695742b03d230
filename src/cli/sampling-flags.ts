import { readFileSync } from "node:fs";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { type ConstraintSpec, compileConstraint } from "../generate/constraint/compile-constraint.ts";
import type { TokenConstraint } from "../generate/constraint/token-constraint.ts";
import { TokenVocabulary } from "../generate/constraint/token-vocabulary.ts";
import { checkSamplingTokens, type SamplingOptions, samplingOptions } from "../generate/sampling-options.ts";
import { parseStrictJson } from "../hub/strict-json.ts";
import { boolean, choice, integer, integers, list, number, settings, text } from "./flag-specs.ts";
import type { FlagValues } from "./flags.ts";

/** Below 1 because small models wander off otherwise. */
const DEFAULT_TEMPERATURE = 0.8;

/** Deepest nesting of a schema's file. */
const MAX_SCHEMA_DEPTH = 256;

/** How the next token is drawn. What is not given is as the model was published, and otherwise left alone. */
export const SAMPLING_FLAGS = {
  temperature: number({
    describe: `below 1 safer, above 1 bolder; 0 always takes the likeliest token; default: as the model was published, or ${DEFAULT_TEMPERATURE}`,
    min: 0,
  }),
  topK: integer({ describe: "draw among that many likeliest tokens; 0: among all", min: 0 }),
  topP: number({
    describe: "draw among the likeliest tokens that together have this probability",
    min: 0,
    max: 1,
  }),
  minP: number({
    describe: "leave out tokens less likely than this fraction of the likeliest",
    min: 0,
    max: 1,
  }),
  typicalP: number({
    describe: "draw among the least surprising tokens that together have this probability",
    min: 0,
    max: 1,
  }),
  epsilonCutoff: number({ describe: "leave out tokens less likely than this", min: 0, max: 1 }),
  etaCutoff: number({
    describe: "leave out tokens less likely than this, or than less where the model is unsure",
    min: 0,
    max: 1,
  }),
  repetitionPenalty: number({
    describe: "above 1 makes tokens that are there already less likely",
    min: 0,
  }),
  frequencyPenalty: number({
    describe: "above 0 makes a token less likely for each time it was written",
    min: -2,
    max: 2,
  }),
  presencePenalty: number({
    describe: "above 0 makes tokens less likely that were written at all",
    min: -2,
    max: 2,
  }),
  noRepeatNgram: integer({
    describe: "no run of that many tokens comes twice; 0: runs may",
    min: 0,
    max: 1024,
  }),
  logitBias: settings({ describe: "added to the scores of tokens", placeholder: "ID=NUMBER…" }),
  suppressTokens: integers({ describe: "token ids that are never written", min: 0 }),
  badWords: list({ describe: "texts that are never written, as they are or after a space" }),
  minNewTokens: integer({ describe: "do not end before so many tokens", min: 0, fallback: 0 }),
  seed: integer({ describe: "of the random numbers; the same seed writes the same text", fallback: 0 }),
} as const;

/** What the text has to be: one of these, for every verb that writes text. */
export const CONSTRAINT_FLAGS = {
  schema: text({ describe: "write JSON that is valid under the JSON Schema in a file", placeholder: "FILE" }),
  jsonOutput: boolean({ describe: "write any JSON" }),
  jsonSpacing: choice(["compact", "free"], {
    describe: "with --schema or --json-output: no white space, or as the model likes",
    fallback: "compact",
  }),
  regex: text({
    describe: "write text that the regular expression matches as a whole",
    placeholder: "PATTERN",
  }),
  choice: list({ describe: "write one of these texts" }),
} as const;

/**
 * The sampling options that flags ask for, and where they say nothing those that the model was published with.
 *
 * @throws {ConfigError} if one is out of range, or a token is not in the vocabulary.
 */
export function readSampling(
  flags: FlagValues<typeof SAMPLING_FLAGS>,
  published: Partial<SamplingOptions>,
  tokenizer: Tokenizer | undefined,
  vocabularySize: number,
): SamplingOptions {
  const { noRepeatNgram: noRepeatNgramSize, logitBias, badWords, ...rest } = pickSampling(flags);
  if (badWords.length > 0 && !tokenizer) throw needsTokenizer("--bad-words");
  const given = Object.entries({ ...rest, noRepeatNgramSize }).filter(([, value]) => value !== undefined);
  const options = samplingOptions({
    temperature: DEFAULT_TEMPERATURE,
    ...published,
    ...Object.fromEntries(given),
    logitBias: logitBias as Readonly<Record<string, number>>, // which samplingOptions checks
    badWords: badWords.flatMap((word) =>
      [word, ` ${word}`].map((spelling) => Array.from(tokenizer!.encode(spelling))),
    ),
  });
  checkSamplingTokens(options, vocabularySize);
  return options;
}

/**
 * The constraint that flags ask for, if any.
 *
 * @throws {ConfigError} if there are several, one is malformed, or it cannot be satisfied.
 */
export function readConstraint(
  flags: FlagValues<typeof CONSTRAINT_FLAGS>,
  tokenizer: Tokenizer | undefined,
): TokenConstraint | undefined {
  const { schema, jsonOutput, jsonSpacing: spacing, regex, choice: choices } = flags;
  const given: [flag: string, spec: ConstraintSpec][] = [];
  if (schema !== undefined) given.push(["--schema", { schema: readSchema(schema), spacing }]);
  if (jsonOutput) given.push(["--json-output", { json: true, spacing }]);
  if (regex !== undefined) given.push(["--regex", { regex }]);
  if (choices.length > 0) given.push(["--choice", { choices }]);
  const [first, second] = given;
  if (!first) return undefined;
  if (second)
    throw new ConfigError({ where: second[0], expected: "one form of text", got: `also ${first[0]}` });
  if (!tokenizer) throw needsTokenizer(first[0]);
  return compileConstraint(first[1], new TokenVocabulary(tokenizer));
}

function pickSampling(flags: FlagValues<typeof SAMPLING_FLAGS>): FlagValues<typeof SAMPLING_FLAGS> {
  const own = Object.keys(SAMPLING_FLAGS).map((key) => [key, flags[key as keyof typeof SAMPLING_FLAGS]]);
  return Object.fromEntries(own) as FlagValues<typeof SAMPLING_FLAGS>;
}

function readSchema(path: string): unknown {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (cause) {
    const got = (cause as Error).message;
    throw new ConfigError(
      { where: "--schema", expected: "a readable file with a JSON Schema", got },
      { cause },
    );
  }
  return parseStrictJson(content, path, MAX_SCHEMA_DEPTH);
}

function needsTokenizer(where: string): ConfigError {
  return new ConfigError({ where, expected: "a model with a tokenizer", got: "one without" });
}
