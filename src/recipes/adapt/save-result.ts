import { join } from "node:path";
import { mergeAdapter } from "../../adapt/merge-adapter.ts";
import { loadAdapter, saveAdapter } from "../../adapt/peft/adapter-file.ts";
import { type HostWeights, isQuantized } from "../../core/weights.ts";
import { writeFileAtomic } from "../../hub/atomic-write.ts";
import type { BaseModel } from "./method.ts";
import type { PreparedTask } from "./task.ts";
import type { Trainee } from "./trainee.ts";

/** What is written when a run has finished. */
export interface Result<M extends BaseModel> {
  readonly prepared: PreparedTask<M>;
  readonly trainee: Trainee<M>;
  /** Of what was trained. */
  readonly bestWeights: HostWeights;
  readonly baseName: string;
  /** The model card, Markdown. */
  readonly card: string;
}

/**
 * Writes an adapter in PEFT's layout where there is one, and the whole model where there is none, or a new head; see {@link savesWhole}.
 *
 * @throws {EnvironmentError} if the directory holds something else or the system refuses.
 */
export function saveResult<M extends BaseModel>(
  directory: string,
  modelDirectory: string,
  result: Result<M>,
): void {
  const { prepared, trainee, bestWeights, baseName, card } = result;
  const writeFiles = () => {
    for (const [name, text] of Object.entries(prepared.files ?? {}))
      writeFileAtomic(join(directory, name), text);
  };
  if (!trainee.adapter) {
    prepared.save(directory, new Map([...trainee.frozen, ...bestWeights]), card);
    writeFiles();
    return;
  }
  const base = { model: prepared.model, weights: prepared.weights };
  saveAdapter(directory, {
    base,
    ...{ baseName, adapter: trainee.adapter, weights: bestWeights, card },
    modulesToSave: prepared.headModules,
  });
  writeFiles();
  if (!savesWhole(prepared)) return;
  prepared.save(modelDirectory, mergeAdapter(base.weights, loadAdapter(directory, base)), card);
}

/**
 * Whether a whole model is written beside an adapter: where the head is new, for those who do not read it and its labels from the
 * adapter's file. A quantised base cannot take an adapter in.
 */
export function savesWhole<M extends BaseModel>({ head, weights }: PreparedTask<M>): boolean {
  return head.length > 0 && [...weights.values()].every((weight) => !isQuantized(weight));
}
