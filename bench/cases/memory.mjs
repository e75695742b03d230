/** How much memory training takes, and that it does not grow. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "../measure.mjs";
import { Peer, runWorkload, startStep } from "../peer.mjs";
import { judge } from "../row.mjs";

export const summary = "peak memory of a training step at 12 × 768; growth over 2,000 steps";

const SIZE = { layers: 12, width: 768, heads: 12, context: 256, batch: 2 };
const MAX_PEAK_GB = 3;
const MAX_GROWTH_MB = 20;
const WARM_UP = 400;
const STEPS = 2000;

export async function* measure({ repeats, trial, log }) {
  yield await peak(log);
  const steps = trial ? WARM_UP : STEPS;
  log(`memory/growth: ${repeats} runs of ${steps} steps`);
  yield await growth(repeats, steps);
}

/** Not a matter of speed, so once is enough: every side runs three steps before it says it is ready. */
async function peak(log) {
  const gigabytes = {};
  for (const key of ["plinth", "pytorch"]) {
    log(`memory/peak: ${key}`);
    const side = await startStep(key, SIZE);
    if (!(side instanceof Peer)) {
      log(`memory/peak: ${side.missing} is not installed, so there is nothing to compare with`);
      continue;
    }
    gigabytes[side.name] = (await side.peakBytes()) / 1e9;
    await side.quit();
  }
  const [[, value], [peer, peerValue] = [null, null]] = Object.entries(gigabytes);
  const ratio = peerValue && peerValue / value;
  const rule = ["value", "≤", MAX_PEAK_GB];
  return judge({ name: "memory/peak", value, unit: "GB", peer, peerValue, ratio, rule });
}

async function growth(repeats, steps) {
  const megabytes = [];
  for (let run = 0; run < repeats; run++) {
    const directory = mkdtempSync(join(tmpdir(), "plinth-bench-"));
    try {
      const args = [directory, `${WARM_UP}`, `${steps}`];
      const { beforeBytes, afterBytes } = await runWorkload("long-run.mjs", ...args);
      megabytes.push((afterBytes - beforeBytes) / 1e6);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
  const rule = ["value", "<", MAX_GROWTH_MB];
  const note = `runs: ${megabytes.map((mb) => mb.toFixed(1)).join(", ")} MB`;
  return judge({ name: "memory/growth", value: median(megabytes), unit: "MB", rule, note });
}
