/** What recomputation saves of a step's memory, and what it costs in time. */
import { alternate, compareRounds, median } from "../measure.mjs";
import { startTraining } from "../peer.mjs";
import { judge } from "../row.mjs";

export const summary = "recomputation at 12 × 768, T 256: activation memory and step time against none";

const RUN = { model: "gpt2:12,768,12,256", context: 256, batch: 2 };
const MAX_MEMORY = 0.4;
const MAX_TIME = 1.4;

export async function* measure({ repeats, log }) {
  const plain = await startTraining({ ...RUN, recompute: 0 });
  const again = await startTraining({ ...RUN, recompute: 1 });
  try {
    const [before, after] = [await plain.ask("memory"), await again.ask("memory")].map((of) => of.stepBytes);
    yield judge({
      name: "recompute/memory",
      value: after / before,
      unit: "×",
      rule: ["value", "≤", MAX_MEMORY],
      note: `${megabytes(after)} on top of weights, gradients and moments, against ${megabytes(before)}`,
    });
    const sides = { recomputed: () => again.stepMs(), plain: () => plain.stepMs() };
    const { recomputed, plain: kept } = await alternate(sides, repeats, log);
    const { ratio, ...rest } = compareRounds(recomputed, kept);
    yield judge({
      name: "recompute/time",
      value: ratio,
      unit: "×",
      rule: ["value", "≤", MAX_TIME],
      note: `${median(recomputed).toFixed(0)} ms a step against ${median(kept).toFixed(0)}`,
      spread: rest.spread,
    });
  } finally {
    await plain.quit();
    await again.quit();
  }
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
