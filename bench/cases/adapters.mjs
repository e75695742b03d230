/** Several adapters on one base: how long a switch takes, and what an adapter costs in memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "../measure.mjs";
import { runWorkload } from "../peer.mjs";
import { judge } from "../row.mjs";

export const summary =
  "GPT-2 12 × 768 with eight LoRAs of rank 8 on all linears: milliseconds of a switch, memory of an adapter";

const MAX_MS = 20;
/** Of an adapter's own bytes. */
const MAX_GROWTH = 1.5;

export async function* measure({ log }) {
  const directory = mkdtempSync(join(tmpdir(), "plinth-bench-"));
  try {
    await runWorkload("adapters.mjs", "make", directory);
    const { switched, plain, isSame, grownBytes, adapters, adapterBytes, baseBytes } = await runWorkload(
      "adapters.mjs",
      "run",
      directory,
    );
    if (!isSame) throw new Error("scores differ after switching there and back");
    for (const [label, ms] of Object.entries({ switched, plain })) {
      log(`  ms to read a token, ${label}: ${ms.map((x) => x.toPrecision(3)).join(", ")}`);
    }
    const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
    yield judge({
      ...{ name: "adapters/switch", unit: "ms", value: Math.max(0, median(switched) - median(plain)) },
      rule: ["value", "≤", MAX_MS],
      note: `what a token takes longer after a switch than ${median(plain).toFixed(1)} ms; the same bits after switching there and back`,
    });
    const [value, peerValue] = [grownBytes / (adapters - 1) / 1e6, adapterBytes / 1e6];
    yield judge({
      ...{
        name: "adapters/memory",
        unit: "MB",
        value,
        peer: "its weights",
        peerValue,
        ratio: value / peerValue,
      },
      rule: ["ratio", "≤", MAX_GROWTH],
      note: `each further adapter on a base of ${megabytes(baseBytes)} MB`,
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}
