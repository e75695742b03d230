/** How long a user waits for the first token after typing a command. */
import { alternate, compareRounds, median } from "../measure.mjs";
import { exportedModel } from "../models.mjs";
import { startModel } from "../peer.mjs";
import { inform, skip } from "../row.mjs";

export const summary =
  "GPT-2 124M from the start of a process to the first token, against transformers.js; files cached";

const PROMPT = 16;

export async function* measure({ repeats, log }) {
  const { missing, directory: model } = await exportedModel("gpt2", log);
  const row = { name: "start", unit: "s", peer: "transformers.js" };
  if (missing) {
    yield skip({ ...row, skipped: `${missing} is not installed` });
    return;
  }
  let peer = "";
  const seconds = (program) => async () => {
    const start = performance.now();
    const side = await startModel(program, { model });
    await side.ask(`prefill ${PROMPT}`);
    const waited = (performance.now() - start) / 1000;
    if (program !== "plinth decoder") peer = side.name;
    await side.quit();
    return waited;
  };
  const sides = { plinth: seconds("plinth decoder"), "transformers.js": seconds("transformers.js") };
  const { plinth, "transformers.js": theirs } = await alternate(sides, repeats, log);
  const { ratio, spread } = compareRounds(theirs, plinth);
  yield inform({ ...row, peer, value: median(plinth), peerValue: median(theirs), ratio, spread });
}
