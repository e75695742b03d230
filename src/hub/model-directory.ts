import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { ConfigError, EnvironmentError, FormatError } from "../core/errors.ts";
import { asideName, replaceDirectoryAtomic, replaceDirectoryLater } from "./atomic-write.ts";
import { writeSynced } from "./file-writer.ts";
import { type ModelWeights, openModelWeights, SHARD_INDEX, SINGLE_WEIGHTS } from "./model-weights.ts";
import { readJsonObject } from "./read-json-file.ts";
import { type NamedTensor, streamSafetensors } from "./safetensors-writer.ts";
import { serializeJson } from "./serialize-json.ts";
import { describeJson, type JsonObject } from "./strict-json.ts";
import { withSystemErrors } from "./system-error.ts";

const CONFIG = "config.json";
const GENERATION_CONFIG = "generation_config.json";

/** What a model directory may hold; one with anything else in it is not replaced, so nobody loses a file. */
const KNOWN_FILES: ReadonlySet<string> = new Set([
  CONFIG,
  GENERATION_CONFIG,
  SINGLE_WEIGHTS,
  SHARD_INDEX,
  "tokenizer.json",
  "tokenizer_config.json",
  "tokenizer.model",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "vocab.txt",
  "merges.txt",
  "chat_template.jinja",
  "encodings.json",
  "modules.json",
  "sentence_bert_config.json",
  "config_sentence_transformers.json",
  "preprocessor_config.json",
  "processor_config.json",
  "README.md",
  "LICENSE",
  ".gitattributes",
]);

/** Settings of a stage that sentence-transformers keeps in a folder of its own: `1_Pooling/config.json`. */
const STAGE = /^[0-9]+_[A-Za-z]+$/;
/** Folder of chat templates beside the usual one. */
const TEMPLATES = "additional_chat_templates";

const SHARD = /^model-[0-9]{5}-of-[0-9]{5}\.safetensors$/;

const WRITABLE = "a model directory that can be written";

/** Content of files by name. */
type Texts = Readonly<Record<string, string | Uint8Array>>;

/** What goes into a model directory. */
export interface ModelDirectoryContents {
  /** Written as `config.json`. */
  readonly config: object;
  /** Written as `generation_config.json`. */
  readonly generationConfig?: object;
  readonly tensors: Iterable<NamedTensor>;
  /** Further files by name: `tokenizer.json`, `README.md`, `1_Pooling/config.json` … */
  readonly files: Texts;
}

/** A Hugging Face model directory open for reading. */
export interface ModelDirectory {
  readonly path: string;
  /** `config.json` as it stands, not yet checked against any family's fields. */
  readonly config: JsonObject;
  readonly weights: ModelWeights;
  close(): void;
}

/**
 * Writes a model directory in the Hugging Face layout: `config.json`, `model.safetensors` and what else is
 * given. It appears whole or not at all. A model directory already there is replaced once the new one is
 * complete and on the disk; a directory holding anything else is left alone.
 *
 * @throws {ConfigError} if a file name is not a plain name or is written anyway.
 * @throws {EnvironmentError} if the directory is in other use or the system refuses. What was there is intact.
 */
export function writeModelDirectory(directory: string, contents: ModelDirectoryContents): void {
  const texts = textsOf(directory, contents);
  withSystemErrors(directory, WRITABLE, () => {
    checkReplaceable(directory, texts);
    replaceDirectoryAtomic(directory, (temporary) => {
      writeTexts(temporary, texts);
      // "pt" is what `transformers` looks for before it loads a safetensors file.
      streamSafetensors(join(temporary, SINGLE_WEIGHTS), contents.tensors, { format: "pt" }, directory);
    });
  });
}

/**
 * As {@link writeModelDirectory}, for weights that are made one by one while they are written.
 *
 * @param writeWeights writes `model.safetensors`, or shards and their index, into the directory it is given; what it throws is
 *   thrown, and leaves everything as it was
 */
