/** What a step of LoRA costs beside one of full fine-tuning, and beside Python's peft. */
import { alternate, compareRounds, median } from "../measure.mjs";
import { Peer, startStep, startTraining } from "../peer.mjs";
import { judge, skip } from "../row.mjs";

export const summary =
  "LoRA step, rank 8 on all linears, 12 × 768: time and peak memory against full fine-tuning and peft";

const SIZE = { layers: 12, width: 768, heads: 12, context: 256, batch: 2 };
/** The same with bytes for a vocabulary, as `startStep` has it. */
const LORA_MODEL = `gpt2:${SIZE.layers},${SIZE.width},${SIZE.heads},256`;
const MAX_TIME = 0.72;
const MAX_MEMORY = 0.55;

export async function* measure({ repeats, log }) {
  yield* against("plinth", "full fine-tuning", { time: MAX_TIME, memory: MAX_MEMORY }, { repeats, log });
  yield* against("peft", "peft", { time: 1, memory: 1 }, { repeats, log });
}

/** Time and memory of LoRA as shares of another program's. */
async function* against(key, label, { time, memory }, { repeats, log }) {
  const rows = { name: `lora/time against ${label}`, unit: "ms", rule: ["ratio", "≤", time] };
  const other = await startStep(key, SIZE);
  if (!(other instanceof Peer)) {
    yield skip({ ...rows, peer: label, skipped: `${other.missing} is not installed` });
    return;
  }
  const lora = await startTraining({
    model: LORA_MODEL,
    context: SIZE.context,
    batch: SIZE.batch,
    adapter: "lora",
  });
  try {
    log(`lora: against ${label}`);
    const sides = { lora: () => lora.stepMs(), [label]: () => other.stepMs() };
    const ms = await alternate(sides, repeats, log);
    const [ours, theirs] = [ms.lora, ms[label]];
    const peer = key === "plinth" ? label : other.name;
    yield judge({
      ...rows,
      peer,
      value: median(ours),
      peerValue: median(theirs),
      ...compareRounds(ours, theirs),
    });
    const [value, peerValue] = [(await lora.peakBytes()) / 1e9, (await other.peakBytes()) / 1e9];
    const rule = ["ratio", "≤", memory];
    yield judge({
      name: `lora/memory against ${label}`,
      unit: "GB",
      value,
      peer,
      peerValue,
      ratio: value / peerValue,
      rule,
    });
  } finally {
    await lora.quit();
    await other.quit();
  }
}
