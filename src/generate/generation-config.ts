import { existsSync } from "node:fs";
import { join } from "node:path";
import { FormatError } from "../core/errors.ts";
import { readJsonObject } from "../hub/read-json-file.ts";
import { describeJson, type JsonObject } from "../hub/strict-json.ts";
import { type SamplingOptions, samplingOptions } from "./sampling-options.ts";

/** How a published model is meant to be run, as far as it says. */
export interface GenerationDefaults {
  /** Tokens that end a text. */
  readonly stopTokens: readonly number[];
  /** Greedy unless the file asks for sampling. */
  readonly sampling: Partial<SamplingOptions>;
}

/** Fields that change how tokens are drawn, by our names; the first four count only where sampling is asked for. */
const PUBLISHED_KEYS = {
  temperature: "temperature",
  topK: "top_k",
  topP: "top_p",
  minP: "min_p",
  repetitionPenalty: "repetition_penalty",
  noRepeatNgramSize: "no_repeat_ngram_size",
  suppressTokens: "suppress_tokens",
} as const satisfies Partial<Record<keyof SamplingOptions, string>>;

const OF_SAMPLING: ReadonlySet<string> = new Set(["temperature", "topK", "topP", "minP"]);

/**
 * Reads `generation_config.json` of a model directory; where there is none, it says nothing.
 *
 * @throws {FormatError} if the file is malformed.
 * @throws {ConfigError} if a value is out of range.
 */
export function readGenerationConfig(directory: string): GenerationDefaults {
  const path = join(directory, "generation_config.json");
  if (!existsSync(path)) return { stopTokens: [], sampling: {} };
  const published = readJsonObject(path);
  const isSampling = published.do_sample === true;
  const given = Object.entries(PUBLISHED_KEYS).flatMap(([ours, theirs]) => {
    const value = published[theirs] ?? undefined;
    return value === undefined || (OF_SAMPLING.has(ours) && !isSampling) ? [] : [[ours, value]];
  });
  const sampling: Partial<SamplingOptions> = Object.fromEntries(given);
  samplingOptions(sampling);
  return { stopTokens: readStopTokens(published, path), sampling };
}

function readStopTokens(published: JsonObject, path: string): readonly number[] {
  const ids = published.eos_token_id ?? [];
  const list: readonly unknown[] = Array.isArray(ids) ? ids : [ids];
  if (list.every((id): id is number => Number.isSafeInteger(id))) return list;
  throw new FormatError({
    where: `${path} eos_token_id`,
    expected: "a token id or a list of them",
    got: describeJson(ids),
  });
}
