import { randomUUID } from "node:crypto";
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
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { EnvironmentError, PlinthError } from "../core/errors.ts";

/**
 * Makes a directory all at once: `fill` writes into a hidden sibling, which takes the name `path` only when it
 * is complete and on disk. Files must be synced by whoever writes them. If anything fails, `path` is as it was
 * and the sibling is gone; one left by a killed process is removed by the next call on the same host.
 *
 * @throws {EnvironmentError} if the system refuses to write, for instance because the disk is full.
 */
export async function replaceDirectory<T>(path: string, fill: (partial: string) => Promise<T>): Promise<T> {
  const target = resolve(path);
  const partial = partialName(target);
  try {
    mkdirSync(dirname(target), { recursive: true });
    removeAbandoned(target);
    mkdirSync(partial);
    const result = await fill(partial);
    syncDirectory(partial);
    moveIntoPlace(partial, target);
    return result;
  } catch (cause) {
    if (existsSync(partial)) rmSync(partial, { recursive: true, force: true });
    throw toEnvironmentError(path, cause);
  }
}

// Host and process are in the name so that only a dead process's leftovers are ever removed.
function partialPrefix(target: string): string {
  return `.${basename(target)}.partial-${hostname()}-`;
}

function partialName(target: string): string {
  return join(dirname(target), `${partialPrefix(target)}${process.pid}-${randomUUID().slice(0, 8)}`);
}

function removeAbandoned(target: string): void {
  const prefix = partialPrefix(target);
  for (const name of readdirSync(dirname(target))) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number(name.slice(prefix.length).split("-")[0]);
    if (!isRunning(pid)) rmSync(join(dirname(target), name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function moveIntoPlace(partial: string, target: string): void {
  // A full directory cannot be renamed over, so the old one steps aside first, under a name that is cleaned up.
  const old = existsSync(target) ? partialName(target) : undefined;
  if (old) renameSync(target, old);
  try {
    renameSync(partial, target);
  } catch (cause) {
    if (old) renameSync(old, target);
    throw cause;
  }
  syncDirectory(dirname(target));
  if (old) rmSync(old, { recursive: true, force: true });
}

function syncDirectory(path: string): void {
  if (process.platform === "win32") return; // directories cannot be opened there, and renames are journalled
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function toEnvironmentError(path: string, cause: unknown): unknown {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (cause instanceof PlinthError || code === undefined || !/^E[A-Z]+$/.test(code)) return cause;
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  return new EnvironmentError(
    {
      where: path,
      expected: "to be able to write there",
      got: isFull ? `a full disk (${code})` : message,
      fix: isFull
        ? "Free some space or choose another folder; nothing was left behind."
        : "Nothing was left behind.",
    },
    { cause },
  );
}
