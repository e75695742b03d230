/** What it saves that examples share rows, where rows of similar length already go together. */
import { existsSync } from "node:fs";
import { alternate, compareRounds, median } from "../measure.mjs";
import { startModel } from "../peer.mjs";
import { inform, skip } from "../row.mjs";

export const summary =
  "gradients of 96 examples of gsm8k, packed into rows of 512 against padded to four lengths; GPT-2 6 × 384";

const DATA = "../shared/data/gsm8k/dev.jsonl.gz";
const TOKENIZER = "../shared/data/tok-gpt2";
const EXAMPLES = 96;

export async function* measure({ repeats, trial, log }) {
  const row = { name: "packing", unit: "examples/s", peer: "own padded rows" };
  const missing = [DATA, TOKENIZER].find((path) => !existsSync(path));
  if (missing) {
    yield skip({ ...row, skipped: `${missing} is not there` });
    return;
  }
  const count = trial ? 8 : EXAMPLES;
  const peer = await startModel("plinth rows", { data: DATA, tokenizer: TOKENIZER, count });
  try {
    const tokens = {};
    const rate = (name) => async () => {
      const { ms, numTokens, loss } = await peer.ask(`${name} 1`);
      tokens[name] = { numTokens, loss };
      return (1000 * count) / ms;
    };
    for (const name of ["padded", "packed"]) await rate(name)();
    const { packed, padded } = await alternate(
      { packed: rate("packed"), padded: rate("padded") },
      repeats,
      log,
    );
    const apart = Math.abs(tokens.packed.loss - tokens.padded.loss);
    if (!(apart < 1e-4)) throw new Error(`the losses differ by ${apart}`);
    const { ratio, spread } = compareRounds(packed, padded);
    const note = `${tokens.packed.numTokens} tokens against ${tokens.padded.numTokens}`;
    yield inform({ ...row, value: median(packed), peerValue: median(padded), ratio, spread, note });
  } finally {
    await peer.quit();
  }
}
