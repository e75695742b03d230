import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { ConfigError } from "../../core/errors.ts";
import { type InsideReport, type InsideRequest, runInside } from "./run-inside.ts";
import { TypeStripper } from "./type-stripper.ts";

export interface SandboxOptions {
  /** Longest time a program may take; default 5000. */
  readonly timeoutMs?: number | undefined;
  /** Most memory of its process; default 512 MiB. About 50 MiB go to the process itself. */
  readonly memoryBytes?: number | undefined;
  /** Most output, standard and error together; default 64 KiB. */
  readonly outputBytes?: number | undefined;
}

/** A program with its test: it passes if it runs to its end without an uncaught exception. */
export interface Program {
  readonly source: string;
  readonly language: "javascript" | "typescript";
}

/**
 * How a program ended. `invalid`: it is no program of its language. `forbidden`: it reached for what it must not have. `crashed`: its process ended without
 * a word.
 */
export type ProgramStatus = InsideReport["status"] | "timeout" | "output" | "crashed";

/** What running a program showed. */
export interface ProgramOutcome {
  readonly status: ProgramStatus;
  /** What was thrown, asked for, or exceeded. */
  readonly detail: string;
  /** What it printed, up to the limit. */
  readonly output: string;
  readonly durationMs: number;
}

/** Which of the operating system's own means hold programs, besides the process' own. */
export interface Isolation {
  /** Limits of processor time, address space and file size by the shell. */
  readonly limits: boolean;
  /** A network of its own without any device. */
  readonly network: boolean;
}

const MEBIBYTE = 2 ** 20;

/** Address space that a Node process reserves without using it. */
const RESERVED_BYTES = 4 * 2 ** 30;

/** Below this Node itself does not start. */
const LEAST_MEMORY = 96 * MEBIBYTE;

/** How often memory is looked at. */
const WATCH_MS = 20;

/** Starting a process, or the reader of TypeScript, may take this much longer on a busy machine. */
const START_MS = 3000;

/**
 * Runs programs that nobody has read, one process each. What holds them, from inside out:
 *
 * 1. Only the language itself and modules of pure computation are there; everything else is removed before the program begins, and `import()` has no loader.
 * 2. Node's permission model refuses files, processes, threads and native code.
 * 3. The operating system limits processor time, address space and file size, and takes the network away, where it can (see {@link Isolation}).
 * 4. This process watches time, memory (on Linux also that of buffers, which no flag of Node limits) and output, and kills the whole process group.
 *
 * @example
 * const sandbox = new Sandbox({ timeoutMs: 2000 });
 * (await sandbox.run({ source: "for (;;);", language: "javascript" })).status; // => "timeout"
 * await sandbox.dispose();
 */
export class Sandbox {
  readonly isolation: Isolation;
  readonly #options: {
    readonly timeoutMs: number;
    readonly memoryBytes: number;
    readonly outputBytes: number;
  };
  readonly #stripper: TypeStripper;

  /** @throws {ConfigError} if a limit cannot be used. */
  constructor(options: SandboxOptions = {}) {
    const { timeoutMs = 5000, memoryBytes = 512 * MEBIBYTE, outputBytes = 64 * 1024 } = options;
    checkLimit("timeoutMs", timeoutMs, 1);
    checkLimit("memoryBytes", memoryBytes, LEAST_MEMORY);
    checkLimit("outputBytes", outputBytes, 0);
    this.#options = { timeoutMs, memoryBytes, outputBytes };
    this.#stripper = new TypeStripper(timeoutMs + START_MS);
    const limits = process.platform !== "win32" && existsSync("/bin/sh");
    this.isolation = { limits, network: limits && canUnshareNetwork() };
  }

  /**
   * Runs a program to its end, or until a limit ends it. Nothing that the program does makes this throw, and nothing of it is left running.
   *
   * @throws what `signal` was aborted with
   */
  async run({ source, language }: Program, signal?: AbortSignal): Promise<ProgramOutcome> {
    signal?.throwIfAborted();
    if (language === "javascript") return this.#execute(source, signal);
    const stripped = await this.#stripper.strip(source);
    signal?.throwIfAborted();
    if ("code" in stripped) return this.#execute(stripped.code, signal);
    return { status: "invalid", detail: stripped.error, output: "", durationMs: 0 };
  }

  /** Ends the thread that reads TypeScript. */
  dispose(): Promise<void> {
    return this.#stripper.dispose();
  }

  async #execute(source: string, signal: AbortSignal | undefined): Promise<ProgramOutcome> {
    const { timeoutMs, memoryBytes, outputBytes } = this.#options;
    const nonce = randomUUID();
    const child = this.#spawn();
    let stopped: Pick<ProgramOutcome, "status" | "detail"> | undefined;
    const stop = (status: ProgramStatus, detail: string) => {
      stopped ??= { status, detail };
      killGroup(child);
    };
    const abort = () => killGroup(child);
    const started = performance.now();
    const timer = setTimeout(() => stop("timeout", `over ${timeoutMs} ms`), timeoutMs);
    const watch = setInterval(() => {
      if (residentBytes(child.pid) > memoryBytes) stop("memory", `over ${memoryBytes} bytes`);
    }, WATCH_MS);
    process.once("exit", abort);
    signal?.addEventListener("abort", abort);
    const streams = collect(child, outputBytes, () => stop("output", `over ${outputBytes} bytes`));
    const request: InsideRequest = { source, nonce, lifetimeMs: timeoutMs + START_MS };
    writeRequest(child, request);
    const end = await ended(child);
    const durationMs = performance.now() - started;
    clearTimeout(timer);
    clearInterval(watch);
    process.off("exit", abort);
    signal?.removeEventListener("abort", abort);
    signal?.throwIfAborted();
    const judged = stopped ?? readReport(streams.report(), nonce) ?? judgeCrash(streams.output(), end);
    return { ...judged, output: streams.output(), durationMs };
  }

  #spawn(): ChildProcess {
    const { timeoutMs, memoryBytes } = this.#options;
    const node = [process.execPath, ...nodeArguments(memoryBytes)];
    let command = node;
    if (this.isolation.limits) {
      const seconds = Math.ceil((timeoutMs + START_MS) / 1000);
      const kibibytes = Math.ceil((memoryBytes + RESERVED_BYTES) / 1024);
      // No core files, no files at all; "$@" is the command, whatever its spaces.
      const script = `ulimit -c 0; ulimit -f 0; ulimit -t ${seconds}; ulimit -v ${kibibytes} 2>/dev/null; exec "$@"`;
      command = ["/bin/sh", "-c", script, "sh", ...node];
    }
    if (this.isolation.network) command = ["unshare", "--net", "--map-root-user", "--", ...command];
    return spawn(command[0]!, command.slice(1), {
      cwd: "/",
      env: { PATH: process.env.PATH },
      // A process group of its own, which is killed as a whole.
      detached: true,
      stdio: ["pipe", "pipe", "pipe", "pipe"],
    });
  }
}