export async function writeModelDirectoryLater(
  directory: string,
  contents: Omit<ModelDirectoryContents, "tensors">,
  writeWeights: (temporary: string) => Promise<void>,
): Promise<void> {
  const texts = textsOf(directory, contents);
  try {
    checkReplaceable(directory, texts);
    await replaceDirectoryLater(directory, async (temporary) => {
      writeTexts(temporary, texts);
      await writeWeights(temporary);
    });
  } catch (error) {
    withSystemErrors(directory, WRITABLE, () => {
      throw error;
    });
  }
}

function writeTexts(directory: string, texts: Texts): void {
  for (const [name, text] of Object.entries(texts)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeSynced(path, text);
  }
}

function textsOf(directory: string, contents: Omit<ModelDirectoryContents, "tensors">): Texts {
  const { config, generationConfig, files } = contents;
  for (const name of Object.keys(files)) checkFileName(directory, name);
  return {
    ...files,
    [CONFIG]: serializeJson(config, CONFIG),
    ...(generationConfig && { [GENERATION_CONFIG]: serializeJson(generationConfig, GENERATION_CONFIG) }),
  };
}

/**
 * Opens a model directory. Weights are read when asked for, from one file or from shards.
 *
 * @throws {EnvironmentError} if there is no such directory or it cannot be read.
 * @throws {FormatError} if a part is missing or malformed.
 */
export function openModelDirectory(directory: string): ModelDirectory {
  checkIsDirectory(directory);
  const configPath = join(directory, CONFIG);
  if (!existsSync(configPath)) {
    throw new FormatError({ where: directory, expected: `a model directory with ${CONFIG}`, got: "none" });
  }
  const config = readJsonObject(configPath);
  const weights = openModelWeights(directory);
  return { path: directory, config, weights, close: () => weights.close() };
}

function checkFileName(directory: string, name: string): void {
  const [file, folder, ...rest] = name.split("/").reverse() as [string, ...string[]];
  const isPlaced = folder === undefined || (isPlace(folder, file) && rest.length === 0);
  const plain = isPlaced && /^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/.test(file) && file !== "." && file !== "..";
  if (plain && ![CONFIG, GENERATION_CONFIG, SINGLE_WEIGHTS, SHARD_INDEX].includes(name)) return;
  throw new ConfigError({
    where: `${directory}, files`,
    expected: "plain names of files beside the configuration and the weights",
    got: describeJson(name),
  });
}

function checkReplaceable(directory: string, texts: Texts): void {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const known = KNOWN_FILES.has(entry.name) || SHARD.test(entry.name) || Object.hasOwn(texts, entry.name);
    if (entry.isDirectory() ? isPlaceOnly(join(directory, entry.name), entry.name) : known) continue;
    throw new EnvironmentError({
      where: directory,
      expected: "a new directory, or one with nothing but a model in it",
      got: `one with ${describeJson(entry.name)}`,
      fix: "Choose another directory, or move that away.",
    });
  }
}

/** Whether a model has a file of that name in a folder of that name. */
function isPlace(folder: string, file: string): boolean {
  return folder === TEMPLATES ? file.endsWith(".jinja") : STAGE.test(folder) && file === CONFIG;
}

/** Whether a folder is one that models have, with nothing else in it. */
function isPlaceOnly(path: string, name: string): boolean {
  const isKnown = name === TEMPLATES || STAGE.test(name);
  return isKnown && readdirSync(path).every((file) => isPlace(name, file));
}

function checkIsDirectory(directory: string): void {
  const status = statSync(directory, { throwIfNoEntry: false });
  if (status?.isDirectory()) return;
  const aside = asideName(directory);
  throw new EnvironmentError({
    where: directory,
    expected: "a model directory",
    got: status ? "a file" : "nothing there",
    fix: existsSync(aside)
      ? `Replacing it was cut off; rename ${aside} back to ${directory}.`
      : "Check the path.",
  });
}
