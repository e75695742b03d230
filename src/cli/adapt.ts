import { ConfigError } from "../core/errors.ts";
import type { LoadOptions } from "../data/rows/load-examples.ts";
import { parseFieldMapping } from "../data/rows/row-fields.ts";
import { Engine } from "../engine/engine.ts";
import { checkMemory } from "../plan/check-memory.ts";
import { type AdaptOptions, type AdaptResult, adapt as runAdaptation } from "../recipes/adapt/adapt.ts";
import type { AdaptInput } from "../recipes/adapt/adapt-recipe.ts";
import { METHODS } from "../recipes/adapt/methods.ts";
import { parseGrid, runSweep, sweepTable } from "../recipes/adapt/sweep.ts";
import type { DataSources } from "../recipes/adapt/task.ts";
import { TASKS } from "../recipes/adapt/tasks.ts";
import { applySettings } from "../recipes/recipe.ts";
import { figureOf, type Quality, showQuality } from "../train/quality.ts";
import { commandName } from "./command-name.ts";
import {
  boolean,
  choice,
  integer,
  list,
  model,
  required,
  type SettingValue,
  settings,
  text,
} from "./flag-specs.ts";
import { describeMachine, readMachine } from "./machine.ts";
import { MODEL_ARGUMENT, MODEL_FLAGS, modelDirectory } from "./model-argument.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth adapt`: a base model made good at one task. */
export const adapt: Verb = defineVerb({
  name: "adapt",
  summary: "specialise a base model for a task, cheaply",
  positionals: [MODEL_ARGUMENT],
  flags: {
    task: required(choice(Object.keys(TASKS), { describe: describeTable("what it is to learn", TASKS) })),
    method: choice(Object.keys(METHODS), {
      describe: describeTable("how much of it is trained", METHODS),
      fallback: "lora",
    }),
    data: required(
      list({
        describe: "files, folders or globs of examples: .jsonl, .json, .csv, .tsv, .parquet, .txt",
        placeholder: "PATH…",
      }),
    ),
    validation: list({
      describe: "files of examples held out, or the share of --data to hold out; default 0.1",
      placeholder: "PATH…|SHARE",
    }),
    field: list({
      describe: "which column holds a field, e.g. prompt=question; dots lead into objects",
      placeholder: "FIELD=COLUMN…",
    }),
    each: text({
      describe: "a column with lists of objects, each an example of its own",
      placeholder: "COLUMN",
    }),
    group: text({
      describe: "rows that agree in this column stay on one side of the split",
      placeholder: "COLUMN",
    }),
    teacher: model({
      describe: `a larger decoder with the same tokenizer to learn from, too (${taughtTasks()}); see distill.weight, .temperature, .topK`,
    }),
    out: required(text({ describe: "directory for everything the run makes", placeholder: "DIR" })),
    set: settings({ describe: "change settings, e.g. train.steps=300 lora.rank=16 data.longRows=truncate" }),
    sweep: list({
      describe: "a run for each combination, e.g. train.learningRate=1e-3,3e-4 lora.rank=4,8",
      placeholder: "KEY=A,B…",
    }),
    checkMemory: MODEL_FLAGS.checkMemory,
    resume: boolean({ describe: "continue from the newest checkpoint" }),
    threads: integer({ describe: "threads for the arithmetic; default: all cores", min: 1 }),
  },
  example: "plinth adapt runs/first --task instruct --data qa.jsonl --field completion=answer --out runs/qa",
  run: async ({ positionals: [word], flags, out, signal }) => {
    const base = modelDirectory(word!);
    // A base that qlora quantises is read a matrix at a time, and never held whole.
    if (flags.checkMemory && flags.method !== "qlora") checkMemory(base);
    const teacher = flags.teacher === undefined ? undefined : modelDirectory(flags.teacher);
    if (flags.checkMemory && teacher !== undefined) checkMemory(teacher);
    const display = out.openDisplay();
    const options: AdaptOptions = {
      engine: new Engine(flags.threads === undefined ? {} : { threads: flags.threads }),
      base,
      baseName: word!,
      ...{ task: flags.task, method: flags.method, resume: flags.resume, directory: flags.out, signal },
      checkMemory: flags.checkMemory,
      ...readData({ ...flags, teacher }),
      machine: describeMachine(readMachine()),
      command: commandName(),
      onEvent: (event) => display.handle(event),
    };
    if (flags.sweep.length === 0) {
      const result = await runAdaptation(options);
      out.result(summaryOf(result), describeResult(result));
      return;
    }
    const grid = parseGrid(flags.sweep);
    const entries = await runSweep(options, grid, (point, index) => {
      out.notice(`run ${index + 1} of ${grid.length}: ${JSON.stringify(point)}`);
    });
    const value = entries.map(({ point, directory, isBest, result }) => ({
      ...{ point, directory, isBest },
      ...summaryOf(result),
    }));
    const best = entries.find(({ isBest }) => isBest)!;
    out.result(value, [sweepTable(entries), "", ...describePlaces(best.result)].join("\n"));
  },
});

