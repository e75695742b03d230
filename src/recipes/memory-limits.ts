import type { TrainingMemoryCheck } from "../plan/check-training-memory.ts";

/** What a whole run is told of memory. */
export interface MemoryLimits {
  /** Refuses a run that will not fit into memory before it begins; default: yes. */
  readonly checkMemory?: boolean;
  /** Bytes that the process may come to hold; default: what the machine has. */
  readonly memoryLimit?: number;
}

/** The same as the check takes it. */
export function limitsOf({ checkMemory = true, memoryLimit }: MemoryLimits): TrainingMemoryCheck {
  return { refuses: checkMemory, ...(memoryLimit !== undefined && { available: memoryLimit }) };
}
