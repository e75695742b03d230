import { ConfigError, DataError } from "../core/errors.ts";
import { readJsonLines } from "./json-lines.ts";
import { type ListOptions, listFiles, type SkipListener, type SourceFile } from "./list-files.ts";
import { findBinary, readTextPieces } from "./text-file.ts";

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
