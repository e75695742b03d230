import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { ConfigError } from "../core/errors.ts";
import { readTextPieces } from "../data/text-file.ts";
import type { Interval } from "../eval/metrics/bootstrap.ts";
import { findTask } from "../eval/tasks/task.ts";
import { ensureDirectory, writeFileAtomic } from "../hub/atomic-write.ts";
import { withSystemErrors } from "../hub/system-error.ts";
import { type EvaluationResult, evaluateTask, type Scores } from "../pipelines/evaluation/evaluate-task.ts";
import { boolean, integer, required, text } from "./flag-specs.ts";
import { MODEL_ARGUMENT, MODEL_FLAGS, openModelArgument } from "./model-argument.ts";
import { defineVerb, type Verb } from "./verb.ts";

const FLAGS = {
  task: required(
    text({ describe: "a built-in task, or a JSON file with one of your own", placeholder: "NAME|FILE" }),
  ),
  data: text({ describe: "the directory with the task's files", placeholder: "DIR", fallback: "." }),
  shots: integer({ describe: "training examples shown ahead of each question", min: 0, fallback: 0 }),
  limit: integer({ describe: "judge only that many examples, drawn by chance", min: 1 }),
  seed: integer({ describe: "of the split, the examples and the intervals", min: 0, fallback: 1 }),
  baselines: boolean({ describe: "leave out what needs no network", fallback: true }),
  baselineText: text({
    describe:
      "text that the n-gram baseline counts, such as what the model was pretrained on; default the training rows",
    placeholder: "FILE",
  }),
  truncate: boolean({ describe: "cut texts that are longer than an encoder reads" }),
  out: text({
    describe: "where each example goes with its answer: a .jsonl file, or a directory",
    placeholder: "PATH",
  }),
  ...MODEL_FLAGS,
} as const;

/** `plinth eval`: how well a model does a task. */
export const evaluate: Verb = defineVerb({
  name: "eval",
  summary: "how well a model does a task, beside baselines",
  positionals: [MODEL_ARGUMENT],
  flags: FLAGS,
  example: "plinth eval runs/first --task banking77 --data ../shared/data --shots 4 --limit 200",
  run: async ({ positionals: [word], flags, out, signal }) => {
    const task = findTask(flags.task);
    const model = openModelArgument(word!, flags);
    try {
      const { data, shots, limit, seed, baselines, truncate } = flags;
      const baselineText = flags.baselineText && [...readTextPieces(flags.baselineText)].join("");
      const options = { baselineText, data, shots, limit, seed, baselines, truncate, signal };
      const path = flags.out === undefined ? undefined : preparePlace(flags.out, task.name);
      const { predictions, ...result } = await evaluateTask(task, model, options);
      if (path !== undefined) {
        writeFileAtomic(path, predictions.map((one) => `${JSON.stringify(one)}\n`).join(""));
        out.notice(`${predictions.length} examples with their answers: ${path}`);
      }
      if (result.numTooLong > 0) {
        const share = `${result.numTooLong} of ${result.numExamples} prompts`;
        out.notice(`${share} do not fit into the context; they count as wrong.`);
      }
      out.result(result, render(result));
    } finally {
      model.dispose();
    }
  },
});

/**
 * Where the answers go: made ready before the first of them is asked for.
 *
 * @throws {ConfigError} if that is a directory.
 * @throws {EnvironmentError} if it cannot be made.
 */
function preparePlace(out: string, name: string): string {
  const path = out.endsWith(".jsonl") ? out : join(out, `${name}.jsonl`);
  if (existsSync(path) && statSync(path).isDirectory()) {
    throw new ConfigError({ where: "--out", expected: "a file", got: `the directory ${path}` });
  }
  withSystemErrors(path, "a place for a file", () => ensureDirectory(dirname(path)));
  return path;
}

function render(result: Omit<EvaluationResult, "predictions">): string {
  const { task, numExamples, numTraining, shots, scores, baselines, breakdown, programs } = result;
  const metrics = Object.keys(scores);
  const table = [
    ["", ...metrics],
    ["model", ...metrics.map((metric) => showInterval(scores[metric]!))],
    ...baselines.map(({ name, scores: theirs }) => [
      name,
      ...metrics.map((metric) => showInterval(theirs[metric]!)),
    ]),
  ];
  const counts = Object.entries(programs ?? {}).map(([status, count]) => `${count} ${status}`);
  return [
    `${task}: ${numExamples} examples, ${shots} shown, ${numTraining} training rows; 95 % of resamples lie in brackets`,
    "",
    ...align(table),
    ...(counts.length > 0 ? ["", `programs: ${counts.join(", ")}`] : []),
    ...(breakdown ? ["", ...align(rowsOf(breakdown))] : []),
  ].join("\n");
}

function rowsOf(parts: Scores): string[][] {
  return Object.entries(parts).map(([name, interval]) => [name, showInterval(interval)]);
}

function align(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

/** The value, and the 95 % interval in brackets. */
function showInterval({ value, low, high }: Interval): string {
  return `${showNumber(value)} [${showNumber(low)}, ${showNumber(high)}]`;
}

function showNumber(value: number): string {
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(3);
}
