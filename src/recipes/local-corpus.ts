import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { globSync } from "tinyglobby";
import { DataError } from "../core/errors.ts";
import type { SourceSpec } from "../data/sources.ts";

/** What is looked for, and how much of it is enough for a few minutes of training. */
const KINDS = [
  { label: "documentation", patterns: ["**/*.md", "**/*.markdown", "**/*.txt"], enoughBytes: 3_000_000 },
  {
    label: "source code",
    patterns: ["**/*.ts", "**/*.mts", "**/*.js", "**/*.mjs", "**/*.cjs"],
    enoughBytes: 3_000_000,
  },
] as const;

const MAX_FILE_BYTES = 200_000;
const MIN_FILE_BYTES = 500;

/** Longer average lines mean a bundle or a data table: nothing a person wrote. */
const MAX_LINE_LENGTH = 110;

/** Text found on this machine. */
export interface LocalCorpus {
  readonly sources: readonly SourceSpec[];
  readonly found: readonly { readonly label: string; readonly files: number; readonly bytes: number }[];
  readonly folders: readonly string[];
}

/**
 * Real text that every machine with Plinth on it has: the documentation and source code of the installed packages and
 * of npm itself. Generated and minified files are left out. No network.
 *
 * @throws {DataError} if the machine has too little of it.
 */
export function findLocalCorpus(from: string): LocalCorpus {
  const folders = packageFolders(from);
  const chosen = KINDS.map((kind) => ({ ...kind, ...collect(folders, kind.patterns, kind.enoughBytes) }));
  const thin = chosen.find(({ bytes }) => bytes < 200_000);
  if (thin) {
    throw new DataError({
      where: "quickstart",
      expected: `at least 200 kB of ${thin.label} under ${folders.join(", ") || from}`,
      got: `${thin.bytes} bytes`,
      fix: "Run it where packages are installed, or use plinth pretrain with --data.",
    });
  }
  return {
    sources: chosen.map(({ paths }) => ({ paths, weight: 1, textField: "text" })),
    found: chosen.map(({ label, paths, bytes }) => ({ label, files: paths.length, bytes })),
    folders,
  };
}

/** Every `node_modules` from here up, and the one npm lives in. */
function packageFolders(from: string): string[] {
  const folders: string[] = [];
  for (let at = resolve(from); ; at = dirname(at)) {
    folders.push(join(at, "node_modules"));
    if (dirname(at) === at) break;
  }
  folders.push(resolve(dirname(process.execPath), "..", "lib", "node_modules"));
  return [...new Set(folders)].filter((folder) => existsSync(folder));
}

function collect(folders: readonly string[], patterns: readonly string[], enoughBytes: number) {
  const paths: string[] = [];
  let bytes = 0;
  for (const folder of folders) {
    const found = globSync([...patterns], {
      cwd: folder,
      absolute: true,
      // Translated READMEs repeat the English one in scripts that a small vocabulary cannot spell.
      ignore: ["**/*.min.*", "**/LICENSE*", "**/license*", "**/README.*.md"],
      followSymbolicLinks: false,
    });
    for (const path of spread(found.sort())) {
      if (bytes >= enoughBytes) return { paths, bytes };
      const { size } = statSync(path);
      if (size < MIN_FILE_BYTES || size > MAX_FILE_BYTES || !isWritten(path)) continue;
      paths.push(path);
      bytes += size;
    }
  }
  return { paths, bytes };
}

/** The list in an order that takes some of every package before much of any: by a fixed stride over the sorted paths. */
function spread(paths: readonly string[]): string[] {
  const stride = 97;
  return Array.from({ length: stride }, (_, start) => paths.filter((_, i) => i % stride === start)).flat();
}

function isWritten(path: string): boolean {
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n").length;
  return text.length / lines <= MAX_LINE_LENGTH && !text.includes("\0") && !text.includes("\ufffd");
}
