import { join } from "node:path";
import { trainCharTokenizer } from "../codecs/char-tokenizer.ts";
import { parseTokenizer, type Tokenizer } from "../codecs/tokenizer.ts";
import { trainByteBpe } from "../codecs/train-byte-bpe.ts";
import { trainWordPiece } from "../codecs/train-word-piece.ts";
import { DataError } from "../core/errors.ts";
import { sampleTraining } from "../data/sample.ts";
import { type SplitOptions, SplitReader } from "../data/split-reader.ts";
import { readJsonFile } from "../hub/read-json-file.ts";
import type { Recipe } from "./recipe.ts";
import { TOKENIZER_FILE } from "./run-directory.ts";

/** Text that a BPE tokenizer is trained on, at most. */
const SAMPLE_BYTES = 10_000_000;

/**
 * The tokenizer of a run that goes on.
 *
 * @throws {EnvironmentError} if it is missing.
 * @throws {FormatError} if it is damaged.
 */
export function readRunTokenizer(directory: string): Tokenizer {
  const path = join(directory, TOKENIZER_FILE);
  return parseTokenizer(readJsonFile(path), path);
}

/**
 * Trains the tokenizer of a new run.
 *
 * @throws {DataError} if a source cannot be read, or there is no text in any.
 * @throws {ConfigError} if the vocabulary is larger than the text supports.
 */
export function trainTokenizer({ tokenizer, masking }: Recipe, split: SplitOptions): Tokenizer {
  const { kind, vocabularySize } = tokenizer;
  const sample = () => expectText(sampleTraining(split, SAMPLE_BYTES), split);
  if (kind === "bpe") return trainByteBpe(sample(), { vocabularySize });
  if (kind === "wordpiece") return trainWordPiece(sample(), { vocabularySize });
  // An alphabet has to cover the held-out text too: it knows which characters exist, and nothing about them.
  return trainCharTokenizer(expectText(allTexts(split), split), { for: masking ? "encoder" : "decoder" });
}

function* allTexts(split: SplitOptions): Generator<string> {
  for (const { text } of new SplitReader(split).texts()) yield text;
}

function* expectText(texts: Iterable<string>, { sources }: SplitOptions): Generator<string> {
  let length = 0;
  for (const text of texts) {
    length += text.length;
    yield text;
  }
  if (length > 0) return;
  throw new DataError({
    where: sources.flatMap(({ paths }) => paths).join(", "),
    expected: "some text",
    got: "none",
    fix: "Check the paths.",
  });
}
