import { type Tokenizer, tokenizerFiles } from "../codecs/tokenizer.ts";
import type { Weights } from "../core/weights.ts";
import { writeModelDirectory } from "../hub/model-directory.ts";
import type { CausalLM } from "./contracts.ts";
import { familyOf } from "./registry.ts";

/** Everything that a model directory is made of. */
export interface SavedModel {
  readonly model: CausalLM;
  /** By parameter path, float32. */
  readonly weights: Weights;
  readonly tokenizer: Tokenizer | undefined;
  /** The model card, Markdown. */
  readonly card: string;
}

/**
 * Writes a Hugging Face model directory, whole or not at all, that Python `transformers` loads with the same logits.
 *
 * @throws {EnvironmentError} if the directory holds something else or the system refuses.
 */
export function saveModel(directory: string, { model, weights, tokenizer, card }: SavedModel): void {
  const family = familyOf(model.family, directory);
  const endOfTextId = tokenizer?.endOfTextId;
  const special = endOfTextId === undefined ? {} : { bos_token_id: endOfTextId, eos_token_id: endOfTextId };
  writeModelDirectory(directory, {
    config: family.toPublished(model, endOfTextId),
    generationConfig: special,
    tensors: model.parameters.map(({ path }) => [family.publishedName(path), weights.get(path)!] as const),
    files: {
      ...(tokenizer && tokenizerFiles(tokenizer, { contextLength: model.shape.contextLength })),
      "README.md": card,
    },
  });
}
