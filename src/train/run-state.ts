import { ConfigError, ShapeError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { sameShape, showShape } from "../core/shape.ts";
import { isQuantized, type Weight } from "../core/weights.ts";
import { readStored } from "../engine/stored-tensor.ts";
import { initializeParameters } from "../nn/scope.ts";
import type { CheckpointStore, LoadedCheckpoint, SavedCheckpoint } from "./checkpoint.ts";
import { flopsOf } from "./flops.ts";
import type { ParameterArena } from "./parameter-arena.ts";
import type { BestResult, ReadyRun, RunIdentity } from "./train-run.ts";

/** Everything that changes in a run, besides weights, moments and the place in the examples. */
export interface Progress {
  step: number;
  best: BestResult | null;
  /** Validations since the best one. */
  validationsSinceBest: number;
  skipped: number;
  /** How many of the last steps were skipped one after the other. */
  skipsInRow: number;
  seconds: number;
  /** Floating-point operations spent so far. */
  flops: number;
}

/**
 * The start of a new run, with its first weights in the arena.
 *
 * @throws {ConfigError} if the store already has checkpoints.
 * @throws {ShapeError} if initial weights are missing or do not fit.
 */
export function beginRun(run: ReadyRun, store: CheckpointStore, arena: ParameterArena): Progress {
  const existing = store.list().at(-1);
  if (existing) {
    throw new ConfigError({
      where: store.directory,
      expected: "no checkpoints yet",
      got: `those of a run up to step ${existing.step}`,
      fix: "Resume that run, or choose another directory.",
    });
  }
  const fresh = new Random(run.options.seed).fork("weights");
  const values = run.initialWeights ?? initializeParameters(run.objective.model.parameters, fresh);
  for (const [path, target] of arena.weights()) {
    const value = values.get(path);
    if (!value || isQuantized(value) || value.dtype !== "float32" || !sameShape(value.shape, target.shape)) {
      throw new ShapeError({
        where: `initial weights, ${path}`,
        expected: `float32 ${showShape(target.shape)}`,
        got: showWeight(value),
      });
    }
    (target.data as Float32Array).set(readStored(value).data as Float32Array);
  }
  return emptyProgress();
}

/**
 * Where a run stood when it was last saved; arena and examples are set to it.
 *
 * @throws {ConfigError} if there is nothing to resume, or it is of another configuration, tokenizer or data.
 */
export function restoreRun(run: ReadyRun, store: CheckpointStore, arena: ParameterArena): Progress {
  const checkpoint = store.latest();
  if (!checkpoint) {
    throw new ConfigError({
      where: store.directory,
      expected: "a checkpoint to resume from",
      got: "none",
      fix: "Start without --resume.",
    });
  }
  try {
    const { identity, sampler, ...progress } = checkpoint.state as unknown as Progress & {
      readonly identity: RunIdentity;
      readonly sampler: unknown;
    };
    checkIdentity(checkpoint, identity, run.identity);
    for (const [name, { data }] of arena.lasting()) {
      checkpoint.readInto(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    run.examples.restore(sampler);
    return { ...emptyProgress(), ...flopsBefore(run, progress.step), ...progress };
  } finally {
    checkpoint.close();
  }
}

/** Saves all that {@link restoreRun} needs. */
export function saveRun(
  run: ReadyRun,
  store: CheckpointStore,
  arena: ParameterArena,
  progress: Progress,
): SavedCheckpoint {
  const state = { ...progress, sampler: run.examples.state(), identity: run.identity };
  return store.save({
    step: progress.step,
    tensors: arena.lasting(),
    state: JSON.parse(JSON.stringify(state)),
  });
}

function emptyProgress(): Progress {
  return {
    ...{ step: 0, best: null, validationsSinceBest: 0 },
    ...{ skipped: 0, skipsInRow: 0, seconds: 0, flops: 0 },
  };
}

/** Checkpoints of version 0.1 and 0.2 count no operations: their batches were all of one shape. */
function flopsBefore({ objective, options }: ReadyRun, step: number): Pick<Progress, "flops"> {
  return { flops: step * options.accumulation * flopsOf(objective, options) };
}

function checkIdentity({ path }: LoadedCheckpoint, saved: RunIdentity, wanted: RunIdentity): void {
  for (const [key, what] of [
    ["configHash", "configuration"],
    ["tokenizerHash", "tokenizer"],
    ["dataHash", "data"],
  ] as const) {
    if (saved[key] === wanted[key]) continue;
    throw new ConfigError({
      where: path,
      expected: `the ${what} that the run began with`,
      got: "a different one",
      fix: "Resume with the same settings, or start a new run in another directory.",
    });
  }
}

function showWeight(weight: Weight | undefined): string {
  if (!weight) return "nothing";
  return isQuantized(weight) ? weight.scheme : `${weight.dtype} ${showShape(weight.shape)}`;
}
