import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ConfigError, FormatError } from "../core/errors.ts";
import { parseJson, parseTokenizer } from "./parse-tokenizer.ts";
import { parseSentencePiece, type Surround } from "./sentencepiece.ts";
import type { RoleNames, SpecialRole } from "./special-ids.ts";
import { parseTiktoken, TIKTOKEN_ENCODINGS, type TiktokenEncoding } from "./tiktoken.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { type JsonObject, requireObject } from "./tokenizer-json.ts";
import { bertTokenizerJson, bpeTokenizerJson, tokenText } from "./vocabulary-files.ts";

/** Reads a tokenizer from its own kind of files. */
interface Source {
  /** The files it takes, the first of which is named in errors. */
  readonly files: readonly RegExp[];
  read(paths: readonly string[], config: JsonObject): Tokenizer;
}

/** In order of preference. */
const SOURCES: readonly Source[] = [
  {
    files: [/^tokenizer\.json$/],
    read: ([path], config) => parseTokenizer(readJson(path!), path!, rolesOf(config)),
  },
  {
    // Mistral's own layout says which version the file is.
    files: [/^(?:tokenizer|spiece|sentencepiece(?:\.bpe)?)\.model(?:\.v\d+\w*)?$/],
    read: ([path], config) =>
      parseSentencePiece(readBytes(path!), path!, {
        surround: surroundOf(config, basename(path!)),
        named: rolesOf(config),
      }),
  },
  {
    files: [/\.tiktoken$/],
    read: ([path]) => parseTiktoken(readText(path!), encodingOf(path!), path!),
  },
  {
    files: [/^vocab\.json$/, /^merges\.txt$/],
    read: ([vocabulary, merges], config) => {
      const entries = requireObject(readJson(vocabulary!), vocabulary!);
      return parseTokenizer(
        bpeTokenizerJson(entries, readText(merges!), config),
        vocabulary!,
        rolesOf(config),
      );
    },
  },
  {
    files: [/^vocab\.txt$/],
    read: ([path], config) =>
      parseTokenizer(bertTokenizerJson(readText(path!), config, path!), path!, rolesOf(config)),
  },
];

/**
 * Reads the tokenizer of a model directory from what it has of `tokenizer.json`, a SentencePiece `.model`, a `.tiktoken` file,
 * `vocab.json` with `merges.txt`, and `vocab.txt`. Which special token has which role is said by `tokenizer_config.json` and
 * `special_tokens_map.json`.
 *
 * @throws {ConfigError} if there is none, or a file cannot be read.
 * @throws {FormatError} if it is not a tokenizer of a known kind, or contradicts itself.
 */
export function loadTokenizer(directory: string): Tokenizer {
  const names = listFiles(directory);
  const config = readConfig(directory);
  for (const { files, read } of SOURCES) {
    const found = files.map((pattern) => names.filter((name) => pattern.test(name)));
    if (found.some(({ length }) => length === 0)) continue;
    const several = found.find(({ length }) => length > 1);
    if (several) {
      throw new ConfigError({ where: directory, expected: "one tokenizer", got: several.join(", ") });
    }
    const paths = found.map(([name]) => join(directory, name!));
    return read(paths, config);
  }
  throw new ConfigError({
    where: directory,
    expected:
      "a tokenizer: tokenizer.json, a .model or .tiktoken file, vocab.json and merges.txt, or vocab.txt",
    got: "none of these",
    fix: "Name a model directory with a tokenizer.json.",
  });
}

/** Whether the directory has the files of a tokenizer; they may be damaged all the same. */
export function hasTokenizer(directory: string): boolean {
  const names = listFiles(directory);
  return SOURCES.some(({ files }) => files.every((pattern) => names.some((name) => pattern.test(name))));
}

function listFiles(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

/**
 * Llama and Mistral, whose file is `tokenizer.model`, begin a text with bos; T5, whose file is `spiece.model`, ends it with eos;
 * unless the configuration says otherwise.
 */
function surroundOf(config: JsonObject, name: string): Surround {
  const isT5 = name.startsWith("spiece");
  return {
    bos: typeof config.add_bos_token === "boolean" ? config.add_bos_token : !isT5,
    eos: typeof config.add_eos_token === "boolean" ? config.add_eos_token : isT5,
  };
}

/** The pattern and special tokens of a `.tiktoken` file: from `encodings.json` beside it, or known by its name. */
function encodingOf(path: string): TiktokenEncoding {
  const name = basename(path, ".tiktoken");
  const beside = join(dirname(path), "encodings.json");
  const all = existsSync(beside) ? requireObject(readJson(beside), beside) : {};
  if (Object.hasOwn(all, name)) {
    const { pat_str: pattern, special_tokens } = requireObject(all[name], `${beside} ${name}`);
    const specialTokens = requireObject(special_tokens ?? {}, `${beside} ${name}.special_tokens`);
    if (typeof pattern === "string") {
      return { pattern, specialTokens: specialTokens as TiktokenEncoding["specialTokens"] };
    }
    throw new FormatError({ where: `${beside} ${name}.pat_str`, expected: "a string", got: typeof pattern });
  }
  if (Object.hasOwn(TIKTOKEN_ENCODINGS, name)) return TIKTOKEN_ENCODINGS[name]!;
  throw new ConfigError({
    where: path,
    expected: `one of ${Object.keys(TIKTOKEN_ENCODINGS).join(", ")}`,
    got: name,
    fix: "Put an encodings.json beside it, with pat_str and special_tokens by name.",
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
