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

/** No file may be most of what is held out. */
const MAX_FILE_BYTES = 60_000;
const MIN_FILE_BYTES = 500;

/** No package may be most of what is read. */
const MAX_PACKAGE_SHARE = 0.1;

/** Longer average lines mean a bundle or a data table: nothing a person wrote. */
const MAX_LINE_LENGTH = 110;

/** Folders that hold one form of a package's files. */
const FORM = /^(src|lib|dist|build|out|es|esm|cjs|umd|types\d*|typings|node|browser|commonjs|module)$/;

/** What generators write at the top of their files. */
const GENERATED = /@generated|\bgenerated (by|from|code|using)|do not (edit|modify)/i;

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
  const works = new Set<string>();
  const bytesOf = new Map<string, number>();
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
      const work = workOf(path);
      if (works.has(work) || size < MIN_FILE_BYTES || size > MAX_FILE_BYTES || !isWritten(path)) continue;
      const name = packageOf(path);
      const ofPackage = (bytesOf.get(name) ?? 0) + size;
      if (ofPackage > MAX_PACKAGE_SHARE * enoughBytes) continue;
      bytesOf.set(name, ofPackage);
      works.add(work);
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

/**
 * What a file is a form of: packages ship their sources, what is compiled from them, and declarations of that, and a package may be
 * there in several versions. Held-out text of which another form was trained on would be no test.
 */
export function workOf(path: string): string {
  const name = packageOf(path);
  const parts = inPackages(path).slice(name.length).split("/");
  const stem = parts.at(-1)!.replace(/(\.d)?\.[cm]?[jt]s$/, "");
  const folder =
    parts
      .slice(0, -1)
      .filter((part) => part !== "" && !FORM.test(part))
      .at(-1) ?? "";
  return [name, folder, stem].join("/");
}

/** The name of the package that a file is in. */
function packageOf(path: string): string {
  return /^(@[^/]*\/)?[^/]*/.exec(inPackages(path))![0];
}

/** A path from the last `node_modules` on. */
function inPackages(path: string): string {
  return path.replaceAll("\\", "/").split("/node_modules/").at(-1)!;
}

function isWritten(path: string): boolean {
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n").length;
  const isText = !text.includes("\0") && !text.includes("\ufffd");
  return isText && text.length / lines <= MAX_LINE_LENGTH && !GENERATED.test(text.slice(0, 600));
}
