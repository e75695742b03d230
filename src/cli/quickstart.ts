import { existsSync, rmSync } from "node:fs";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { Engine } from "../engine/engine.ts";
import { RIVAL_TITLES, type TaskAdaptation } from "../recipes/adapt-to-task.ts";
import {
  QUICKSTART_DIRECTORY,
  type QuickstartResult,
  quickstart as runQuickstart,
  TRAINING_SECONDS,
} from "../recipes/quickstart.ts";
import { sayVerdict } from "../recipes/rivalry-page.ts";
import { figureOf, isBetter } from "../train/quality.ts";
import { formatSi } from "../train/report/quantities.ts";
import { acquireRunLock } from "../train/run-lock.ts";
import { commandName } from "./command-name.ts";
import { integer, text } from "./flag-specs.ts";
import { describeMachine, readMachine } from "./machine.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth quickstart`: the whole story in minutes, without arguments. */
export const quickstart: Verb = defineVerb({
  name: "quickstart",
  summary: "pretrain a small model on text found here, then adapt it, in under 5 minutes",
  positionals: [],
  flags: {
    out: text({
      describe: "directory for the run; default runs/quickstart, made anew each time",
      placeholder: "DIR",
    }),
    seconds: integer({
      describe: "time for the training itself",
      min: 5,
      max: 3600,
      fallback: TRAINING_SECONDS,
    }),
  },
  example: "plinth quickstart",
  run: async ({ flags, out, signal }) => {
    const directory = flags.out ?? QUICKSTART_DIRECTORY;
    // Only the default place is the quickstart's own to clear; a directory the user names is theirs.
    if (flags.out === undefined && existsSync(directory)) clearOldRun(directory);
    const display = out.openDisplay();
    const result = await runQuickstart({
      engine: new Engine(),
      directory,
      machine: describeMachine(readMachine()),
      command: commandName(),
      from: dirname(fileURLToPath(import.meta.url)),
      trainingSeconds: flags.seconds,
      onNotice: (line) => out.notice(line),
      onEvent: (event) => display.handle(event),
      signal,
    });
    const { best, baselines, completions, reason, seconds, adaptation } = result;
    out.result(
      {
        reason,
        seconds,
        best,
        baselines,
        completions,
        model: result.modelDirectory,
        report: result.reportPath,
        ...(adaptation && { adaptation: describeAdaptation(adaptation) }),
      },
      summarize(result),
    );
  },
});

/** The comparison without weights and curves. */
function describeAdaptation({ rivalry, baselines, task, adapterDirectory, pagePath }: TaskAdaptation) {
  const costs = (rival: "adapted" | "scratch") => {
    const { best, trainedParameters, bytes } = rivalry[rival];
    return { ...best, trainedParameters, bytes };
  };
  return {
    ...{ kinds: task.kinds, training: task.training.length, heldOut: task.heldOut.length },
    ...{ adapted: costs("adapted"), scratch: costs("scratch"), saving: rivalry.saving, baselines },
    ...{ adapter: adapterDirectory, report: pagePath },
  };
}

/** @throws {EnvironmentError} if another process is at work there: only what is finished or dead is cleared. */
function clearOldRun(directory: string): void {
  acquireRunLock(directory).release();
  rmSync(directory, { recursive: true });
}

function summarize(result: QuickstartResult): string {
  const { completions, best, baselines, seconds, modelDirectory, reportPath, reason, adaptation } = result;
  const [baseline] = baselines;
  const shown = completions.map(
    ({ kind, prompt, text }) => `— ${kind} —\n${prompt}\u2502${text.trimEnd()}\n`,
  );
  const command = commandName();
  const model = relative(process.cwd(), modelDirectory);
  const saved = reason === "stopped" ? "" : `model    ${model}\n`;
  const verdict = isBetter(best, baseline) ? "The model is ahead." : "Counting is ahead: it takes longer.";
  return `
${shown.join("\n")}
bits per byte on text it never saw (8 is a uniform guess, lower is better)
  this model, ${Math.round(seconds)} s of training   ${figureOf(best, 3).value}
  ${baseline.label}, counted         ${figureOf(baseline, 3).value}
  ${verdict}

${adaptation ? compareInTable(adaptation) : ""}${saved}report   ${relative(process.cwd(), reportPath)}
${adaptation ? `adapter  ${relative(process.cwd(), adaptation.adapterDirectory)}\n` : ""}
next
  ${command} generate ${model} --prompt "import " --max-tokens 100
  ${command} score ${model} --text "The quick brown fox"
  ${command} pretrain mistral-tiny --data YOUR_FILES --out runs/mine
`;
}

/** Both rivals where their held-out loss was lowest, the simple means, and who was better. */
function compareInTable({ rivalry, baselines, task, pagePath }: TaskAdaptation): string {
  const rows = (["adapted", "scratch"] as const).map((rival) => {
    const { best, trainedParameters, bytes } = rivalry[rival];
    return [
      RIVAL_TITLES[rival],
      percent(best.value),
      best.lossNats.toFixed(3),
      formatSi(best.flops, "FLOP"),
      `${best.seconds.toFixed(1)} s`,
      formatSi(trainedParameters, ""),
      formatSi(bytes, "B"),
    ];
  });
  const simple = baselines.map(({ label, accuracy }) => [label, percent(accuracy)]);
  const header = ["", "right", "loss", "arithmetic", "time", "trained", "on disk"];
  const { kinds, training, heldOut } = task;
  return `a few lines of a file → its kind, one of ${kinds.length}: ${heldOut.length} pieces of packages that neither has seen,
${training.length} to learn from; each where its held-out loss was lowest
${alignColumns([header, ...rows, ...simple])}
  ${sayVerdict(rivalry)}
  both curves  ${relative(process.cwd(), pagePath)}

`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** The first column to the left, figures to the right. */
function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");
  return rows.map((row) => `  ${line(row).trimEnd()}`).join("\n");
}
