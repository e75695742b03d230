import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../../core/errors.ts";
import { writeFileAtomic } from "../../hub/atomic-write.ts";
import { figureOf } from "../../train/quality.ts";
import { formatDuration, formatSi } from "../../train/report/quantities.ts";
import { checkRunDirectory } from "../run-directory.ts";
import { type AdaptOptions, type AdaptResult, adapt } from "./adapt.ts";
import { readAdaptRecipe } from "./adapt-recipe.ts";

/** Values that settings take in one run of a sweep, by `section.key`. */
export type GridPoint = Readonly<Record<string, string | number | boolean>>;

/** One run of a sweep. */
export interface SweepEntry {
  readonly point: GridPoint;
  readonly directory: string;
  readonly result: AdaptResult;
  /** The one with the lowest held-out loss. */
  readonly isBest: boolean;
}

/** Most runs of a sweep. */
const MAX_RUNS = 256;

/** What a finished sweep leaves in its directory. */
const TABLE_FILE = "sweep.txt";

/**
 * Every combination of the values that settings are to take.
 *
 * @throws {ConfigError} if a word is not `section.key=value,value…`, names a setting twice, or there are too many combinations.
 * @example
 * parseGrid(["train.steps=10,20", "lora.rank=4,8"]).length; // => 4
 */
export function parseGrid(words: readonly string[]): GridPoint[] {
  let points: GridPoint[] = [{}];
  for (const word of words) {
    const at = word.indexOf("=");
    const key = word.slice(0, Math.max(0, at));
    const values = word.slice(at + 1).split(",");
    const isTwice = new Set(values).size < values.length || Object.hasOwn(points[0]!, key);
    if (!/^\w+\.\w+$/.test(key) || values.includes("") || isTwice) {
      const expected = "section.key=value,value…, each setting once, and each of its values";
      throw new ConfigError({ where: "sweep", expected, got: `"${word}"` });
    }
    points = points.flatMap((point) => values.map((value) => ({ ...point, [key]: readValue(value) })));
    if (points.length > MAX_RUNS) {
      const got = `${points.length} or more`;
      throw new ConfigError({ where: "sweep", expected: `at most ${MAX_RUNS} combinations`, got });
    }
  }
  return points;
}

function readValue(text: string): string | number | boolean {
  if (text === "true" || text === "false") return text === "true";
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
}

/**
 * Runs an adaptation for each point of a grid, one after the other, in folders below the directory. With `resume`, runs that had begun
 * go on and finished ones are kept. It ends early where `signal` stops a run.
 *
 * @throws as `adapt`
 */
export async function runSweep(
  options: AdaptOptions,
  grid: readonly GridPoint[],
  onRun: (point: GridPoint, index: number) => void = () => {},
): Promise<SweepEntry[]> {
  // A value that cannot be, or a folder in use, is found before the first run, not after hours of others.
  const settingsOf = (point: GridPoint) => withPoint(options.settings ?? {}, point);
  for (const point of grid) {
    const { recipe } = readAdaptRecipe(options.task, options.method, settingsOf(point), options.base);
    const directory = join(options.directory, folderOf(point));
    checkRunDirectory(directory, recipe, (options.resume ?? false) && hasBegun(directory));
  }
  const runs: Omit<SweepEntry, "isBest">[] = [];
  for (const [index, point] of grid.entries()) {
    const directory = join(options.directory, folderOf(point));
    onRun(point, index);
    const resume = (options.resume ?? false) && hasBegun(directory);
    const result = await adapt({ ...options, directory, settings: settingsOf(point), resume });
    runs.push({ point, directory, result });
    if (result.reason === "stopped") break;
  }
  const best = runs.reduce((a, b) => (b.result.best.lossNats < a.result.best.lossNats ? b : a));
  const entries = runs.map((run) => ({ ...run, isBest: run === best }));
  writeFileAtomic(join(options.directory, TABLE_FILE), `${sweepTable(entries)}\n`);
  return entries;
}

function hasBegun(directory: string): boolean {
  return existsSync(join(directory, "checkpoints"));
}

/** A folder's name for a point: the last words of its settings. */
function folderOf(point: GridPoint): string {
  const words = Object.entries(point).map(([key, value]) => `${key.split(".")[1]}=${value}`);
  return words.join(",").replace(/[^\w.,=+-]/g, "_");
}

function withPoint(settings: Readonly<Record<string, object>>, point: GridPoint) {
  const result: Record<string, object> = { ...settings };
  for (const [name, value] of Object.entries(point)) {
    const [section, key] = name.split(".") as [string, string];
    result[section] = { ...result[section], [key]: value };
  }
  return result;
}

/** The runs of a sweep as lines, losses and qualities of what was held out, the best run marked. */
export function sweepTable(entries: readonly SweepEntry[]): string {
  const keys = Object.keys(entries[0]?.point ?? {});
  const head = ["", ...keys, "loss", "quality", "trained", "time"];
  const rows = entries.map(({ point, result, isBest }) => {
    const { value, unit } = figureOf(result.best, 3);
    return [
      isBest ? "*" : "",
      ...keys.map((key) => `${point[key]}`),
      result.best.lossNats.toFixed(4),
      `${value} ${unit}`,
      formatSi(result.trainedParameters, ""),
      formatDuration(result.seconds),
    ];
  });
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
