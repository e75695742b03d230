import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { EnvironmentError, FormatError } from "../../core/errors.ts";
import { toDataError } from "../text-file.ts";
import { type RawRow, toRawRow } from "./raw-row.ts";

/** What reading one file may take before it is given up as hostile. */
export interface ParquetLimits {
  readonly heapMiB: number;
  /** Longest time for one group of rows. */
  readonly seconds: number;
}

const LIMITS: ParquetLimits = { heapMiB: 2048, seconds: 120 };

/**
 * A few bytes of Parquet can claim, and run-length decoding then makes, billions of values; a thread that runs out of memory takes the
 * process with it. So files are decoded in a process of its own, whose heap is bounded. Sizes of pages are checked before they
 * are unpacked.
 */
const DECODER = `
const { pathToFileURL } = require("node:url");
const [path, reader, unpackers] = process.argv.slice(1);
const MAX_PAGE_BYTES = 256 * 1024 * 1024;
(async () => {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import(pathToFileURL(reader));
  const { compressors } = await import(pathToFileURL(unpackers));
  const bounded = Object.fromEntries(Object.entries(compressors).map(([codec, unpack]) => [codec, (bytes, length) => {
    if (!(length >= 0 && length <= MAX_PAGE_BYTES)) throw new Error("a page of " + length + " bytes");
    return unpack(bytes, length);
  }]));
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file, { geoparquet: false });
  let start = 0;
  for (const group of metadata.row_groups) {
    const count = Number(group.num_rows);
    for (const { meta_data: column } of group.columns) {
      const bytes = Number(column?.total_compressed_size);
      if (!(bytes >= 0 && bytes <= file.byteLength)) throw new Error("a column of " + bytes + " bytes in a file of " + file.byteLength);
    }
    const rows = await parquetReadObjects({ file, metadata, compressors: bounded, rowStart: start, rowEnd: start + count });
    if (rows.length !== count) throw new Error(rows.length + " rows where " + count + " are declared");
    start += count;
    process.send(rows);
  }
  if (Number(metadata.num_rows) !== start) throw new Error(start + " rows where " + metadata.num_rows + " are declared");
  process.send(null);
})().catch((error) => process.send(String(error?.message ?? error))).finally(() => process.disconnect());
`;

/**
 * The rows of a Parquet file, a group of rows at a time. Whole numbers of 64 bits become numbers where they fit, times become text
 * in ISO 8601. Compression: none, Snappy, gzip, Zstandard, Brotli, LZ4.
 *
 * @throws {FormatError} if the file is cut short, altered, or claims sizes it cannot have.
 * @throws {EnvironmentError} if the reader's packages are not installed.
 */
export async function* readParquetRows(path: string, limits: ParquetLimits = LIMITS): AsyncGenerator<RawRow> {
  checkMagic(path);
  const args = [path, locate("hyparquet"), locate("hyparquet-compressors")];
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${limits.heapMiB}`, "-e", DECODER, "--", ...args],
    {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      serialization: "advanced",
      env: { ...process.env, NODE_OPTIONS: "" },
    },
  );
  const groups = new Mailbox(path, child, limits);
  let row = 0;
  try {
    for (;;) {
      const rows = await groups.next();
      if (rows === null) return;
      for (const values of rows) yield toRawRow(plainValue(values), `${path} row ${++row}`);
    }
  } finally {
    child.kill("SIGKILL");
  }
}

/** Groups of rows in the order they were decoded, or the failure that ended it. */
class Mailbox {
  readonly #path: string;
  readonly #limits: ParquetLimits;
  readonly #waiting: unknown[] = [];
  #wake: () => void = () => {};

  constructor(path: string, child: ChildProcess, limits: ParquetLimits) {
    this.#path = path;
    this.#limits = limits;
    const put = (message: unknown) => {
      this.#waiting.push(message);
      this.#wake();
    };
    child.on("message", put);
    child.on("error", (error) => put(error.message));
    // Comes after every message.
    child.on("close", () => put(`values that take more than ${limits.heapMiB} MiB of memory`));
  }

  async next(): Promise<readonly unknown[] | null> {
    if (this.#waiting.length === 0) await this.#arrival();
    const message = this.#waiting.shift();
    if (message === null || Array.isArray(message)) return message;
    throw new FormatError({
      where: this.#path,
      expected: "a whole Parquet file",
      got: String(message).replace(/\s+/g, " ").slice(0, 160),
      fix: "Write or download it again.",
    });
  }

  async #arrival(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.push(`a group of rows that takes more than ${this.#limits.seconds} seconds`);
        resolve();
      }, this.#limits.seconds * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function locate(name: string): string {
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw new EnvironmentError(
      {
        where: "Parquet",
        expected: `the package ${name}`,
        got: "nothing under that name",
        fix: `Run "npm install ${name}".`,
      },
      { cause },
    );
  }
}

/** "PAR1" at both ends: files of other kinds get a message that says so. */
function checkMagic(path: string): void {
  const ends = Buffer.alloc(8);
  try {
    const { size } = statSync(path);
    const file = openSync(path, "r");
    try {
      if (size >= 12) {
        readSync(file, ends, 0, 4, 0);
        readSync(file, ends, 4, 4, size - 4);
      }
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw toDataError(path, cause);
  }
  if (ends.toString("latin1") === "PAR1PAR1") return;
  const got = ends.toString("latin1", 0, 4) === "PAR1" ? "a file that is cut short" : "another kind of file";
  throw new FormatError({ where: path, expected: 'a Parquet file ("PAR1" at both ends)', got });
}

/** Values as JSON would have them. */
function plainValue(value: unknown): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value)) return value.map(plainValue);
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainValue(inner)]));
  }
  return value;
}
