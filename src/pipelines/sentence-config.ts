import { existsSync } from "node:fs";
import { join } from "node:path";
import { FormatError } from "../core/errors.ts";
import { readJsonFile, readJsonObject } from "../hub/read-json-file.ts";
import { describeJson, isJsonObject, type JsonObject, type JsonValue } from "../hub/strict-json.ts";

/** Ways to make one vector of the hidden states of a text. */
export const POOLINGS = ["cls", "mean", "max", "mean-sqrt"] as const;

/** See {@link POOLINGS}. */
export type Pooling = (typeof POOLINGS)[number];

/** How sentence-transformers makes embeddings with a model. */
export interface SentenceConfig {
  /** Several are laid side by side. */
  readonly pooling: readonly Pooling[];
  readonly normalize: boolean;
  /** Most tokens of a text; `undefined` if only the model limits it. */
  readonly maxLength: number | undefined;
  /** Texts are put in lower case first. */
  readonly lowerCase: boolean;
}

/** Names of ours by those of `1_Pooling/config.json`: the switches of old files, in the order of what they add. */
const SWITCHES: Readonly<Record<string, string>> = {
  pooling_mode_cls_token: "cls",
  pooling_mode_max_tokens: "max",
  pooling_mode_mean_tokens: "mean",
  pooling_mode_mean_sqrt_len_tokens: "mean_sqrt_len_tokens",
  pooling_mode_weightedmean_tokens: "weightedmean",
  pooling_mode_lasttoken: "lasttoken",
};

const POOLING_NAMES: ReadonlyMap<unknown, Pooling> = new Map([
  ["cls", "cls"],
  ["mean", "mean"],
  ["max", "max"],
  ["mean_sqrt_len_tokens", "mean-sqrt"],
]);

/**
 * Reads `modules.json` and what it names, as sentence-transformers lays them beside a model.
 *
 * @returns `undefined` if there is no `modules.json`
 * @throws {FormatError} if a file is malformed, or asks for a step that is not pooling or normalising.
 */
export function readSentenceConfig(directory: string): SentenceConfig | undefined {
  const path = join(directory, "modules.json");
  if (!existsSync(path)) return undefined;
  const modules = readJsonFile(path);
  if (!Array.isArray(modules)) {
    throw new FormatError({ where: path, expected: "a list of modules", got: describeJson(modules) });
  }
  const steps = modules.map((module) => readStep(module, path));
  const [first, second, third, ...rest] = steps;
  const isPooled = first?.kind === "Transformer" && second?.kind === "Pooling";
  const isKnown = isPooled && (third === undefined || third.kind === "Normalize") && rest.length === 0;
  if (!isKnown) {
    const got = steps.map(({ kind }) => kind).join(", ");
    throw new FormatError({ where: path, expected: "Transformer, Pooling and perhaps Normalize", got });
  }
  return {
    pooling: readPooling(join(directory, second.path, "config.json")),
    normalize: third !== undefined,
    ...readLimits(join(directory, first.path, "sentence_bert_config.json")),
  };
}

/** A module's class without its package, which has moved between releases, and its folder. */
function readStep(module: JsonValue, where: string): { readonly kind: string; readonly path: string } {
  const { type, path } = isJsonObject(module) ? module : {};
  const isPlain = typeof path === "string" && /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$/.test(path);
  if (typeof type !== "string" || !isPlain) {
    const expected = "modules with a type and a plain path";
    throw new FormatError({ where, expected, got: describeJson(module) });
  }
  return { kind: type.split(".").at(-1)!, path };
}

function readPooling(path: string): readonly Pooling[] {
  const config = readJsonObject(path);
  const stated = config.pooling_mode ?? switchedOn(config);
  const modes: readonly JsonValue[] = Array.isArray(stated) ? stated : [stated];
  const known = modes.map((mode) => POOLING_NAMES.get(mode));
  if (modes.length > 0 && known.every((mode) => mode !== undefined)) return known;
  throw new FormatError({
    where: `${path} pooling_mode`,
    expected: `some of ${[...POOLING_NAMES.keys()].join(", ")}`,
    got: describeJson(stated),
  });
}

function switchedOn(config: JsonObject): string[] {
  return Object.entries(SWITCHES).flatMap(([key, mode]) => (config[key] === true ? [mode] : []));
}

function readLimits(path: string): Pick<SentenceConfig, "maxLength" | "lowerCase"> {
  if (!existsSync(path)) return { maxLength: undefined, lowerCase: false };
  const { max_seq_length: maxLength = null, do_lower_case: lowerCase = false } = readJsonObject(path);
  if (maxLength !== null && !(Number.isSafeInteger(maxLength) && Number(maxLength) >= 1)) {
    const where = `${path} max_seq_length`;
    throw new FormatError({ where, expected: "an integer ≥ 1", got: describeJson(maxLength) });
  }
  return { maxLength: maxLength === null ? undefined : Number(maxLength), lowerCase: lowerCase === true };
}
