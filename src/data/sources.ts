import { type Dirent, readdirSync, type Stats, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { globSync, isDynamicPattern } from "tinyglobby";
import { ConfigError, DataError } from "../core/errors.ts";
import { readJsonLines } from "./json-lines.ts";
import { findBinary, readTextPieces, toDataError } from "./text-file.ts";

/** One body of text and its share of the mixture. */
export interface SourceSpec {
  /** Files, folders and globs, read in this order. */
  readonly paths: readonly string[];
  /** Relative share of training windows drawn from this source; any positive number. */
  readonly weight: number;
  /** The key of the text in `.jsonl` and `.ndjson` rows. */
  readonly textField: string;
}

/** One document: a file, a JSON row, or a piece of a very large file. */
export interface Document {
  readonly text: string;
  /** `path`, or `path:line` for a JSON row. */
  readonly source: string;
}

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

const WEIGHT_SUFFIX = /@([+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?)$/i;

/**
 * Reads the command-line form of a source, `path[,path…][@weight]`. Commas inside `{…}` belong to the glob,
 * and `@` counts only before a number at the very end, so `node_modules/@scope` is a path. A path that itself
 * ends in `@2` needs a weight after it.
 *
 * @throws {ConfigError} if a path is empty or the weight is not positive.
 * @example
 * parseSource("docs,src/*.{ts,md}@2"); // => { paths: ["docs", "src/*.{ts,md}"], weight: 2, textField: "text" }
 */
export function parseSource(text: string, textField = "text"): SourceSpec {
  const suffix = WEIGHT_SUFFIX.exec(text);
  const paths = splitOutsideBraces(suffix ? text.slice(0, suffix.index) : text);
  const weight = suffix ? Number(suffix[1]) : 1;
  if (paths.some((path) => path === "")) {
    throw new ConfigError({
      where: "data",
      expected: "path[,path…][@weight] with no path empty",
      got: `"${text}"`,
    });
  }
  const spec = { paths, weight, textField };
  checkSource(spec);
  return spec;
}

/** @throws {ConfigError} unless the source has a path, a positive weight and a text field. */
export function checkSource(spec: SourceSpec): void {
  if (spec.paths.length === 0) {
    throw new ConfigError({ where: "data", expected: "at least one path", got: "none" });
  }
  if (!(spec.weight > 0 && Number.isFinite(spec.weight))) {
    throw new ConfigError({
      where: `data ${spec.paths.join(",")}`,
      expected: "a weight above 0",
      got: `${spec.weight}`,
    });
  }
  if (spec.textField === "") {
    throw new ConfigError({ where: "textField", expected: "the name of a field", got: '""' });
  }
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

/**
 * Reads the documents of a source one at a time: each row of a `.jsonl` or `.ndjson` file, and any other file
 * as UTF-8 text. A text file above 4 Mi characters becomes several documents, cut at blank lines where there
 * are any, so memory stays bounded. A byte order mark is dropped; line ends stay as they are.
 *
 * A binary file (a NUL byte, or not UTF-8) is an error when named, and passed to `onSkip` when met in a folder
 * or by a glob.
 *
 * @throws {DataError} naming the file, and the line of a bad JSON row.
 */
export function* readDocuments(spec: SourceSpec, options: ListOptions = {}): Generator<Document> {
  for (const file of listFiles(spec, options)) {
    yield* readFileDocuments(file, spec.textField, options.onSkip);
  }
}

/** The documents of one listed file; see {@link readDocuments}. */
export function* readFileDocuments(
  file: SourceFile,
  textField: string,
  onSkip?: SkipListener,
): Generator<Document> {
  if (/\.(jsonl|ndjson)$/i.test(file.path)) {
    yield* readJsonLines(file.path, textField);
    return;
  }
  const binary = findBinary(file.path);
  if (binary === undefined) {
    for (const text of readTextPieces(file.path)) yield { text, source: file.path };
    return;
  }
  if (file.named) {
    throw new DataError({
      where: file.path,
      expected: "UTF-8 text",
      got: binary,
      fix: "Convert it to UTF-8, or leave it out.",
    });
  }
  onSkip?.(file.path, binary);
}

function splitOutsideBraces(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "{") depth++;
    else if (text[i] === "}") depth--;
    else if (text[i] === "," && depth <= 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
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
