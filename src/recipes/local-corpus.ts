import { statSync } from "node:fs";
import { globSync } from "tinyglobby";
import { DataError } from "../core/errors.ts";
import type { SourceSpec } from "../data/sources.ts";
import { inPackages, packageFolders, packageOf, readWritten, spread } from "./installed-packages.ts";

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

/** Folders that hold one form of a package's files. */
const FORM = /^(src|lib|dist|build|out|es|esm|cjs|umd|types\d*|typings|node|browser|commonjs|module)$/;

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
 * @param leaveOut says of a path that it is kept for something else
 * @throws {DataError} if the machine has too little of it.
 */
export function findLocalCorpus(
  from: string,
  leaveOut: (path: string) => boolean = () => false,
): LocalCorpus {
  const folders = packageFolders(from);
  const chosen = KINDS.map((kind) => ({ ...kind, ...collect(folders, kind, leaveOut) }));
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

function collect(
  folders: readonly string[],
  { patterns, enoughBytes }: (typeof KINDS)[number],
  leaveOut: (path: string) => boolean,
) {
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
      if (leaveOut(path)) continue;
      const { size } = statSync(path);
      const work = workOf(path);
      if (works.has(work) || size < MIN_FILE_BYTES || size > MAX_FILE_BYTES || !readWritten(path)) continue;
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
