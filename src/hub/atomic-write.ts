import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { platform } from "node:process";
import { type FileDigest, writeSynced } from "./file-writer.ts";
import { isSystemError, withSystemErrors } from "./system-error.ts";

/*
 * Crash consistency: write under a temporary name, fsync the content, rename, fsync the directory. Each step
 * is needed; systems that thought rename was enough lost data (Pillai et al., "All File Systems Are Not
 * Created Equal", OSDI 2014).
 */

/**
 * Writes a file so that after a crash at any moment its name holds either the old content or the new.
 *
 * @param data text is written as UTF-8
 * @throws {EnvironmentError} if the system refuses; the old content is intact and no temporary file is left.
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): FileDigest {
  return withSystemErrors(path, "a file that can be written", () =>
    replaceFileAtomic(path, (temporary) => writeSynced(temporary, data)),
  );
}

/**
 * Lets `write` make a file at `<path>.tmp` and force it to the disk, then moves it to `path`. System errors
 * pass unchanged.
 */
export function replaceFileAtomic<T>(path: string, write: (temporary: string) => T): T {
  const temporary = `${path}.tmp`;
  try {
    const result = write(temporary);
    renameSync(temporary, path);
    syncDirectory(dirname(path));
    return result;
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
}

/**
 * Lets `fill` write a directory under a temporary name, forces all of it to the disk, then moves it to `path`.
 *
 * A directory already there is moved aside to `<path>.old` first and removed last: it is touched only when the
 * new one is complete, and a crash between the two moves is mended by `finishReplacement`. System errors pass
 * unchanged; after any error one whole directory, nearly always the old, is in place and no temporary one left.
 */
export function replaceDirectoryAtomic<T>(path: string, fill: (temporary: string) => T): T {
  const temporary = beginReplacement(path);
  try {
    mkdirSync(temporary);
    const result = fill(temporary);
    publish(temporary, path);
    return result;
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
}

/** {@link replaceDirectoryAtomic} with a `fill` that takes its time; one replacement of a path at a time. */
export async function replaceDirectoryLater<T>(
  path: string,
  fill: (temporary: string) => Promise<T>,
): Promise<T> {
  const temporary = beginReplacement(path);
  try {
    mkdirSync(temporary);
    const result = await fill(temporary);
    publish(temporary, path);
    return result;
  } catch (error) {
    removeQuietly(temporary);
    throw error;
  }
}

function beginReplacement(path: string): string {
  const parent = dirname(resolve(path));
  ensureDirectory(parent);
  finishReplacement(path);
  removeAbandoned(parent, (name) => name === basename(path));
  return temporaryName(path);
}

function publish(temporary: string, path: string): void {
  syncTree(temporary);
  moveIntoPlace(temporary, path);
  syncDirectory(dirname(resolve(path)));
  // Quietly: the new directory is in place, and the next replacement tries again.
  removeQuietly(asideName(path));
}

/**
 * Completes a directory replacement that a crash cut off: the old directory goes back if the new one had not
 * arrived, and goes away if it had. Harmless when there is nothing to do.
 */
export function finishReplacement(path: string): void {
  const aside = asideName(path);
  if (!existsSync(aside)) return;
  if (existsSync(path)) rmSync(aside, { recursive: true });
  else renameSync(aside, path);
}

/** Where a directory waits while its replacement takes its place. */
export function asideName(path: string): string {
  return `${path}.old`;
}

/** A name beside `path` that only this process uses. */
export function temporaryName(path: string): string {
  return `${path}.tmp-${process.pid}`;
}

/**
 * Removes temporary directories `<name>.tmp-<pid>` whose process is gone, and this process's own.
 *
 * @param isOurs says by the name which of them to consider
 */
export function removeAbandoned(parent: string, isOurs: (name: string) => boolean): void {
  if (!existsSync(parent)) return;
  for (const entry of readdirSync(parent)) {
    const [, name, pid] = /^(.+)\.tmp-([0-9]+)$/s.exec(entry) ?? [];
    if (name === undefined || !isOurs(name)) continue;
    if (Number(pid) === process.pid || !isProcessAlive(Number(pid))) {
      rmSync(join(parent, entry), { recursive: true, force: true });
    }
  }
}

/** True if a process of that number exists on this machine, whoever owns it. */
export function isProcessAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Makes a directory, its parents too, and forces the new names to the disk. System errors pass unchanged. */
export function ensureDirectory(path: string): void {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at) && at !== dirname(at); at = dirname(at)) missing.unshift(at);
  if (missing.length === 0) mkdirSync(path, { recursive: true }); // says so where it is a file
  // One by one: Node's own way of making parents never ends where the system makes no directories, such as in /proc.
  for (const directory of missing) {
    makeDirectory(directory);
    syncDirectory(dirname(directory));
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process was quicker.
    if (!isSystemError(error) || error.code !== "EEXIST") throw error;
  }
}

/** Forces a directory's names to the disk: without it a rename may be undone by a power failure. */
export function syncDirectory(path: string): void {
  // Windows cannot open a directory, and writes renames through by itself.
  if (platform === "win32") return;
  syncPath(path, "r");
}

function syncTree(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) syncTree(path);
    else syncPath(path, "r+");
  }
  syncDirectory(directory);
}

/** @param flags Windows flushes only what is open for writing, Linux opens directories only for reading. */
function syncPath(path: string, flags: "r" | "r+"): void {
  const descriptor = openSync(path, flags);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** A non-empty directory cannot be renamed over, hence two moves; the first is undone if the second fails. */
function moveIntoPlace(temporary: string, path: string): void {
  if (!existsSync(path)) {
    renameSync(temporary, path);
    return;
  }
  const aside = asideName(path);
  renameSync(path, aside);
  try {
    renameSync(temporary, path);
  } catch (error) {
    renameSync(aside, path);
    throw error;
  }
}

/** For the way out: the error that led here matters more, and what stays is swept up by the next write. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {}
}
