import { EnvironmentError } from "../core/errors.ts";
import { isLiveTerminal, wantsColor } from "./display.ts";
import { type Machine, readMachine } from "./machine.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** What a look at the engine found. The probe rejects when the engine does not load. */
export interface EngineProbe {
  readonly version: string;
  readonly libraryPath: string;
  /** Measured with a float32 product of 1024 × 1024 matrices. */
  readonly matmulGflops: number;
}

/** One line of the doctor's answer. */
export interface Finding {
  readonly name: string;
  readonly status: "ok" | "warning" | "missing";
  readonly value: string;
  /** How to mend it; present unless the status is `ok`. */
  readonly fix?: string;
}

const NODE_FLOOR = [20, 19] as const;
const GIB = 2 ** 30;

/** Below these a small model still trains, but not much more. */
const MEMORY_WANTED = 2 * GIB;
const DISK_WANTED = 1 * GIB;

const MARKS = { ok: "ok     ", warning: "warning", missing: "missing" } as const;

/** The verb `doctor`, given how to look at the engine. */
export function createDoctor(probeEngine: () => Promise<EngineProbe>): Verb {
  return defineVerb({
    name: "doctor",
    summary: "what this machine can do",
    positionals: [],
    flags: {},
    example: "plinth doctor",
    async run({ out }) {
      const machine = readMachine();
      const engine = await tryProbe(probeEngine);
      const findings = [
        ...judgeMachine(machine),
        judgeEngine(engine),
        describeTerminal(process.stdout, process.env),
      ];
      const missing = findings.filter(({ status }) => status === "missing");
      out.result({ ready: missing.length === 0, machine, engine, findings }, renderFindings(findings));
      if (missing.length > 0) {
        throw new EnvironmentError({
          where: "doctor",
          expected: "everything Plinth needs",
          got: `${missing.length} missing (${missing.map(({ name }) => name).join(", ")})`,
        });
      }
    },
  });
}

/** The machine against what Plinth needs. */
export function judgeMachine(machine: Machine): Finding[] {
  return [
    judgeNode(machine.nodeVersion),
    { name: "processor", status: "ok", value: `${machine.cpuModel} (${machine.platform})` },
    { name: "cores", status: "ok", value: String(machine.numCores) },
    judgeRoom(
      "memory",
      machine.memoryFreeBytes,
      MEMORY_WANTED,
      "Close other programs, or train a smaller model.",
    ),
    judgeRoom("disk", machine.diskFreeBytes, DISK_WANTED, "Free some space, or work in another directory."),
  ];
}

/** The engine's answer, or what was said in place of one. */
export function judgeEngine(engine: EngineProbe | { readonly error: string }): Finding {
  if ("error" in engine) {
    return {
      name: "engine",
      status: "missing",
      value: engine.error,
      fix: "Run: npm install --ignore-scripts onnxruntime-node koffi",
    };
  }
  const speed = `${engine.matmulGflops.toFixed(0)} GFLOP/s`;
  return {
    name: "engine",
    status: "ok",
    value: `ONNX Runtime ${engine.version}, ${speed}, ${engine.libraryPath}`,
  };
}

function judgeNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [floorMajor, floorMinor] = NODE_FLOOR;
  const isOld = major < floorMajor || (major === floorMajor && minor < floorMinor);
  const finding = { name: "node", value: version };
  if (!isOld) return { ...finding, status: "ok" };
  return {
    ...finding,
    status: "missing",
    fix: `Install Node ${floorMajor}.${floorMinor} or newer from nodejs.org.`,
  };
}

function judgeRoom(name: string, freeBytes: number, wantedBytes: number, fix: string): Finding {
  const value = `${(freeBytes / GIB).toFixed(1)} GiB free`;
  if (freeBytes >= wantedBytes) return { name, status: "ok", value };
  return { name, status: "warning", value: `${value}, ${wantedBytes / GIB} GiB wanted`, fix };
}

function describeTerminal(
  stream: NodeJS.WriteStream,
  env: Readonly<Record<string, string | undefined>>,
): Finding {
  const value = isLiveTerminal(stream, env)
    ? `live display, ${stream.columns} × ${stream.rows}, ${wantsColor(env) ? "colour" : "no colour (NO_COLOR)"}`
    : "not interactive: progress comes as plain lines";
  return { name: "terminal", status: "ok", value };
}

function renderFindings(findings: readonly Finding[]): string {
  const widest = Math.max(...findings.map(({ name }) => name.length));
  return findings
    .flatMap(({ name, status, value, fix }) => {
      const line = `${MARKS[status]}  ${name.padEnd(widest)}  ${value}`;
      return fix ? [line, `${" ".repeat(widest + 11)}${fix}`] : [line];
    })
    .join("\n");
}

async function tryProbe(
  probeEngine: () => Promise<EngineProbe>,
): Promise<EngineProbe | { readonly error: string }> {
  try {
    return await probeEngine();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { error: message.split("\n")[0]! };
  }
}
