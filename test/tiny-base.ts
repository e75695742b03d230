// A decoder of letters to adapt, untrained, and files of rows beside it.

import { writeFileSync } from "node:fs";
import { trainCharTokenizer } from "../src/codecs/char-tokenizer.ts";
import { Random } from "../src/core/random.ts";
import type { Gpt2Config } from "../src/models/gpt2/config.ts";
import { gpt2Config } from "../src/models/gpt2/config.ts";
import { Gpt2 } from "../src/models/gpt2/model.ts";
import { saveModel } from "../src/models/save-model.ts";
import { initializeParameters } from "../src/nn/scope.ts";

/** What it can read and write. */
export const LETTERS = "abcdefghijklmnopqrstuvwxyz .:\n";

/** Saves the decoder, by default two layers of width 64. */
export function saveTinyBase(
  directory: string,
  sizes: Partial<Gpt2Config> = {},
  letters = LETTERS,
  seed = 1,
): void {
  const tokenizer = trainCharTokenizer([letters]);
  const model = new Gpt2(
    gpt2Config({
      ...{ width: 64, numLayers: 2, numHeads: 2, contextLength: 64, ...sizes },
      vocabularySize: tokenizer.vocabularySize,
    }),
  );
  const weights = initializeParameters(model.parameters, new Random(seed));
  saveModel(directory, { model, weights, tokenizer, card: "" });
}

/** Words of three of the first four letters, the same each time. */
export function tinyWords(count: number): string[] {
  const random = new Random(2);
  return Array.from({ length: count }, () =>
    Array.from({ length: 3 }, () => LETTERS[random.integer(4)]).join(""),
  );
}

/** Writes rows as JSON lines. */
export function writeRows(path: string, rows: readonly object[]): void {
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join("\n"));
}
