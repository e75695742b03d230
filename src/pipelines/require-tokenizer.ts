import type { Tokenizer } from "../codecs/tokenizer.ts";
import { DataError } from "../core/errors.ts";
import type { Loaded } from "../models/load-model.ts";

/**
 * The tokenizer of a loaded model.
 *
 * @throws {DataError} if its directory has none; `fix` says what to do.
 */
export function requireTokenizer({ tokenizer, directory }: Loaded<unknown>, fix: string): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new DataError({ where: directory, expected: "a model with a tokenizer", got: "one without", fix });
}
