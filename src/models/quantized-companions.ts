import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { SCHEME_BITS } from "../core/weights.ts";
import type { ModelDirectory } from "../hub/model-directory.ts";
import { type QuantizationPlan, quantizationConfig } from "../hub/quantized-weights.ts";
import { readJsonObject } from "../hub/read-json-file.ts";

/** Files beside the weights that a quantised model keeps, and the settings that sentence encoders have in folders. */
const COMPANIONS: readonly RegExp[] = [
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|encodings)\.json$/,
  /^(modules|sentence_bert_config|config_sentence_transformers|preprocessor_config)\.json$/,
  /^(tokenizer\.model|vocab\.txt|merges\.txt|chat_template\.jinja|LICENSE|.*\.tiktoken)$/,
  /^[0-9]+_[A-Za-z]+\/config\.json$/,
];

/** What a directory has besides configuration and weights, and its card. */
export function companionFiles({ path }: ModelDirectory) {
  const names = readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [`${entry.name}/config.json`] : [entry.name],
  );
  const present = names.filter(
    (name) =>
      COMPANIONS.some((pattern) => pattern.test(name)) &&
      statSync(join(path, name), { throwIfNoEntry: false })?.isFile(),
  );
  const files = Object.fromEntries(
    present.map((name) => [name, new Uint8Array(readFileSync(join(path, name)))]),
  );
  const [generation, card] = ["generation_config.json", "README.md"].map((name) => join(path, name));
  return {
    ...(existsSync(generation!) && { generationConfig: readJsonObject(generation!) }),
    ...(existsSync(card!) && { card: readFileSync(card!, "utf8") }),
    files,
  };
}

/** All of a quantised model's directory but its weights: the configuration, and what the original has beside it. */
export function companions(opened: ModelDirectory, plan: QuantizationPlan) {
  const { files, card: original, ...others } = companionFiles(opened);
  return {
    ...others,
    config: { ...opened.config, quantization_config: quantizationConfig(plan) },
    files: { ...files, "README.md": card(original, plan) },
  };
}

function card(original: string | undefined, { blockSize, schemes, kept }: QuantizationPlan): string {
  const counts = Object.keys(SCHEME_BITS).flatMap((scheme) => {
    const count = [...schemes.values()].filter((of) => of === scheme).length;
    return count > 0 ? [`${count} matrices in ${scheme}`] : [];
  });
  const note = [
    "## Quantisation",
    "",
    `Quantised by Plinth: ${counts.join(", ")}, in blocks of ${blockSize}; ${kept.length} matrices as they were.`,
    "",
  ].join("\n");
  return `${original?.trimEnd() ?? "# Model"}\n\n${note}`;
}
