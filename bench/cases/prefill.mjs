/** How fast a prompt is read, until the first token after it is known. */
import { compareDecoders } from "../decoders.mjs";

export const summary = "a prompt of 512 tokens: the models and peers of decode";

const TARGETS = { "llama-1b": 1.1, gpt2: 1.3 };
const PROMPT = 512;
/** A process that sat idle while another ran starts cold. */
const WARM_UP_PROMPT = 64;

export function measure({ repeats, log }) {
  const rate = async (side) => {
    await side.ask(`prefill ${WARM_UP_PROMPT}`);
    const { ms } = await side.ask(`prefill ${PROMPT}`);
    return (1000 * PROMPT) / ms;
  };
  return compareDecoders({ benchmark: "prefill", targets: TARGETS, rate, repeats, log });
}
