import { mkdtempSync, readdirSync, renameSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { EnvironmentError } from "../core/errors.ts";
import { CheckpointStore } from "./checkpoint.ts";

/*
 * A file system that fails on cue. Every call of these that `save` makes is counted; the chosen one, or it and
 * all after it, throws. What was not yet forced to the disk is tracked, so that a power failure can be played
 * in which all of that is lost: the worst case that POSIX allows.
 */
const disk = vi.hoisted(() => ({
  armed: false,
  calls: 0,
  failAt: -1,
  mode: "once" as "once" | "onwards",
  makeError: (_call: string): Error => new Error("unset"),
  paths: new Map<number, string>(),
  unsyncedData: new Set<string>(),
  unsyncedNames: [] as { readonly name: string; readonly undo: string | undefined }[],
}));

vi.mock("node:fs", async (importOriginal) => {
  const real = await importOriginal<typeof import("node:fs")>();
  const path = await import("node:path");
  function step(call: string): void {
    if (!disk.armed) return;
    const index = disk.calls++;
    if (index === disk.failAt || (disk.mode === "onwards" && index > disk.failAt)) throw disk.makeError(call);
  }
  const guarded: Partial<typeof import("node:fs")> = {
    openSync: (file, flags, mode) => {
      step("open");
      const descriptor = real.openSync(file, flags, mode);
      disk.paths.set(descriptor, String(file));
      if (flags === "w") disk.unsyncedNames.push({ name: String(file), undo: undefined });
      return descriptor;
    },
    fsyncSync: (descriptor) => {
      step("fsync");
      const synced = disk.paths.get(descriptor) ?? "";
      disk.unsyncedData.delete(synced);
      disk.unsyncedNames = disk.unsyncedNames.filter(({ name }) => path.dirname(name) !== synced);
    },
    renameSync: (from, to) => {
      step("rename");
      real.renameSync(from, to);
      const moved = (file: string) =>
        file.startsWith(`${from}/`) ? `${to}${file.slice(String(from).length)}` : file;
      disk.unsyncedData = new Set([...disk.unsyncedData].map(moved));
      disk.unsyncedNames = disk.unsyncedNames.map(({ name, undo }) => ({ name: moved(name), undo }));
      disk.unsyncedNames.push({ name: String(to), undo: String(from) });
    },
  };
  const writeSync = (descriptor: number, bytes: Uint8Array, offset: number, length: number): number => {
    step("write");
    disk.unsyncedData.add(disk.paths.get(descriptor) ?? "");
    // Short writes are legal; half of each keeps the loop honest.
    return real.writeSync(descriptor, bytes, offset, Math.ceil(length / 2));
  };
  const mkdirSync = (file: string, options?: { recursive: boolean }) => {
    step("mkdir");
    const made = real.mkdirSync(file, options);
    if (!options?.recursive) disk.unsyncedNames.push({ name: file, undo: undefined });
    return made;
  };
  const rmOrRead = {
    rmSync: (file: string, options: object) => {
      step("rm");
      real.rmSync(file, options);
    },
    readdirSync: (file: string, options: undefined) => {
      step("scandir");
      return real.readdirSync(file, options);
    },
    closeSync: (descriptor: number) => {
      real.closeSync(descriptor);
      step("close");
    },
  };
  return { ...real, ...guarded, ...rmOrRead, writeSync, mkdirSync };
});

let directory = "";
let notices: string[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-faults-"));
  notices = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

function saveStep(store: CheckpointStore, step: number): void {
  const data = new Float32Array(16).fill(step);
  store.save({ step, tensors: [["w", { dtype: "float32", shape: [16], data }]], state: { step } });
}

function consistentStep(store: CheckpointStore): number | undefined {
  const loaded = store.latest();
  if (!loaded) return undefined;
  expect(loaded.state).toEqual({ step: loaded.step });
  expect([...loaded.read("w").data]).toEqual(Array(16).fill(loaded.step));
  loaded.close();
  return loaded.step;
}

function newStore(keep: number): CheckpointStore {
  rmSync(directory, { recursive: true });
  return new CheckpointStore(directory, { keep, notice: (message) => notices.push(message) });
}

/** Runs the operation with the disk failing at its call number `failAt`; true if that many calls were made. */
function withFault(failAt: number, mode: "once" | "onwards", operation: () => void): boolean {
  Object.assign(disk, { armed: true, calls: 0, failAt, mode, unsyncedNames: [] });
  disk.unsyncedData.clear();
  try {
    operation();
  } finally {
    disk.armed = false;
  }
  return disk.calls > failAt;
}

/** What a power failure may take: data and names that nothing forced to the disk yet. */
function loseUnsynced(names: boolean): void {
  const isThere = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined;
  for (const file of disk.unsyncedData) if (isThere(file)) truncateSync(file, 0);
  if (!names) return;
  for (const { name, undo } of disk.unsyncedNames.toReversed()) {
    if (!isThere(name)) continue;
    if (undo === undefined) rmSync(name, { recursive: true });
    else renameSync(name, undo);
  }
}

const CASES = [
  { what: "a new step", keep: 2, next: 3 },
  { what: "a new step, keeping one", keep: 1, next: 3 },
  { what: "the same step again", keep: 1, next: 2 },
] as const;

describe.each(CASES)("saving $what", ({ keep, next }) => {
  test.each(["EIO", "ENOSPC"])(
    "%s at every single call: refused in plain words, previous one intact",
    (code) => {
      disk.makeError = (call) =>
        Object.assign(new Error(`${code}: injected, ${call}`), { code, syscall: call });
      let refused = 0;
      for (let failAt = 0; ; failAt++) {
        const store = newStore(keep);
        for (const step of [1, 2]) saveStep(store, step);
        let failure: unknown;
        const reached = withFault(failAt, "once", () => {
          try {
            saveStep(store, next);
          } catch (error) {
            failure = error;
          }
        });
        if (!reached) break;
        if (failure !== undefined) {
          refused++;
          expect(failure).toBeInstanceOf(EnvironmentError);
          expect(String(failure)).toMatch(
            new RegExp(`${code}: injected .*The previous checkpoint, step \\d, is intact`),
          );
          expect(readdirSync(directory).filter((name) => name.includes(".tmp-"))).toEqual([]);
        }
        expect(consistentStep(store)).toBeOneOf(failure === undefined ? [next] : [2, next]);
      }
      expect(refused).toBeGreaterThan(20);
    },
  );

  test.each([
    ["the process dies", undefined],
    ["the power fails, taking unsynced data", false],
    ["the power fails, taking unsynced data and names", true],
  ] as const)("%s at every single call: the newest or the previous one loads", (_what, lostNames) => {
    disk.makeError = () => new Error("dead");
    let survived = 0;
    for (let failAt = 0; ; failAt++) {
      const store = newStore(keep);
      for (const step of [1, 2]) saveStep(store, step);
      const reached = withFault(failAt, "onwards", () => {
        try {
          saveStep(store, next);
        } catch {}
      });
      if (!reached) break;
      if (lostNames !== undefined) loseUnsynced(lostNames);
      expect(consistentStep(store)).toBeOneOf([2, next]);
      saveStep(store, next + 1);
      expect(consistentStep(store)).toBe(next + 1);
      expect(readdirSync(directory).filter((name) => !/^step-\d{8}$/.test(name))).toEqual([]);
      survived++;
    }
    expect(survived).toBeGreaterThan(25);
  });
});
