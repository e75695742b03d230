import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** Longer average lines mean a bundle or a data table: nothing a person wrote. */
const MAX_LINE_LENGTH = 110;

/** What generators write at the top of their files. */
const GENERATED = /@generated|\bgenerated (by|from|code|using)|do not (edit|modify)/i;

/** Every `node_modules` from here up, and the one npm lives in. */
export function packageFolders(from: string): string[] {
  const folders: string[] = [];
  for (let at = resolve(from); ; at = dirname(at)) {
    folders.push(join(at, "node_modules"));
    if (dirname(at) === at) break;
  }
  folders.push(resolve(dirname(process.execPath), "..", "lib", "node_modules"));
  return [...new Set(folders)].filter((folder) => existsSync(folder));
}

/** The name of the package that a file is in. */
export function packageOf(path: string): string {
  return /^(@[^/]*\/)?[^/]*/.exec(inPackages(path))![0];
}

/** Who made the package that a file is in: its scope, else the package itself. Packages of one scope resemble each other. */
export function ownerOf(path: string): string {
  return packageOf(path).split("/")[0]!;
}

/** A path from the last `node_modules` on. */
export function inPackages(path: string): string {
  return path.replaceAll("\\", "/").split("/node_modules/").at(-1)!;
}

/** The text of a file that a person wrote; absent: it is binary, minified or generated. */
export function readWritten(path: string): string | undefined {
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n").length;
  const isText = !text.includes("\0") && !text.includes("\ufffd");
  const isWritten = text.length / lines <= MAX_LINE_LENGTH && !GENERATED.test(text.slice(0, 600));
  return isText && isWritten ? text : undefined;
}

/** The list in an order that takes some of every package before much of any: by a fixed stride over the sorted paths. */
export function spread(paths: readonly string[]): string[] {
  const stride = 97;
  return Array.from({ length: stride }, (_, start) => paths.filter((_, i) => i % stride === start)).flat();
}
