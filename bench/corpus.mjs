/** Real text to measure tokenizers with: books, documentation and source code that are on this machine already. */
import { isUtf8 } from "node:buffer";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");

/** The project's data, beside the repository; absent elsewhere. */
export const SHARED_DATA = resolve(ROOT, "../shared/data");

const MAX_FILE_BYTES = 2_000_000;
const WRITTEN_BY_PEOPLE = /(?<!\.min)\.(md|txt|[cm]?[jt]s)$/;

/**
 * Text of exactly `bytes` bytes (less a cut character) to train on, and as much other text to encode: of all
 * files found, sorted by path, every second one.
 *
 * @returns {{ train: string, other: string, description: string }}
 */
export function gatherText(bytes) {
  const folders = [
    ...["books", "tinyshakespeare"].map((name) => join(SHARED_DATA, name)),
    join(ROOT, "node_modules"),
    join(dirname(process.execPath), "../lib/node_modules"),
  ].filter(existsSync);
  const files = folders.flatMap(listFiles);
  const half = (parity) =>
    fill(
      files.filter((_, i) => i % 2 === parity),
      bytes,
    );
  const description = `${bytes / 1e6} MB of ${folders.join(", ")}`;
  return { train: half(0), other: half(1), description };
}

function listFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => WRITTEN_BY_PEOPLE.test(name))
    .sort()
    .map((name) => join(folder, name));
}

function fill(files, bytes) {
  const buffer = Buffer.alloc(bytes);
  let length = 0;
  for (const file of files) {
    if (length === bytes) break;
    const { size } = statSync(file);
    if (size > MAX_FILE_BYTES) continue;
    const content = readFileSync(file);
    if (isUtf8(content)) length += content.copy(buffer, length);
  }
  if (length < bytes) throw new Error(`expected ${bytes} bytes of text on this machine, found ${length}`);
  return buffer.toString().replace(/\uFFFD+$/, ""); // the cut may have gone through a character
}
