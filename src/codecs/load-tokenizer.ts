import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, FormatError } from "../core/errors.ts";
import { parseJson, parseTokenizer } from "./parse-tokenizer.ts";
import type { RoleNames, SpecialRole } from "./special-ids.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { type JsonObject, requireObject } from "./tokenizer-json.ts";
import { bertTokenizerJson, bpeTokenizerJson, tokenText } from "./vocabulary-files.ts";

/** Reads a tokenizer from its own kind of file. */
interface Source {
  /** The files it takes, the first of which is named in errors. */
  readonly files: readonly string[];
  read(paths: readonly string[], config: JsonObject): unknown;
}

/** In order of preference. */
const SOURCES: readonly Source[] = [
  { files: ["tokenizer.json"], read: ([path]) => readJson(path!) },
  {
    files: ["vocab.json", "merges.txt"],
    read: ([vocabulary, merges], config) =>
      bpeTokenizerJson(requireObject(readJson(vocabulary!), vocabulary!), readText(merges!), config),
  },
  { files: ["vocab.txt"], read: ([path], config) => bertTokenizerJson(readText(path!), config, path!) },
];

/**
 * Reads the tokenizer of a model directory from what it has of `tokenizer.json`, `vocab.json` with `merges.txt`, and
 * `vocab.txt`. Which special token has which role is said by `tokenizer_config.json` and `special_tokens_map.json`.
 *
 * @throws {ConfigError} if there is none, or a file cannot be read.
 * @throws {FormatError} if it is not a tokenizer of a known kind, or contradicts itself.
 */
export function loadTokenizer(directory: string): Tokenizer {
  const config = readConfig(directory);
  for (const { files, read } of SOURCES) {
    const paths = files.map((name) => join(directory, name));
    if (paths.every((path) => existsSync(path))) {
      return parseTokenizer(read(paths, config), paths[0]!, rolesOf(config));
    }
  }
  throw new ConfigError({
    where: directory,
    expected: "a tokenizer: tokenizer.json, or vocab.json and merges.txt, or vocab.txt",
    got: "none of these",
    fix: "Name a model directory with a tokenizer.json.",
  });
}

/** The configuration, and what `special_tokens_map.json` adds to it. */
function readConfig(directory: string): JsonObject {
  const parts = ["special_tokens_map.json", "tokenizer_config.json"].map((name) => {
    const path = join(directory, name);
    return existsSync(path) ? requireObject(readJson(path), path) : {};
  });
  return Object.assign({}, ...parts);
}

function rolesOf(config: JsonObject): RoleNames {
  const roles: Partial<Record<SpecialRole, string>> = {};
  for (const role of ["bos", "eos", "pad", "unk", "cls", "sep", "mask"] as const) {
    const text = tokenText(config[`${role}_token`]);
    if (text !== undefined) roles[role] = text;
  }
  return roles;
}

function readJson(path: string): unknown {
  return parseJson(readText(path), path);
}

function readText(path: string): string {
  const bytes = readBytes(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError({ where: path, expected: "UTF-8 text", got: "other bytes" }, { cause });
  }
}

function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const got = String((cause as Error).message).replaceAll(/\s+/g, " ");
    throw new ConfigError({ where: path, expected: "a readable tokenizer file", got }, { cause });
  }
}
