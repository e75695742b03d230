/** A model of 7 billion parameters on a machine of ordinary size. */
import { quantizedCheckpoint, removeCheckpoints } from "../models.mjs";
import { startModel } from "../peer.mjs";
import { inform, judge } from "../row.mjs";

export const summary =
  "Mistral 7B shape in 4 bits: memory, time to the first token, tokens a second. Writes 5 GB and removes them.";

const MAX_GB = 6;
const CONTEXT = 4096;
const PROMPT = 128;
const TOKENS = 48;
/** With 32 the scales alone, twice packed and once mapped, take 2.7 GB: 6.3 in all. */
const BLOCK = 64;

export async function* measure({ log }) {
  try {
    const model = quantizedCheckpoint("mistral-7b", BLOCK, log);
    yield* run(model, log);
  } finally {
    removeCheckpoints("mistral-7b");
  }
}

/** The files are in the page cache when this starts: what is measured is the program, not the disk. */
async function* run(model, log) {
  log("large: loading");
  const start = performance.now();
  const side = await startModel("plinth decoder", { model, context: CONTEXT });
  try {
    const loadedMs = performance.now() - start;
    const first = await side.ask(`prefill ${PROMPT}`);
    const again = await side.ask(`prefill ${PROMPT}`);
    const { ms } = await side.ask(`decode ${TOKENS}`);
    const { peakRssBytes, anonymousBytes, fileBytes } = await side.ask("memory");
    const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`;
    yield judge({
      name: "large/memory",
      value: peakRssBytes / 1e9,
      unit: "GB",
      rule: ["value", "≤", MAX_GB],
      note: `at most; in the end ${gigabytes(anonymousBytes)} of its own and ${gigabytes(fileBytes)} of mapped files`,
    });
    yield inform({ name: "large/decode", value: 1000 / ms, unit: "tokens/s", note: `block ${BLOCK}` });
    yield inform({
      name: "large/first-token",
      value: (loadedMs + first.ms) / 1000,
      unit: "s",
      note: `from the start of the process, prompt of ${PROMPT}; ${(again.ms / 1000).toFixed(2)} s once loaded`,
    });
  } finally {
    await side.quit();
  }
}
