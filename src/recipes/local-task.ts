import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { globSync } from "tinyglobby";
import { DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import type { Instruction } from "../data/rows/examples.ts";
import type { Row } from "../data/rows/load-examples.ts";
import { ownerOf, packageOf, readWritten, spread } from "./installed-packages.ts";

/** Kinds of files by the ends of their names; the first that matches counts. */
const KINDS = [
  { label: "md", matches: /\.(md|markdown)$/i },
  { label: "d.ts", matches: /\.d\.[cm]?ts$/ },
  { label: "ts", matches: /\.[cm]?ts$/ },
  { label: "js", matches: /\.[cm]?js$/ },
  { label: "json", matches: /\.json$/ },
] as const;

const PATTERNS = ["**/*.{md,markdown,ts,mts,cts,js,mjs,cjs,json}"];

/** Minified files, and licences, of which there are few different ones. */
const IGNORED = ["**/*.min.*", "**/{LICENSE,LICENCE,COPYING,license,licence}*", "**/README.*.md"];

/** A few lines, from anywhere in a file. No more than one piece a file, and few of a package. */
const PIECE_BYTES = 220;
const MIN_PIECE_BYTES = 120;
const MAX_OF_PACKAGE = 8;
const MAX_FILE_BYTES = 200_000;

/** Of each kind, on either side of the split. A kind of which there is less is left out. */
const SIDES = {
  training: { enough: 100, least: 16 },
  heldOut: { enough: 48, least: 8 },
} as const;

/** Share of the owners of packages that are held out. */
const HELD_OUT_SHARE = 0.25;

/** Ends where the answer begins with a token of its own, in words that texts about files have. */
const ENDING = "\n\nFile: index.";

type Side = keyof typeof SIDES;

/** A piece of a file and what is asked about it. */
export type TaskRow = Row<Instruction> & { readonly group: string };

/** A supervised task found on this machine. */
export interface LocalTask {
  readonly kinds: readonly string[];
  readonly training: readonly TaskRow[];
  readonly heldOut: readonly TaskRow[];
}

/** Whether the task keeps what is in this package to be judged by; then nothing else may learn from it either. */
export function isKeptForTask(path: string): boolean {
  return createHash("sha256").update(ownerOf(path)).digest()[0]! < 256 * HELD_OUT_SHARE;
}

/**
 * A task with labels that nobody had to write: a few lines from anywhere in a file of an installed package, and how the name of such a file ends.
 * All packages of one owner are on one side of the split.
 *
 * @throws {DataError} if there are fewer than two kinds of which there is enough.
 */
export function findLocalTask(folders: readonly string[]): LocalTask {
  const files = folders.flatMap(listFiles);
  const rows = new Map(KINDS.map(({ label }) => [label as string, collect(files, label)]));
  const isEnough = (of: Record<Side, TaskRow[]>) =>
    (Object.keys(SIDES) as Side[]).every((side) => of[side].length >= SIDES[side].least);
  const chosen = [...rows].filter(([, of]) => isEnough(of));
  if (chosen.length < 2) {
    throw new DataError({
      where: "quickstart",
      expected: `pieces of at least two kinds of files under ${folders.join(", ")}`,
      got: chosen.length === 0 ? "none" : `${chosen[0]![0]} alone`,
      fix: "Run it where packages are installed.",
    });
  }
  const sideOf = (side: Side) => chosen.flatMap(([, of]) => of[side]);
  const training = sideOf("training");
  // Packages copy from each other: what was seen in training is no test.
  const seen = new Set(training.map(({ example }) => example.prompt));
  const heldOut = sideOf("heldOut").filter(({ example }) => !seen.has(example.prompt));
  return { kinds: chosen.map(([label]) => label), training, heldOut };
}

function collect(files: readonly string[], label: string): Record<Side, TaskRow[]> {
  const rows: Record<Side, TaskRow[]> = { training: [], heldOut: [] };
  const numOf = new Map<string, number>();
  const random = new Random(1).fork(label);
  for (const path of files.filter((file) => kindOf(file) === label)) {
    const side = isKeptForTask(path) ? "heldOut" : "training";
    const group = packageOf(path);
    const count = numOf.get(group) ?? 0;
    if (rows[side].length >= SIDES[side].enough || count >= MAX_OF_PACKAGE) continue;
    if (statSync(path).size > MAX_FILE_BYTES) continue;
    const piece = cutPiece(readWritten(path) ?? "", random);
    if (piece === undefined) continue;
    numOf.set(group, count + 1);
    rows[side].push({ example: { prompt: askKind(piece), completion: label }, where: path, group });
  }
  return rows;
}

function listFiles(folder: string): string[] {
  const options = { cwd: folder, absolute: true, ignore: IGNORED, followSymbolicLinks: false };
  return spread(globSync(PATTERNS, options).sort());
}

function kindOf(path: string): string | undefined {
  const name = path.split("/").at(-1)!;
  return KINDS.find(({ matches }) => matches.test(name))?.label;
}

/** Some bytes from the beginning of a random line on; absent: there was too little, or it is none that any tokenizer can spell. */
function cutPiece(text: string, random: Random): string | undefined {
  const starts = [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)];
  const possible = starts.filter((at) => text.length - at >= MIN_PIECE_BYTES);
  if (possible.length === 0) return undefined;
  const start = possible[random.integer(possible.length)]!;
  const piece = text.slice(start, start + PIECE_BYTES).trim();
  const bytes = Buffer.byteLength(piece);
  const isWhole = !/[\ud800-\udfff]/.test(piece);
  return isWhole && bytes >= MIN_PIECE_BYTES && bytes <= PIECE_BYTES ? piece : undefined;
}

/** The task without pieces that are longer, in a model's tokens, than it reads: a few lines of numbers or codes. */
export function keepFitting(task: LocalTask, fits: (example: Instruction) => boolean): LocalTask {
  const keep = (rows: readonly TaskRow[]) => rows.filter(({ example }) => fits(example));
  return { ...task, training: keep(task.training), heldOut: keep(task.heldOut) };
}

/** A piece of a file with the question about it. */
export function askKind(piece: string): string {
  return piece + ENDING;
}

/** The piece of file that a row asks about. */
export function pieceOf({ example }: TaskRow): string {
  return example.prompt.slice(0, -ENDING.length);
}

/** The kind of file that a row's piece is from. */
export function labelOf({ example }: TaskRow): string {
  return example.completion;
}
