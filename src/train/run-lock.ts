import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { EnvironmentError } from "../core/errors.ts";
import { ensureDirectory, isProcessAlive, removeAbandoned, temporaryName } from "../hub/atomic-write.ts";
import { serializeJson } from "../hub/serialize-json.ts";
import { isJsonObject, type JsonObject, parseStrictJson } from "../hub/strict-json.ts";
import { isSystemError, withSystemErrors } from "../hub/system-error.ts";

const LOCK_FILE = "run.lock";
const STALE_FILE = "run.lock.stale";

/** Starters racing for one stale lock; each round one of them wins, so this many never lose in a row. */
const MAX_ATTEMPTS = 20;

/** What linking says on exFAT, some network shares and the like. */
const NO_LINKS: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** Held from `acquireRunLock` until released or the process ends. */
export interface RunLock {
  /** The lock file. */
  readonly path: string;
  /** Gives the directory back. Harmless when called again. */
  release(): void;
}

/**
 * Claims a directory for this process, creating it if need be: two runs writing into one would destroy each
 * other's checkpoints. The claim is a file `run.lock` naming process, machine and start time.
 *
 * A lock whose process is gone, or whose number now belongs to a process that began at another time, is taken
 * over, so `kill -9` does no harm. A lock made on another machine counts as held: from here nothing shows
 * otherwise.
 *
 * @throws {EnvironmentError} if another run, or this process already, holds the directory.
 */
export function acquireRunLock(directory: string): RunLock {
  const path = join(directory, LOCK_FILE);
  return withSystemErrors(path, "a directory that can be locked", () => {
    ensureDirectory(directory);
    const own = serializeJson(describeSelf(), LOCK_FILE);
    removeAbandoned(directory, (name) => name === LOCK_FILE || name === STALE_FILE);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (create(path, own)) return new HeldLock(path, own);
      const found = readIfThere(path);
      if (found === undefined) continue;
      const holder = parseHolder(found);
      if (holder && isHeld(holder)) refuse(path, holder);
      takeAway(path, found, own);
    }
    return refuse(path, {});
  });
}

class HeldLock implements RunLock {
  readonly path: string;
  readonly #own: string;

  constructor(path: string, own: string) {
    this.path = path;
    this.#own = own;
    process.on("exit", this.release);
  }

  readonly release = (): void => {
    process.off("exit", this.release);
    if (readIfThere(this.path) === this.#own) rmSync(this.path, { force: true });
  };
}

function describeSelf(): JsonObject {
  return {
    pid: process.pid,
    hostname: hostname(),
    processStart: readProcessStart(process.pid) ?? "unknown",
    lockedAt: new Date().toISOString(),
  };
}

/**
 * Creates the lock with its content in one step, by linking a finished file: nobody ever reads half a lock.
 *
 * @returns false if there is a lock already
 */
function create(path: string, content: string): boolean {
  const temporary = temporaryName(path);
  writeFileSync(temporary, content);
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (error.code === "EEXIST") return false;
    if (!NO_LINKS.has(error.code)) throw error;
    return createUnlinked(path, content);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** For file systems without hard links. A reader may catch this lock empty, for microseconds, and take it over. */
function createUnlinked(path: string, content: string): boolean {
  try {
    writeFileSync(path, content, { flag: "wx" });
    return true;
  } catch (error) {
    if (isSystemError(error) && error.code === "EEXIST") return false;
    throw error;
  }
}

/**
 * Removes a stale lock without ever removing a fresh one: only whoever holds the takeover file may, and reads the lock
 * once more before. So the place of a live lock is never empty, not for a moment. Does nothing if another starter is at it.
 */
function takeAway(path: string, stale: string, own: string): void {
  const takeover = join(dirname(path), STALE_FILE);
  if (!create(takeover, own)) {
    const found = readIfThere(takeover);
    const holder = found === undefined ? undefined : parseHolder(found);
    if (found === undefined || (holder && isHeld(holder))) return;
    throw new EnvironmentError({
      where: takeover,
      expected: "nobody, or a living process, to be taking over the lock",
      got: "a process that ended at it",
      fix: "Delete this file and start again.",
    });
  }
  try {
    if (readIfThere(path) === stale) rmSync(path);
  } finally {
    rmSync(takeover, { force: true });
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isSystemError(error) && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** A lock that does not parse was cut off by a power failure: its run is over. */
function parseHolder(text: string): JsonObject | undefined {
  try {
    const holder = parseStrictJson(text, LOCK_FILE);
    return isJsonObject(holder) && Number.isSafeInteger(holder.pid) ? holder : undefined;
  } catch {
    return undefined;
  }
}

function isHeld(holder: JsonObject): boolean {
  if (holder.hostname !== hostname()) return true;
  const pid = Number(holder.pid);
  if (!isProcessAlive(pid)) return false;
  // Where /proc does not tell, a living process of that number is taken to be the holder.
  const start = readProcessStart(pid);
  return start === undefined || start === holder.processStart;
}

/**
 * What distinguishes a process from others that had or will have its number: this boot of the machine, and
 * the clock tick since then at which it began (field 22 of `/proc/<pid>/stat`; see proc(5)). A process that
 * ended but was not yet collected by its parent has "ended". Undefined where there is no /proc.
 */
function readProcessStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    // The command name, field 2, is in parentheses and may hold anything, parentheses too.
    const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? "ended" : `${boot} ${rest[18]}`;
  } catch {
    return undefined;
  }
}

function refuse(path: string, holder: JsonObject): never {
  const { pid, hostname: machine, lockedAt } = holder;
  throw new EnvironmentError({
    where: path,
    expected: "a directory no other run is using (two runs into one directory)",
    got: pid === undefined ? "other runs starting in it" : `process ${pid} on ${machine} since ${lockedAt}`,
    fix: `Choose another directory, or wait. If that run is surely gone, delete ${path}.`,
  });
}
