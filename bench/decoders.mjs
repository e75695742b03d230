/** The comparisons that `decode` and `prefill` share: whom we are compared with, on which model. */
import { alternate, compareRounds, median } from "./measure.mjs";
import { exportedModel, ggufFile, quantizedCheckpoint } from "./models.mjs";
import { Peer, startModel } from "./peer.mjs";
import { inform, judge, skip } from "./row.mjs";

/** Room in the caches of both sides. */
const CONTEXT = 1024;
/** Tokens of the prompt whose scores are compared, and the most they may differ by. */
const COMPARED_PROMPT = 64;
const MAX_DIFFERENCE = 1e-3;

/**
 * Measures tokens a second of every comparison in turn.
 *
 * @param {object} options
 * @param {"decode" | "prefill"} options.benchmark
 * @param {Record<"llama-1b" | "gpt2", number>} options.targets
 * @param {(side: Peer) => Promise<number>} options.rate tokens a second
 */
export async function* compareDecoders({ benchmark, targets, rate, repeats, log }) {
  for (const block of [32, 128]) {
    const name = `${benchmark}/llama-1b/block-${block}`;
    const row = { name, unit: "tokens/s", peer: "llama.cpp", rule: ["ratio", "≥", targets["llama-1b"]] };
    const model = quantizedCheckpoint("llama-1b", block, log);
    const ours = () => startModel("plinth decoder", { model, context: CONTEXT });
    const theirs = () => startModel("llama.cpp", { model: ggufFile("llama-1b", log), context: CONTEXT });
    const note = "4 bits: ours with the head, theirs Q4_0 with a head of Q6_K";
    yield await compare({ row, ours, theirs, rate, repeats, log, note });
  }
  const exported = await exportedModel("gpt2", log);
  const isPrefill = benchmark === "prefill";
  for (const [name, file, rule] of [
    [`${benchmark}/gpt2`, "model", ["ratio", "≥", targets.gpt2]],
    ...(isPrefill ? [[`${benchmark}/gpt2/last-scores`, "model_last", undefined]] : []),
  ]) {
    const row = { name, unit: "tokens/s", peer: "transformers.js", rule };
    if (exported.missing) {
      yield skip({ ...row, skipped: `${exported.missing} is not installed` });
      continue;
    }
    const { directory: model } = exported;
    const ours = () => startModel("plinth decoder", { model, context: CONTEXT });
    const theirs = () => startModel("transformers.js", { model, file });
    const check = sameOutputs(`outputs ${COMPARED_PROMPT}`);
    yield await compare({ row, ours, theirs, rate, repeats, log, check });
  }
}

/**
 * One row: both sides in turn. `check` looks at them first and says what it saw. Without a rule it is only told.
 *
 * @param {object} options
 * @param {() => Promise<Peer | {missing: string}>} options.ours
 * @param {() => Promise<Peer | {missing: string}>} options.theirs
 * @param {(side: Peer) => Promise<number>} options.rate more is better
 */
export async function compare({ row, ours, theirs, rate, check, note, repeats, log }) {
  log(`${row.name}: plinth, ${row.peer}`);
  const them = await theirs();
  if (!(them instanceof Peer)) return skip({ ...row, skipped: `${them.missing} is not installed` });
  const us = await ours();
  try {
    const seen = await check?.(us, them);
    const rates = await alternate({ plinth: () => rate(us), [row.peer]: () => rate(them) }, repeats, log);
    const [mine, other] = Object.values(rates);
    const notes = [note, seen].filter(Boolean).join("; ");
    const isOurs = them.name === us.name; // two ways of ours: the row says which
    const values = { peer: isOurs ? row.peer : them.name, value: median(mine), peerValue: median(other) };
    const told = { ...row, ...values, ...compareRounds(mine, other), ...(notes && { note: notes }) };
    return row.rule ? judge(told) : inform(told);
  } finally {
    for (const side of [us, them]) await side.quit();
  }
}

/** A check that two sides compute the same, by the largest difference between the numbers they answer. */
export function sameOutputs(command) {
  return async (us, them) => {
    const [mine, other] = [unpack(await us.ask(command)), unpack(await them.ask(command))];
    const differences = mine.map((value, i) => Math.abs(value - other[i]));
    const most = differences.reduce((a, b) => Math.max(a, b), 0);
    if (mine.length === other.length && most <= MAX_DIFFERENCE)
      return `outputs differ by ≤ ${most.toExponential(0)}`;
    throw new Error(`expected equal outputs, got ${mine.length} and ${other.length} that differ by ${most}`);
  };
}

function unpack({ outputs }) {
  const bytes = Buffer.from(outputs, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
