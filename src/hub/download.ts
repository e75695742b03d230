import { createHash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EnvironmentError, FormatError } from "../core/errors.ts";
import type { RemoteFile } from "./model-files.ts";
import { withSystemErrors } from "./system-error.ts";

const STALL_MS = 60_000;
const CHUNK = 1 << 20;

/** Where a file is fetched from, and who is told. */
export interface DownloadOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  /**
   * Milliseconds before each further attempt. When as many have brought nothing new, a download is given up; what arrived stays
   * for the next run.
   */
  readonly retryDelaysMs: readonly number[];
  /** Bytes of this file that are there now; falls back when a file has to be fetched again. */
  readonly onBytes: (sizeBytes: number) => void;
}

/**
 * Fetches a file to `path` by way of `path.incomplete`. What is there of an earlier attempt is continued with a Range
 * request. The file appears under its name only when its size and hash are those of the listing.
 *
 * @throws {EnvironmentError} if the connection breaks for good or the disk refuses; the part stays.
 * @throws {FormatError} if what arrives is not what the listing promised.
 */
export async function downloadFile(path: string, file: RemoteFile, options: DownloadOptions): Promise<void> {
  const part = `${path}.incomplete`;
  withSystemErrors(path, "a cache that can be written", () => mkdirSync(dirname(path), { recursive: true }));
  const hadPart = existsSync(part);
  checkPart(part);
  if (hadPart && statSync(part).size > file.sizeBytes) rmSync(part);
  await fetchAll(part, file, options);
  if ((await hashOf(part, file, options.signal)) !== file.etag) {
    rmSync(part);
    // An earlier attempt may have left something else there; a fresh one cannot be excused.
    if (!hadPart) throw mismatch(options.url, file);
    options.onBytes(0);
    await fetchAll(part, file, options);
    if ((await hashOf(part, file, options.signal)) !== file.etag) {
      rmSync(part);
      throw mismatch(options.url, file);
    }
  }
  withSystemErrors(path, "a cache that can be written", () => renameSync(part, path));
}

async function fetchAll(part: string, file: RemoteFile, options: DownloadOptions): Promise<void> {
  let have = existsSync(part) ? statSync(part).size : 0;
  options.onBytes(have);
  if (file.sizeBytes === 0)
    withSystemErrors(part, "a file that can be written", () => closeSync(openSync(part, "w")));
  for (let fruitless = 0; have < file.sizeBytes; ) {
    const problem = await fetchSome(part, have, file, options);
    const now = existsSync(part) ? statSync(part).size : 0;
    fruitless = now > have ? 0 : fruitless + 1;
    have = now;
    if (have >= file.sizeBytes || fruitless === 0) continue;
    const delay = options.retryDelaysMs[fruitless - 1];
    if (delay !== undefined) {
      await sleep(delay, undefined, options.signal && { signal: options.signal });
      continue;
    }
    throw new EnvironmentError({
      where: options.url,
      expected: `${file.sizeBytes} bytes`,
      got: `${have}, then ${problem ?? "the end of the data"}`,
      fix: "Run it again: it goes on from there.",
    });
  }
}

/** Through a link the bytes would go to a file that is nobody's download. */
function checkPart(part: string): void {
  const status = lstatSync(part, { throwIfNoEntry: false });
  if (!status || status.isFile()) return;
  throw new FormatError({ where: part, expected: "a file", got: "something else", fix: "Remove it." });
}

/** One request, from where the part ends; says why it ended early, if it did. */
async function fetchSome(
  part: string,
  have: number,
  { sizeBytes }: RemoteFile,
  { url, headers, signal, onBytes }: DownloadOptions,
): Promise<string | undefined> {
  const stalled = new AbortController();
  const stop = AbortSignal.any([stalled.signal, ...(signal ? [signal] : [])]);
  let timer = setTimeout(() => stalled.abort(), STALL_MS);
  try {
    const range: Readonly<Record<string, string>> = have > 0 ? { range: `bytes=${have}-` } : {};
    // Bytes as they are: of a compressed body no part could be continued.
    const plain = { "accept-encoding": "identity" };
    const response = await fetch(url, { headers: { ...headers, ...plain, ...range }, signal: stop });
    if (isPassing(response.status)) return `status ${response.status}`;
    checkStatus(url, response);
    // A server that does not know ranges sends everything again.
    const start = response.status === 206 ? rangeStart(response) : 0;
    if (start !== 0 && start !== have) return `a part from byte ${start} on`;
    const descriptor = withSystemErrors(part, "a file that can be written", () =>
      openSync(part, start > 0 ? "a" : "w"),
    );
    try {
      let size = start;
      for await (const chunk of response.body ?? []) {
        clearTimeout(timer);
        timer = setTimeout(() => stalled.abort(), STALL_MS);
        size += (chunk as Uint8Array).length;
        if (size > sizeBytes) throw tooLong(url, sizeBytes);
        withSystemErrors(part, "room on the disk", () => writeAll(descriptor, chunk as Uint8Array));
        onBytes(size);
      }
      withSystemErrors(part, "a file that can be written", () => fsyncSync(descriptor));
      return undefined;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (stalled.signal.aborted) return `nothing for ${STALL_MS / 1000} s`;
    if (isNetworkError(error)) return describeNetworkError(error);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function rangeStart(response: Response): number {
  const [, start] = /^bytes ([0-9]+)-/.exec(response.headers.get("content-range") ?? "") ?? [];
  return Number(start ?? Number.NaN);
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
}

function checkStatus(url: string, { status, statusText }: Response): void {
  if (status === 200 || status === 206) return;
  throw new EnvironmentError({
    where: url,
    expected: "the file",
    got: `${status} ${statusText}`.trim(),
    fix: "Check the model's page.",
  });
}

/** Reads in pieces: a shard of gigabytes takes seconds, in which the process has to stay answerable. */
async function hashOf(path: string, { hash, sizeBytes }: RemoteFile, signal?: AbortSignal): Promise<string> {
  const digest = createHash(hash === "git" ? "sha1" : "sha256");
  if (hash === "git") digest.update(`blob ${sizeBytes}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK, signal }))
    digest.update(chunk as Uint8Array);
  return digest.digest("hex");
}

function mismatch(url: string, { hash, etag }: RemoteFile): FormatError {
  return new FormatError({
    where: url,
    expected: `content with the ${hash === "git" ? "git" : "SHA-256"} hash ${etag}`,
    got: "something else",
    fix: "Try again; if it happens again, do not use this source.",
  });
}

function tooLong(url: string, sizeBytes: number): FormatError {
  return new FormatError({ where: url, expected: `${sizeBytes} bytes`, got: "more" });
}

/** True for a status that may be another one later: the server is busy, or in trouble. */
export function isPassing(status: number): boolean {
  return status >= 500 || status === 408 || status === 429;
}

/** True for what `fetch` throws when the other side cannot be reached or breaks off. */
export function isNetworkError(error: unknown): boolean {
  return (
    error instanceof TypeError && (error.cause !== undefined || /fetch failed|terminated/.test(error.message))
  );
}

/** The system's word for it, which `fetch` hides in the cause. */
export function describeNetworkError(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return typeof code === "string" ? code : cause instanceof Error ? cause.message : String(cause);
}
