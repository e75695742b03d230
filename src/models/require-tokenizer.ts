import type { Tokenizer } from "../codecs/tokenizer.ts";
import { DataError } from "../core/errors.ts";
import type { Loaded } from "./load-model.ts";

/**
 * The tokenizer of a loaded model.
 *
 * @param who the model is, in errors
 * @param fix says what to do about it
 * @throws {DataError} if its directory has none.
 */
export function requireTokenizer(
  { tokenizer, directory }: Loaded<unknown>,
  who = "model",
  fix = "Put its tokenizer.json beside the weights.",
): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new DataError({ where: directory, expected: `a ${who} with a tokenizer`, got: "one without", fix });
}
