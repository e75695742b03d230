/** Real tasks as pairs of prompt and completion, split as each data set's own README says, from ../shared/data. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { INSTRUCTION } from "../dist/data/rows/text-kinds.js";
import { SHARED_DATA } from "./corpus.mjs";

/** One side of ten, by a hash of a name: the same name is always on the same side. */
function isHeldOut(name) {
  return createHash("sha256").update(name).digest()[0] % 10 === 0;
}

function linesOf(path) {
  const bytes = readFileSync(join(SHARED_DATA, path));
  return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString().trim().split("\n");
}

const rowsOf = (path) => linesOf(path).map((line) => JSON.parse(line));

function split(rows, nameOf, examplesOf) {
  const isWhole = ({ prompt, completion }) => Boolean(prompt && completion);
  const side = (held) =>
    rows
      .filter((row) => isHeldOut(nameOf(row)) === held)
      .flatMap(examplesOf)
      .filter(isWhole);
  return { train: side(false), heldOut: side(true) };
}

/** Name, and what it reads; `sizes` are numbers of training examples. */
const TASKS = {
  gsm8k: () => {
    const side = (name) =>
      rowsOf(`gsm8k/${name}.jsonl.gz`).map(({ question, answer }) => ({
        prompt: `Question: ${question}\nAnswer: `,
        completion: answer,
      }));
    return { train: side("train"), heldOut: side("dev") };
  },
  "tldr-command": () =>
    split(
      rowsOf("tldr-pages/pages-en.jsonl.gz"),
      ({ name }) => name,
      ({ examples }) => examples.map(({ task, command }) => ({ prompt: `${task}\n$ `, completion: command })),
    ),
  "tldr-line": () =>
    split(
      rowsOf("tldr-pages/pages-en.jsonl.gz"),
      ({ name }) => name,
      ({ name, examples, description }) => [
        {
          prompt: `${name}\n${examples
            .slice(0, 4)
            .map(({ task }) => `- ${task}`)
            .join("\n")}\nIn short: `,
          completion: description[0],
        },
      ],
    ),
  // The set is meant for judging; solutions that are there serve as text, and nothing is said about whether they work.
  "mbxp-typescript": () =>
    split(
      rowsOf("mbxp/mbtsp-typescript.jsonl.gz").filter((row) => row.canonical_solution),
      ({ task_id }) => task_id,
      ({ prompt, canonical_solution }) => [{ prompt, completion: canonical_solution }],
    ),
  scan: () =>
    split(
      linesOf("scan/tasks_train_simple.txt.gz").map((line) => /^IN: (.*) OUT: (.*)$/.exec(line)),
      ([line]) => line,
      ([, command, actions]) => [{ prompt: `${command} =>`, completion: ` ${actions}` }],
    ),
  banking77: () =>
    split(
      linesOf("banking77/train.csv")
        .slice(1)
        .map((line) => /^"?(.*?)"?,([^,]*)$/.exec(line))
        .filter(Boolean),
      ([line]) => line,
      ([, text, category]) => [{ prompt: `${text}\nIntent: `, completion: category.replaceAll("_", " ") }],
    ),
};

export const TASK_NAMES = Object.keys(TASKS);

/**
 * Both sides of a task, or what is missing.
 *
 * @returns {{ train: object[], heldOut: object[] } | { missing: string }}
 */
export function readTask(name) {
  if (!existsSync(SHARED_DATA)) return { missing: SHARED_DATA };
  return TASKS[name]();
}

/** Examples in a seeded order: the first n of it are a smaller set of the same kind. */
export function shuffled(examples, seed) {
  const key = (example) =>
    createHash("sha256")
      .update(`${seed} ${INSTRUCTION.identity(example)}`)
      .digest("hex");
  return examples
    .map((example) => [key(example), example])
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, example]) => example);
}
