/** Whether a model of a billion weights can be adapted on a small machine. */
import { quantizedCheckpoint } from "../models.mjs";
import { startTraining } from "../peer.mjs";
import { inform, judge } from "../row.mjs";

export const summary =
  "QLoRA, rank 8 on all linear layers of a 1.1 B Llama shape in 4 bits, T 256, B 1: most memory resident";

const MAX_GB = 2.5;
const BLOCK = 32;

export async function* measure({ log }) {
  const model = quantizedCheckpoint("llama-1b", BLOCK, log);
  log("qlora: three steps, about a minute");
  const side = await startTraining({ model, adapter: "lora", recompute: 1, context: 256, batch: 1 });
  try {
    const { peakRssBytes, stepBytes } = await side.ask("memory");
    yield judge({
      name: "qlora/memory",
      value: peakRssBytes / 1e9,
      unit: "GB",
      rule: ["value", "≤", MAX_GB],
      note: `block ${BLOCK}, recomputed; the file's own pages, which are mapped, included; ${(stepBytes / 1e9).toFixed(2)} GB since before the first step`,
    });
    const { ms } = await side.ask("step 1");
    yield inform({ name: "qlora/step", value: ms / 1000, unit: "s" });
  } finally {
    await side.quit();
  }
}
