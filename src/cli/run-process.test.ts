import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/*
 * Signals and closed pipes need a real process. Node 20 does not run TypeScript, so the command line is compiled to a
 * temporary folder, next to a program whose only verb waits.
 */

const ROOT = new URL("../..", import.meta.url).pathname;

const DRIVER = `
import { runProcess } from "./dist/cli/run-process.js";
const wait = {
  name: "wait", summary: "wait", positionals: [], flags: {}, example: "plinth wait",
  async run({ out, signal }) {
    const timer = setInterval(() => {}, 1000);
    out.write("ready\\n");
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    if (process.env.STUBBORN) await new Promise(() => {});
    clearInterval(timer);
    out.result({}, "stopped cleanly");
  },
};
const pour = { ...wait, name: "pour", async run({ out }) {
  for (;;) {
    out.write("x".repeat(1000) + "\\n");
    await new Promise((resolve) => setImmediate(resolve));
  }
} };
await runProcess({
  wait: { summary: "wait", load: async () => wait },
  pour: { summary: "wait", load: async () => pour },
});
`;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "plinth-process-"));
  mkdirSync(join(folder, "dist"));
  const config = {
    extends: join(ROOT, "tsconfig.build.json"),
    compilerOptions: {
      rootDir: join(ROOT, "src"),
      outDir: join(folder, "dist"),
      noCheck: true,
      declaration: false,
      isolatedDeclarations: false,
      types: [],
    },
    include: [],
    files: [join(ROOT, "src/cli/run-process.ts")],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(folder, "package.json"), '{"type":"module","version":"0.0.0"}');
  writeFileSync(join(folder, "driver.js"), DRIVER);
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [compiler, "-p", join(folder, "tsconfig.json")]);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Running {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
}

function startDriver(verb: string, env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [join(folder, "driver.js"), verb], {
    env: { ...process.env, ...env },
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (data) => {
    output.stdout += data;
  });
  child.stderr.on("data", (data) => {
    output.stderr += data;
  });
  return { child, output, ended: new Promise((resolve) => child.on("close", resolve)) };
}

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe("runProcess", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "%s lets the verb stop cleanly and exits with 130",
    async (signal) => {
      const { child, output, ended } = startDriver("wait");
      await waitFor(() => output.stdout.includes("ready"));
      child.kill(signal);
      expect(await ended).toBe(130);
      expect(output.stdout).toBe("ready\nstopped cleanly\n");
      expect(output.stderr).toBe("Stopping cleanly. Ctrl-C again to quit at once.\n");
    },
  );

  it("a second Ctrl-C ends a verb that does not stop", async () => {
    const { child, output, ended } = startDriver("wait", { STUBBORN: "1" });
    await waitFor(() => output.stdout.includes("ready"));
    child.kill("SIGINT");
    await waitFor(() => output.stderr.includes("again"));
    child.kill("SIGINT");
    expect(await ended).toBe(130);
  });

  it("ends quietly when the reader closes the pipe", async () => {
    const { child, output, ended } = startDriver("pour");
    await waitFor(() => output.stdout.length > 0);
    child.stdout!.destroy();
    expect(await ended).toBe(0);
    expect(output.stderr).toBe("");
  });

  it("exits with 1 after an error", async () => {
    const { output, ended } = startDriver("wiat");
    expect(await ended).toBe(1);
    expect(output.stderr).toContain('Did you mean "plinth wait"?');
  });
});
