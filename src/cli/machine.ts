import { readFileSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";

/** What the operating system says this process may use. */
export interface Machine {
  readonly platform: string;
  readonly nodeVersion: string;
  readonly cpuModel: string;
  /** After affinity and the container's quota. */
  readonly numCores: number;
  readonly memoryBytes: number;
  readonly memoryFreeBytes: number;
  /** In the current directory. */
  readonly diskFreeBytes: number;
}

/** Reads the machine; takes a few milliseconds. */
export function readMachine(): Machine {
  const limit = process.constrainedMemory(); // 0 or astronomically large where there is none
  const memoryBytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  const disk = statfsSync(process.cwd());
  return {
    platform: `${process.platform} ${process.arch}`,
    nodeVersion: process.versions.node,
    cpuModel: cpus()[0]?.model.trim() || "unknown",
    numCores: Math.min(availableParallelism(), readCpuQuota()),
    memoryBytes,
    memoryFreeBytes: Math.min(process.availableMemory?.() ?? freemem(), memoryBytes),
    diskFreeBytes: disk.bavail * disk.bsize,
  };
}

/** One line, for reports. */
export function describeMachine(machine: Machine): string {
  const memory = `${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB memory`;
  const cores = `${machine.numCores} core${machine.numCores === 1 ? "" : "s"}`;
  return `${machine.cpuModel}, ${cores}, ${memory}, Node ${machine.nodeVersion} on ${machine.platform}`;
}

/** Cores a Linux container may use at once (cgroup v2 `cpu.max`), infinity where nothing says. */
function readCpuQuota(): number {
  try {
    const [quota, period] = readFileSync("/sys/fs/cgroup/cpu.max", "utf8").trim().split(" ").map(Number);
    return quota! > 0 && period! > 0 ? Math.max(1, Math.ceil(quota! / period!)) : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY; // no such file: not Linux, or no quota
  }
}
