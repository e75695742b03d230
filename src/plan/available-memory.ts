import { readFileSync } from "node:fs";
import { freemem } from "node:os";

/** Limits of the control group that the process is in, version 2 and 1: what it may use, and what it does. */
const GROUP_FILES = [
  ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"],
  ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"],
] as const;

/** How system files are read; `undefined` for one that is not there. */
export type ReadSystemFile = (path: string) => string | undefined;

/**
 * Bytes of memory that a program could still take: on Linux what the kernel would give without swapping, caches included,
 * within the limit of a container; elsewhere what is free.
 */
export function availableMemory(read: ReadSystemFile = readSystemFile): number {
  const [, kilobytes] = /^MemAvailable:\s+(\d+) kB$/m.exec(read("/proc/meminfo") ?? "") ?? [];
  const ofSystem = kilobytes === undefined ? freemem() : Number(kilobytes) * 1024;
  const ofGroups = GROUP_FILES.map(([limit, usage]) => Number(read(limit)) - Number(read(usage) ?? 0));
  // "max" and a missing file are no number, and no limit.
  return Math.max(0, Math.min(ofSystem, ...ofGroups.filter(Number.isFinite)));
}

function readSystemFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // another system
  }
}
