/** Real tasks to adapt a base to: those that `plinth eval` knows, with their rows from ../shared/data. */
import { existsSync } from "node:fs";
import { Random } from "../dist/core/random.js";
import { defineTask, findTask } from "../dist/eval/tasks/task.js";
import { loadTaskRows } from "../dist/eval/tasks/task-rows.js";
import { SHARED_DATA } from "./corpus.mjs";

/** What a task of `plinth eval` needs to be learnt from, too. */
const CHANGES = {
  // What was learnt says how common an answer is; nothing has to be taken out.
  banking77: { calibrate: false },
  // The set is meant for judging; solutions that are there serve as text to learn from, and programs are run all the same.
  mbxp: { requires: ["canonical_solution"], heldOut: 0.2, answer: "{canonical_solution}" },
};

export const DECODER_TASKS = ["gsm8k", "tldr", "tldr-summary", "mbxp", "scan", "banking77"];
export const ENCODER_TASKS = ["banking77", "xquad"];

/** Why the tasks cannot be had here, if they cannot. */
export function missingData() {
  return existsSync(SHARED_DATA) ? undefined : `${SHARED_DATA} is not here`;
}

/** The task with all its rows: so many to judge by, drawn once, and the others to learn from, in a seeded order. */
export async function readTask(name, { numJudged, seed }) {
  const task = defineTask({ ...findTask(name), ...CHANGES[name] });
  const { training, evaluation } = await loadTaskRows(task, { data: SHARED_DATA, limit: numJudged });
  const order = new Random(seed).fork("training").permutation(training.length);
  return { task, training: Array.from(order, (place) => training[place]), evaluation };
}
