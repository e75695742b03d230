import { describe, expect, it } from "vitest";
import { createDoctor, type EngineProbe, judgeEngine, judgeMachine } from "./doctor.ts";
import { makeFakeStream } from "./fake-stream.ts";
import { describeMachine, type Machine, readMachine } from "./machine.ts";
import { runCli } from "./run-cli.ts";

const GIB = 2 ** 30;

const machine: Machine = {
  platform: "linux x64",
  nodeVersion: "20.19.0",
  cpuModel: "A processor",
  numCores: 2,
  memoryBytes: 16 * GIB,
  memoryFreeBytes: 8 * GIB,
  diskFreeBytes: 50 * GIB,
};

const engine: EngineProbe = { version: "1.30.0", libraryPath: "/lib/onnx.so", matmulGflops: 128.4 };

function find(name: string, changed: Partial<Machine> = {}) {
  return judgeMachine({ ...machine, ...changed }).find((finding) => finding.name === name)!;
}

async function runDoctor(words: string[], probe: () => Promise<EngineProbe>) {
  const stdout = makeFakeStream();
  const stderr = makeFakeStream();
  const doctor = createDoctor(probe);
  const code = await runCli(["doctor", ...words], {
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: {},
    signal: new AbortController().signal,
    verbs: { doctor: { summary: doctor.summary, load: async () => doctor } },
  });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

describe("judgeMachine", () => {
  it.each([
    ["20.19.0", "ok"],
    ["20.20.2", "ok"],
    ["22.0.0", "ok"],
    ["20.18.3", "missing"],
    ["18.20.0", "missing"],
  ])("finds Node %s %s", (nodeVersion, status) => {
    expect(find("node", { nodeVersion }).status).toBe(status);
  });

  it("says how to mend an old Node", () => {
    expect(find("node", { nodeVersion: "18.0.0" }).fix).toBe("Install Node 20.19 or newer from nodejs.org.");
  });

  it("warns of little memory and disk", () => {
    expect(find("memory")).toEqual({ name: "memory", status: "ok", value: "8.0 GiB free" });
    expect(find("memory", { memoryFreeBytes: GIB })).toMatchObject({
      status: "warning",
      value: "1.0 GiB free, 2 GiB wanted",
    });
    expect(find("disk", { diskFreeBytes: GIB / 2 })).toMatchObject({ status: "warning" });
    expect(find("disk", { diskFreeBytes: GIB / 2 }).fix).toBeTruthy();
  });
});

describe("judgeEngine", () => {
  it("shows version, speed and place", () => {
    expect(judgeEngine(engine).value).toBe("ONNX Runtime 1.30.0, 128 GFLOP/s, /lib/onnx.so");
  });
});

describe("plinth doctor", () => {
  it("exits 0 when all is there", async () => {
    const { code, stdout, stderr } = await runDoctor([], async () => engine);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^ok {7}node {7}\d+\.\d+\.\d+\n/);
    expect(stdout).toContain("ok       engine     ONNX Runtime 1.30.0");
    expect(stdout).toContain("terminal");
  });

  it("exits 1 when the engine does not load, and says how to mend it", async () => {
    const { code, stdout, stderr } = await runDoctor([], () => Promise.reject(new Error("no koffi\nat x")));
    expect(code).toBe(1);
    expect(stdout).toContain("missing  engine     no koffi\n");
    expect(stdout).toContain("Run: npm install --ignore-scripts onnxruntime-node koffi");
    expect(stderr).toBe("plinth: doctor: expected everything Plinth needs, got 1 missing (engine).\n");
  });

  it("answers in JSON", async () => {
    const { stdout } = await runDoctor(["--json"], async () => engine);
    const answer = JSON.parse(stdout);
    expect(answer).toMatchObject({ ready: true, engine, machine: { nodeVersion: process.versions.node } });
    const failed = await runDoctor(["--json"], () => Promise.reject(new Error("no")));
    expect(JSON.parse(failed.stdout)).toMatchObject({ ready: false, engine: { error: "no" } });
    expect(failed.code).toBe(1);
  });
});

describe("readMachine", () => {
  it("finds plausible figures", () => {
    const here = readMachine();
    expect(here.numCores).toBeGreaterThanOrEqual(1);
    expect(here.memoryFreeBytes).toBeGreaterThan(0);
    expect(here.memoryFreeBytes).toBeLessThanOrEqual(here.memoryBytes);
    expect(here.diskFreeBytes).toBeGreaterThan(0);
  });

  it("is described in a line", () => {
    expect(describeMachine(machine)).toBe("A processor, 2 cores, 16.0 GiB memory, Node 20.19.0 on linux x64");
    expect(describeMachine({ ...machine, numCores: 1 })).toContain(", 1 core,");
  });
});
