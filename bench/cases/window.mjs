/** What a sliding window saves where a prompt is much longer than it. */
import { compare } from "../decoders.mjs";
import { startModel } from "../peer.mjs";
import { SHAPES } from "../shapes.mjs";

export const summary =
  "a prompt of 16k tokens with window 4096 against full attention; 4 × 512, 8/2 heads, random float32";

const TARGET = 1.6;
const WINDOW = 4096;
/** Enough for both sides to have every buffer they need, but the last. */
const WARM_UP_PROMPT = 512;

export async function* measure({ repeats, trial, log }) {
  const prompt = trial ? 2 * WINDOW : SHAPES.small.context;
  const side = (options) => () => startModel("plinth decoder", { model: "small", ...options });
  const rate = async (model) => {
    await model.ask(`prefill ${WARM_UP_PROMPT}`);
    const { ms } = await model.ask(`prefill ${prompt}`);
    return (1000 * prompt) / ms;
  };
  const row = { name: "window", unit: "tokens/s", peer: "own full attention", rule: ["ratio", "≥", TARGET] };
  yield await compare({ row, ours: side({ window: WINDOW }), theirs: side({}), rate, repeats, log });
}
