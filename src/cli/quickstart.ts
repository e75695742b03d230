import { existsSync, rmSync } from "node:fs";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { Engine } from "../engine/engine.ts";
import {
  QUICKSTART_DIRECTORY,
  type QuickstartResult,
  quickstart as runQuickstart,
} from "../recipes/quickstart.ts";
import { figureOf } from "../train/quality.ts";
import { acquireRunLock } from "../train/run-lock.ts";
import { commandName } from "./command-name.ts";
import { integer, text } from "./flag-specs.ts";
import { describeMachine, readMachine } from "./machine.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth quickstart`: the whole story in minutes, without arguments. */
export const quickstart: Verb = defineVerb({
  name: "quickstart",
  summary: "pretrain a small model on text found here, in under 5 minutes",
  positionals: [],
  flags: {
    out: text({
      describe: "directory for the run; default runs/quickstart, made anew each time",
      placeholder: "DIR",
    }),
    seconds: integer({ describe: "time for the training itself", min: 5, max: 3600, fallback: 225 }),
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
    const { best, baselines, completions, reason, seconds } = result;
    out.result(
      {
        reason,
        seconds,
        best,
        baselines,
        completions,
        model: result.modelDirectory,
        report: result.reportPath,
      },
      summarize(result),
    );
  },
});

/** @throws {EnvironmentError} if another process is at work there: only what is finished or dead is cleared. */
function clearOldRun(directory: string): void {
  acquireRunLock(directory).release();
  rmSync(directory, { recursive: true });
}

function summarize({
  completions,
  best,
  baselines: [baseline],
  seconds,
  modelDirectory,
  reportPath,
  reason,
}: QuickstartResult) {
  const shown = completions.map(
    ({ kind, prompt, text }) => `— ${kind} —\n${prompt}\u2502${text.trimEnd()}\n`,
  );
  const command = commandName();
  const model = relative(process.cwd(), modelDirectory);
  const saved = reason === "stopped" ? "" : `model   ${model}\n`;
  return `
${shown.join("\n")}
bits per byte on text it never saw (8 is a uniform guess, lower is better)
  this model, ${Math.round(seconds)} s of training   ${figureOf(best, 3).value}
  ${baseline.label}, counted         ${figureOf(baseline, 3).value}

${saved}report  ${relative(process.cwd(), reportPath)}

next
  ${command} generate ${model} --prompt "import " --max-tokens 100
  ${command} score ${model} --text "The quick brown fox"
  ${command} pretrain mistral-tiny --data YOUR_FILES --out runs/mine
`;
}
