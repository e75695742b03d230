/** How long it takes to know what is in a large checkpoint. */
import { median, spread } from "../measure.mjs";
import { emptyCheckpoint } from "../models.mjs";
import { runWorkload } from "../peer.mjs";
import { judge } from "../row.mjs";

export const summary =
  "opening a 7 B checkpoint: index, configuration and headers of three files, no weights; fresh processes";

const MAX_MS = 50;

export async function* measure({ repeats, log }) {
  const directory = emptyCheckpoint("mistral-7b", log);
  const ms = [];
  let tensors = 0;
  for (let run = 0; run < repeats; run++) {
    const opened = await runWorkload("open.mjs", directory);
    ms.push(opened.ms);
    tensors = opened.tensors;
  }
  log(`  ms: ${ms.map((x) => x.toPrecision(3)).join(", ")}`);
  const row = { name: "load", value: median(ms), unit: "ms", spread: spread(ms), note: `${tensors} tensors` };
  yield judge({ ...row, rule: ["value", "≤", MAX_MS] });
}
