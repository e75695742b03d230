import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ModelDirectory } from "../hub/model-directory.ts";
import { readJsonObject } from "../hub/read-json-file.ts";

/** Files that say how texts become tokens and conversations texts, and under which terms a model is given. */
const TEXT_FILES: readonly RegExp[] = [
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|encodings)\.json$/,
  /^(tokenizer\.model|vocab\.txt|merges\.txt|chat_template\.jinja|LICENSE|.*\.tiktoken)$/,
  /^additional_chat_templates\/[^/]+\.jinja$/,
];

/** Settings that sentence encoders have beside these and in folders. */
const SENTENCE_FILES: readonly RegExp[] = [
  /^(modules|sentence_bert_config|config_sentence_transformers|preprocessor_config)\.json$/,
  /^[0-9]+_[A-Za-z]+\/config\.json$/,
];

/** What a directory has beside configuration and weights, and its card: what a model keeps in another form. */
export function companionFiles({ path }: Pick<ModelDirectory, "path">) {
  const card = join(path, "README.md");
  return {
    ...textCompanions(path),
    ...(existsSync(card) && { card: readFileSync(card, "utf8") }),
    files: filesLike(path, [...TEXT_FILES, ...SENTENCE_FILES]),
  };
}

/** What a directory has to read and write text with: tokenizer, chat templates, how its model is meant to write. */
export function textCompanions(path: string) {
  const generation = join(path, "generation_config.json");
  return {
    ...(existsSync(generation) && { generationConfig: readJsonObject(generation) }),
    files: filesLike(path, TEXT_FILES),
  };
}

function filesLike(path: string, patterns: readonly RegExp[]): Readonly<Record<string, Uint8Array>> {
  const names = readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? readdirSync(join(path, entry.name)).map((name) => `${entry.name}/${name}`)
      : [entry.name],
  );
  const wanted = names.filter(
    (name) =>
      patterns.some((pattern) => pattern.test(name)) &&
      statSync(join(path, name), { throwIfNoEntry: false })?.isFile(),
  );
  return Object.fromEntries(wanted.map((name) => [name, new Uint8Array(readFileSync(join(path, name)))]));
}
