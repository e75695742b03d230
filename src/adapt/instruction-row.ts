import type { Tokenizer } from "../codecs/tokenizer.ts";
import { DataError } from "../core/errors.ts";
import type { Instruction } from "../data/rows/examples.ts";
import type { TrainingRow } from "./training-row.ts";

/**
 * An instruction as one text and the end of text, of which the completion and the end are learnt.
 *
 * The text is encoded whole, as trl does it: where prompt and completion meet inside a token, that token is learnt, too. Prompts that
 * end with a line break or a colon leave no doubt about it.
 *
 * @throws {DataError} if the prompt or the completion is empty.
 * @example
 * instructionRow(tokenizer, { prompt: "Translate: cheese\n", completion: "fromage" });
 */
export function instructionRow(tokenizer: Tokenizer, { prompt, completion }: Instruction): TrainingRow {
  for (const [where, text] of Object.entries({ prompt, completion })) {
    if (typeof text !== "string" || text === "") {
      const got = text === "" ? "an empty one" : String(text);
      throw new DataError({ where, expected: "a text", got });
    }
  }
  const alone = tokenizer.encodeInput(prompt).ids;
  const end = tokenizer.specials.eos ?? tokenizer.endOfTextId;
  const whole = Array.from(tokenizer.encodeInput(prompt + completion).ids);
  if (whole.at(-1) !== end) whole.push(end);
  const differing = alone.findIndex((id, i) => id !== whole[i]);
  const start = differing < 0 ? alone.length : differing;
  return {
    tokens: Int32Array.from(whole),
    learnt: Uint8Array.from(whole, (_, i) => Number(i >= start)),
  };
}
