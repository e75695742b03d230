import { type Dirent, readdirSync, type Stats, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { globSync, isDynamicPattern } from "tinyglobby";
import { DataError } from "../core/errors.ts";
import type { SourceSpec } from "./sources.ts";
import { toDataError } from "./text-file.ts";

/** A file that a source resolved to, with what tells whether it changed. */
export interface SourceFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  /** Written out by the caller, as opposed to met in a folder or by a glob. */
  readonly named: boolean;
}

/** Told of each file that was passed over, and why. */
export type SkipListener = (path: string, reason: string) => void;

/** How files are looked up and what is left out. */
export interface ListOptions {
  /** Files and folders to leave out when met in a folder or by a glob, such as the run's own output. */
  readonly exclude?: readonly string[];
  readonly onSkip?: SkipListener;
}

/**
 * The files of a source, each once, in reading order: paths as given, folders recursively in code-unit order.
 *
 * While walking a folder, and only then, `node_modules` and entries whose name starts with a dot are left out,
 * links to folders are not followed, and what is neither file nor folder is ignored; dangling links are
 * reported to `onSkip`. A path that exists is taken literally; otherwise it may be a glob.
 *
 * @throws {DataError} if a path is missing or unreadable, a glob matches nothing, or a folder holds no file.
 */
export function listFiles(spec: SourceSpec, options: ListOptions = {}): SourceFile[] {
  const excluded = new Set(options.exclude?.map((path) => resolve(path)));
  const isExcluded = (path: string) => excluded.has(resolve(path));
  const files = new Map<string, SourceFile>();
  for (const path of spec.paths) {
    for (const file of filesAt(path, isExcluded, options.onSkip)) {
      const key = resolve(file.path);
      // A file named by the caller stays "named" even when a folder met it first.
      if (!files.has(key) || file.named) files.set(key, file);
    }
  }
  return [...files.values()];
}

function filesAt(path: string, isExcluded: (path: string) => boolean, onSkip?: SkipListener): SourceFile[] {
  const stats = statIfExists(path);
  if (stats?.isFile()) return [toSourceFile(path, stats, true)];
  if (stats && !stats.isDirectory()) {
    throw new DataError({ where: path, expected: "a file, folder or glob", got: "a device, pipe or socket" });
  }
  if (!stats && !isDynamicPattern(path)) {
    throw new DataError({ where: path, expected: "a file, folder or glob", got: "no such file or folder" });
  }
  const files = stats ? [...walk(path, isExcluded, onSkip)] : matchGlob(path, isExcluded);
  if (files.length === 0) {
    throw new DataError({
      where: path,
      expected: stats ? "a folder with files to read" : "a glob that matches files",
      got: "none",
      ...(stats && {
        fix: "node_modules and hidden entries inside a folder are left out; name them to read them.",
      }),
    });
  }
  return files;
}

function* walk(
  folder: string,
  isExcluded: (path: string) => boolean,
  onSkip?: SkipListener,
): Generator<SourceFile> {
  for (const entry of readFolder(folder)) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith(".") || entry.name === "node_modules" || isExcluded(path)) continue;
    if (entry.isDirectory()) {
      yield* walk(path, isExcluded, onSkip);
    } else if (entry.isFile() || entry.isSymbolicLink()) {
      const stats = statIfExists(path);
      if (stats?.isFile()) yield toSourceFile(path, stats, false);
      else if (!stats) onSkip?.(path, "a dangling link");
    }
  }
}

function readFolder(folder: string): Dirent[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    throw toDataError(folder, cause);
  }
}

function matchGlob(pattern: string, isExcluded: (path: string) => boolean): SourceFile[] {
  const files: SourceFile[] = [];
  for (const path of globSync(pattern, { onlyFiles: true, expandDirectories: false }).sort()) {
    const stats = statIfExists(path);
    if (stats?.isFile() && !isExcluded(path)) files.push(toSourceFile(path, stats, false));
  }
  return files;
}

function statIfExists(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw toDataError(path, cause);
  }
}

function toSourceFile(path: string, stats: Stats, named: boolean): SourceFile {
  return { path, sizeBytes: stats.size, mtimeMs: stats.mtimeMs, named };
}
