import { existsSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Engine } from "../engine/engine.ts";
import type { TaskAdaptation } from "../recipes/adapt-to-task.ts";
import {
  QUICKSTART_DIRECTORY,
  quickstart as runQuickstart,
  TRAINING_SECONDS,
} from "../recipes/quickstart.ts";
import { acquireRunLock } from "../train/run-lock.ts";
import { commandName } from "./command-name.ts";
import { integer, text } from "./flag-specs.ts";
import { describeMachine, readMachine } from "./machine.ts";
import { summarizeQuickstart } from "./quickstart-summary.ts";
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
      summarizeQuickstart(result, commandName()),
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
