/** How fast an encoder turns texts into vectors. */
import { compare, sameOutputs } from "../decoders.mjs";
import { exportedModel } from "../models.mjs";
import { startModel } from "../peer.mjs";
import { EMBED_BATCH } from "../peers/inference.mjs";
import { skip } from "../row.mjs";

export const summary = "texts a second: BERT-base shape, 16 of 128 tokens at a time, against transformers.js";

const TARGET = 1.2;

export async function* measure({ repeats, log }) {
  const row = { name: "embed", unit: "texts/s", peer: "transformers.js", rule: ["ratio", "≥", TARGET] };
  const { missing, directory: model } = await exportedModel("bert", log);
  if (missing) {
    yield skip({ ...row, skipped: `${missing} is not installed` });
    return;
  }
  const ours = () => startModel("plinth encoder", { model });
  const theirs = () => startModel("transformers.js", { model });
  const rate = async (side) => (1000 * EMBED_BATCH[0]) / (await side.stepMs("embed"));
  yield await compare({ row, ours, theirs, rate, repeats, log, check: sameOutputs("outputs") });
}
