import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { countParameters } from "../../nn/scope.ts";
import type { CostRow } from "../../train/report/cost-table.ts";
import { formatDuration, formatSi } from "../../train/report/quantities.ts";
import type { TrainResult } from "../../train/train-run.ts";
import type { BaseModel } from "./method.ts";
import type { PreparedTask } from "./task.ts";
import type { Trainee } from "./trainee.ts";

/** What an adaptation took, and what its base is. */
export interface Costs {
  readonly trainedParameters: number;
  readonly baseParameters: number;
  readonly flops: number;
  readonly seconds: number;
  /** Of what was saved. */
  readonly bytes: number;
  readonly baseBytes: number;
  /** The same for people. */
  readonly rows: readonly CostRow[];
}

/** Counts parameters, operations, seconds and bytes. */
export function measureCosts<M extends BaseModel>({
  prepared,
  trainee,
  result,
  baseDirectory,
  resultDirectory,
}: {
  readonly prepared: PreparedTask<M>;
  readonly trainee: Trainee<M>;
  readonly result: TrainResult;
  readonly baseDirectory: string;
  readonly resultDirectory: string;
}): Costs {
  const trainedParameters = countParameters(trainee.objective.model.parameters);
  const baseParameters = countParameters(prepared.model.parameters);
  const [bytes, baseBytes] = [sizeOf(resultDirectory), sizeOf(baseDirectory)];
  const { totalFlops: flops, seconds } = result;
  const rows: CostRow[] = [
    {
      label: "parameters trained",
      value: formatSi(trainedParameters, ""),
      base: formatSi(baseParameters, ""),
      share: trainedParameters / baseParameters,
    },
    {
      label: "bytes on disk",
      value: formatSi(bytes, "B"),
      base: formatSi(baseBytes, "B"),
      share: bytes / baseBytes,
    },
    { label: "operations of training", value: formatSi(flops, "FLOP") },
    { label: "time", value: formatDuration(seconds) },
  ];
  return { trainedParameters, baseParameters, flops, seconds, bytes, baseBytes, rows };
}

/** Bytes of a folder's files. */
function sizeOf(directory: string): number {
  return readdirSync(directory).reduce((sum, name) => {
    const status = statSync(join(directory, name));
    return sum + (status.isFile() ? status.size : 0);
  }, 0);
}