function describeTable(what: string, table: Readonly<Record<string, { readonly summary: string }>>): string {
  const lines = Object.entries(table).map(([name, { summary }]) => `${name} (${summary})`);
  return `${what}: ${lines.join("; ")}`;
}

/** Those that can have a teacher. */
function taughtTasks(): string {
  const tasks = Object.values(TASKS).filter(({ canBeTaught }) => canBeTaught);
  return tasks.map(({ name }) => name).join(", ");
}

interface DataFlags {
  readonly data: readonly string[];
  readonly validation: readonly string[];
  readonly field: readonly string[];
  readonly each: string | undefined;
  readonly group: string | undefined;
  readonly set: Readonly<Record<string, SettingValue>>;
  /** Its directory. */
  readonly teacher: string | undefined;
}

/** Where examples come from; a share to hold out is a setting, and so is a teacher. */
function readData(flags: DataFlags): { readonly data: DataSources; readonly settings: AdaptInput } {
  const { data: paths, validation, field, each, group, teacher } = flags;
  const reading: Omit<LoadOptions, "paths"> = {
    mapping: parseFieldMapping(field),
    ...(each !== undefined && { each }),
    ...(group !== undefined && { groupBy: group }),
  };
  const share =
    validation.length === 1 && /^[\d.]+(e-?\d+)?$/i.test(validation[0]!) ? validation[0] : undefined;
  const { set } = flags;
  if (share !== undefined) refuseSecond(set, "--validation", "share", "data.validationShare");
  if (teacher !== undefined) refuseSecond(set, "--teacher", "teacher", "distill.teacher");
  const held = share === undefined && validation.length > 0 ? { ...reading, paths: validation } : undefined;
  const all = {
    ...set,
    ...(share !== undefined && { "data.validationShare": Number(share) }),
    ...(teacher !== undefined && { "distill.teacher": teacher }),
  };
  return {
    data: { training: { ...reading, paths }, ...(held && { validation: held }) },
    settings: applySettings({}, all) as AdaptInput,
  };
}

/** @throws {ConfigError} if what a flag says is set as well. */
function refuseSecond(set: DataFlags["set"], flag: string, what: string, key: string): void {
  if (!Object.hasOwn(set, key)) return;
  throw new ConfigError({
    where: flag,
    expected: `the ${what} once`,
    got: `a second one by --set ${key}`,
  });
}

function summaryOf(result: AdaptResult) {
  const { best, judged = null, baselines, costs, reason, step, seconds, reportPath } = result;
  const directory = reason === "stopped" ? null : result.resultDirectory;
  const { rows: _, ...numbers } = costs ?? { rows: [] };
  return {
    ...{ reason, step, seconds, best, judged, baselines },
    costs: numbers,
    directory,
    report: reportPath,
  };
}

/** Room for the word that a line begins with. */
const INDENT = 8;

function describeResult({ best, baselines, judged, costs, ...places }: AdaptResult): string {
  const isNew = judged && showQuality(judged, 3) !== showQuality(best, 3);
  const labels = costs?.rows.map(({ label }) => label.length) ?? [];
  const rows = (costs?.rows ?? []).map(
    ({ label, value, base }) => `${label.padEnd(Math.max(...labels))}  ${value}${base ? ` of ${base}` : ""}`,
  );
  return [
    ...under("best", describeQuality(best, ` at step ${best.step}`)),
    ...(isNew ? under("judged", describeQuality(judged)) : []),
    ...under(
      "against",
      baselines.map((one) => `${figureOf(one, 3).value}  ${one.label}`),
    ),
    ...under("cost", rows),
    ...describePlaces(places),
  ].join("\n");
}

/** The first figure in a line of its own, what else was measured below. */
function describeQuality(quality: Quality, where = ""): readonly string[] {
  const [first, ...others] = showQuality(quality, 3).split(", ");
  return [`${first}${where}`, ...(others.length > 0 ? [others.join(", ")] : [])];
}

/** Where things are, and what to type next. */
function describePlaces({
  reason,
  step,
  resultDirectory,
  reportPath,
  nextCommands,
}: Pick<
  AdaptResult,
  "reason" | "step" | "resultDirectory" | "reportPath" | "nextCommands"
>): readonly string[] {
  const report = under("report", [reportPath]);
  if (reason === "stopped") return [`stopped at step ${step}; go on with --resume`, ...report];
  const next = nextCommands.map((words) => `${commandName()} ${words}`);
  return [...under("result", [resultDirectory]), ...report, ...under("next", next)];
}

/** Lines below each other, the first one behind a word. */
function under(word: string, lines: readonly string[]): readonly string[] {
  return lines.map((line, i) => `${(i === 0 ? word : "").padEnd(INDENT)}${line}`);
}
