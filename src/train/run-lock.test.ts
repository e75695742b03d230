import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { EnvironmentError } from "../core/errors.ts";
import { acquireRunLock } from "./run-lock.ts";

const links = vi.hoisted(() => ({ refused: false }));
vi.mock("node:fs", async (importOriginal) => {
  const real = await importOriginal<typeof import("node:fs")>();
  const linkSync: typeof real.linkSync = (from, to) => {
    if (!links.refused) return real.linkSync(from, to);
    throw Object.assign(new Error("EPERM: operation not permitted, link"), {
      code: "EPERM",
      syscall: "link",
    });
  };
  return { ...real, linkSync };
});

const BUILT = join(import.meta.dirname, "../../dist/train/run-lock.js");

/** Waits for a file \`go\` if asked to, then locks, says how it went and holds on until its input ends. */
const HOLDER = `
const { acquireRunLock } = await import(process.argv[1]);
const { existsSync } = await import("node:fs");
process.stdout.write("ready\\n");
if (process.argv[3]) while (!existsSync(process.argv[3]));
try {
  acquireRunLock(process.argv[2]);
  process.stdout.write("locked\\n");
} catch (error) {
  process.stdout.write(error.name + ": " + error.message + "\\n");
}
process.stdin.resume();
`;

let directory = "";
let path = "";
let children: ChildProcess[] = [];
beforeAll(() => {
  if (!existsSync(BUILT)) throw new Error(`${BUILT} is missing. Run "npm run build" first.`);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-lock-"));
  path = join(directory, "run.lock");
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(directory, { recursive: true });
});

interface Holder {
  readonly child: ChildProcess;
  /** The next line it prints. */
  line(): Promise<string>;
}