function nodeArguments(memoryBytes: number): string[] {
  const flags = process.allowedNodeEnvironmentFlags;
  const heap = Math.floor(memoryBytes / MEBIBYTE) - 48;
  return [
    flags.has("--permission") ? "--permission" : "--experimental-permission",
    "--experimental-vm-modules",
    "--no-warnings",
    `--max-old-space-size=${heap}`,
    "--input-type=commonjs",
    "-e",
    `"use strict"; (${runInside.toString()})(require);`,
  ];
}

/** Whether processes can be put into a network of their own. */
function canUnshareNetwork(): boolean {
  if (process.platform !== "linux") return false;
  const probe = spawnSync("unshare", ["--net", "--map-root-user", "--", "true"], {
    stdio: "ignore",
    timeout: 5000,
  });
  return probe.status === 0;
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** Memory that a process occupies; 0 where it cannot be known. */
function residentBytes(pid: number | undefined): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
  } catch {
    return 0;
  }
}

/** Gathers what a process writes, and says when its output is too much. */
function collect(child: ChildProcess, limit: number, onTooMuch: () => void) {
  const output: Buffer[] = [];
  const reports: Buffer[] = [];
  let [size, reported] = [0, 0];
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on("data", (piece: Buffer) => {
      if (size < limit) output.push(piece.subarray(0, limit - size));
      size += piece.length;
      if (size > limit) onTooMuch();
    });
  }
  (child.stdio[3] as Readable).on("data", (piece: Buffer) => {
    reported += piece.length;
    if (reported <= MEBIBYTE) reports.push(piece);
  });
  return {
    output: () => Buffer.concat(output).toString("utf8"),
    report: () => Buffer.concat(reports).toString("utf8"),
  };
}

function writeRequest(child: ChildProcess, request: InsideRequest): void {
  const stream = child.stdin as Writable;
  // A process that has ended before it read: how it ended says why.
  stream.on("error", () => {});
  stream.end(JSON.stringify(request));
}

/** How a process ended, once it has and all it wrote is read. */
function ended(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
  });
}

function readReport(text: string, nonce: string): InsideReport | undefined {
  const line = text.split("\n").find((one) => one.startsWith(nonce));
  return line === undefined ? undefined : (JSON.parse(line.slice(nonce.length)) as InsideReport);
}

/** A process that ended without a word. */
function judgeCrash(output: string, end: string): Pick<ProgramOutcome, "status" | "detail"> {
  if (/JavaScript heap out of memory|allocation failure|Zone/.test(output)) {
    return { status: "memory", detail: "over the limit of the heap" };
  }
  return end === "signal SIGXCPU" ? { status: "timeout", detail: end } : { status: "crashed", detail: end };
}

function checkLimit(where: string, value: number, min: number): void {
  if (Number.isSafeInteger(value) && value >= min) return;
  throw new ConfigError({ where, expected: `an integer ≥ ${min}`, got: `${value}` });
}
