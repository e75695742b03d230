/** How fast text comes once the prompt has been read: one token after the other. */
import { compareDecoders } from "../decoders.mjs";

export const summary =
  "tokens a second: 1.1 B Llama shape in 4 bits against llama.cpp, GPT-2 124M against transformers.js";

const TARGETS = { "llama-1b": 1.4, gpt2: 1.3 };

export function measure({ repeats, log }) {
  const rate = async (side) => 1000 / (await side.stepMs("decode"));
  return compareDecoders({ benchmark: "decode", targets: TARGETS, rate, repeats, log });
}