function startHolder(go: string = ""): Holder {
  const url = pathToFileURL(BUILT).href;
  const child = spawn(process.execPath, ["--input-type=module", "-e", HOLDER, url, directory, go], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  let printed = "";
  child.stdout?.on("data", (text) => {
    printed += text;
  });
  const line = async (): Promise<string> => {
    while (!printed.includes("\n")) await once(child.stdout!, "data");
    const end = printed.indexOf("\n");
    const first = printed.slice(0, end);
    printed = printed.slice(end + 1);
    return first;
  };
  return { child, line };
}

/** What this process would write into a lock, altered. */
function writeLock(changes: object): void {
  const lock = acquireRunLock(directory);
  const own = JSON.parse(readFileSync(path, "utf8"));
  lock.release();
  writeFileSync(path, JSON.stringify({ ...own, ...changes }));
}

describe("acquireRunLock", () => {
  test("creates the directory, holds it and gives it back", () => {
    const nested = join(directory, "a/b");
    const lock = acquireRunLock(nested);
    expect(lock.path).toBe(join(nested, "run.lock"));
    expect(JSON.parse(readFileSync(lock.path, "utf8"))).toMatchObject({ pid: process.pid });
    lock.release();
    lock.release();
    expect(readdirSync(nested)).toEqual([]);
    acquireRunLock(nested).release();
  });

  test("one process cannot hold a directory twice", () => {
    const lock = acquireRunLock(directory);
    expect(() => acquireRunLock(directory)).toThrow(EnvironmentError);
    expect(() => acquireRunLock(directory)).toThrow(
      `${path}: expected a directory no other run is using (two runs into one directory), got process ${process.pid} on`,
    );
    lock.release();
    expect(readdirSync(directory)).toEqual([]);
  });

  test("a second process is refused; after kill -9 of the first the lock is taken over", async () => {
    const first = startHolder();
    expect([await first.line(), await first.line()]).toEqual(["ready", "locked"]);
    expect(() => acquireRunLock(directory)).toThrow(`got process ${first.child.pid} on`);
    const second = startHolder();
    await second.line();
    expect(await second.line()).toMatch(/^EnvironmentError: .*two runs into one directory/);
    first.child.kill("SIGKILL");
    await once(first.child, "close");
    expect(existsSync(path)).toBe(true);
    acquireRunLock(directory).release();
    expect(readdirSync(directory)).toEqual([]);
  });

  test("is released when the process ends by itself", async () => {
    const { child, line } = startHolder();
    expect([await line(), await line()]).toEqual(["ready", "locked"]);
    child.stdin?.end();
    await once(child, "close");
    expect(readdirSync(directory)).toEqual([]);
  });

  test("of many starters racing for a stale lock exactly one wins", async () => {
    for (let round = 0; round < 3; round++) {
      writeLock({ pid: 4_194_305 });
      const go = join(directory, `go-${round}`);
      const starters = Array.from({ length: 5 }, () => startHolder(go));
      await Promise.all(starters.map(({ line }) => line()));
      writeFileSync(go, "");
      const said = await Promise.all(starters.map(({ line }) => line()));
      expect(said.filter((text) => text === "locked")).toHaveLength(1);
      expect(said.filter((text) => text.startsWith("EnvironmentError"))).toHaveLength(4);
      for (const { child } of starters) {
        child.kill("SIGKILL");
        await once(child, "close");
      }
    }
  });
});

describe("stale locks", () => {
  test.each([
    ["the process is gone", { pid: 4_194_305 }],
    ["the number belongs to a process that began at another time", { processStart: "earlier boot 77" }],
  ])("%s: taken over", (_why, changes) => {
    writeLock(changes);
    const lock = acquireRunLock(directory);
    expect(JSON.parse(readFileSync(path, "utf8")).pid).toBe(process.pid);
    lock.release();
  });

  test.each(["", "{", "[]", '{"pid":"x"}', "\0\0\0"])(
    "content cut off by a power failure, %j: taken over",
    (text) => {
      writeFileSync(path, text);
      acquireRunLock(directory).release();
      expect(readdirSync(directory)).toEqual([]);
    },
  );

  test.skipIf(process.platform !== "linux")(
    "a process that ended but was not collected is gone",
    async () => {
      // The second `sleep` replaces the shell and never collects the first.
      const parent = spawn("sh", ["-c", "sleep 0.2 & echo $!; exec sleep 20"], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.push(parent);
      const [printed] = await once(parent.stdout, "data");
      const pid = Number(String(printed));
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
      const start = readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[21];
      writeLock({ pid, processStart: `${boot} ${start}` });
      expect(() => acquireRunLock(directory)).toThrow(`got process ${pid} on`);
      await vi.waitFor(() => expect(readFileSync(`/proc/${pid}/stat`, "utf8")).toContain(") Z "));
      acquireRunLock(directory).release();
    },
  );

  test("a lock of another machine counts as held", () => {
    writeLock({ pid: 4_194_305, hostname: "elsewhere" });
    expect(() => acquireRunLock(directory)).toThrow("process 4194305 on elsewhere since");
    expect(() => acquireRunLock(directory)).toThrow(`If that run is surely gone, delete ${path}.`);
  });

  test("leftovers of starters that died are cleared away, and a lost lock is not missed", () => {
    writeFileSync(`${path}.tmp-4194305`, "");
    writeFileSync(`${path}.stale.tmp-4194305`, "");
    const lock = acquireRunLock(directory);
    expect(readdirSync(directory)).toEqual(["run.lock"]);
    writeFileSync(path, "someone else's");
    lock.release();
    expect(readFileSync(path, "utf8")).toBe("someone else's");
  });
});

test("file systems without hard links are locked too", () => {
  links.refused = true;
  try {
    const lock = acquireRunLock(directory);
    expect(() => acquireRunLock(directory)).toThrow("two runs into one directory");
    lock.release();
    expect(readdirSync(directory)).toEqual([]);
  } finally {
    links.refused = false;
  }
});

test("a place that cannot be locked is said clearly", () => {
  writeFileSync(path, "");
  expect(() => acquireRunLock(join(path, "x"))).toThrow(EnvironmentError);
  expect(() => acquireRunLock(join(path, "x"))).toThrow(
    "expected a directory that can be locked, got ENOTDIR",
  );
});
