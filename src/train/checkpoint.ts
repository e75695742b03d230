import { readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { HostTensor } from "../core/dtype.ts";
import { ConfigError, EnvironmentError, FormatError, type PlinthError } from "../core/errors.ts";
import {
  asideName,
  finishReplacement,
  removeAbandoned,
  replaceDirectoryAtomic,
  syncDirectory,
  temporaryName,
} from "../hub/atomic-write.ts";
import { writeSynced } from "../hub/file-writer.ts";
import { readJsonFile } from "../hub/read-json-file.ts";
import { SafetensorsFile } from "../hub/safetensors.ts";
import { type NamedTensor, streamSafetensors } from "../hub/safetensors-writer.ts";
import { serializeJson } from "../hub/serialize-json.ts";
import type { JsonValue } from "../hub/strict-json.ts";
import { describeSystemError, isSystemError, withSystemErrors } from "../hub/system-error.ts";
import { STATE_FILE, TENSORS_FILE, verifyCheckpoint, writeManifest } from "./checkpoint-manifest.ts";

const CHECKPOINT_NAME = /^step-([0-9]{8,16})$/;

/** Everything a run needs to continue exactly where it was. */
export interface CheckpointContents {
  /** Optimizer steps done. */
  readonly step: number;
  /** Weights and moments. */
  readonly tensors: Iterable<NamedTensor>;
  /** Schedule, generator states, data cursor, hashes of configuration and tokenizer … */
  readonly state: JsonValue;
}

/** What a save did. */
export interface SavedCheckpoint {
  readonly path: string;
  readonly saveMs: number;
  /** Size of all its files. */
  readonly bytes: number;
}

/** A verified checkpoint open for reading. */
export interface LoadedCheckpoint {
  readonly path: string;
  readonly step: number;
  readonly state: JsonValue;
  readonly names: readonly string[];
  /** Reads one tensor. */
  read(name: string): HostTensor;
  /** Reads one tensor's bytes into memory the caller owns, which must be of exactly its size. */
  readInto(name: string, target: Uint8Array): void;
  close(): void;
}

/** A checkpoint by name; whether it is intact only loading tells. */
export interface CheckpointListing {
  readonly step: number;
  readonly path: string;
}

export interface CheckpointStoreOptions {
  /** How many checkpoints to keep, at least 1. Default 2: should the newest be damaged, one is left. */
  readonly keep?: number;
  /** Told what the user should know, e.g. that a damaged checkpoint was passed over. */
  readonly notice?: (message: string) => void;
}

/**
 * The checkpoints of one run, each a directory `step-00000100` with `tensors.safetensors`, `state.json` and
 * `manifest.json`.
 *
 * A checkpoint is written under a temporary name, forced to the disk, its manifest of sizes and SHA-256 last,
 * and then renamed; older ones go only after that. So whenever the process dies, by `kill -9` too, the newest
 * checkpoint or the one before it loads. Equal contents make equal bytes. Only one process may write to a
 * store at a time; `acquireRunLock` sees to that.
 *
 * @example
 * const store = new CheckpointStore("run/checkpoints");
 * store.save({ step: 100, tensors: [["wte.weight", tensor]], state: { cursor: 6400 } });
 * const checkpoint = store.latest(); // step 100
 */
export class CheckpointStore {
  readonly directory: string;
  readonly #keep: number;
  readonly #notice: (message: string) => void;

  /** @throws {ConfigError} if `keep` is not an integer ≥ 1. Nothing is created until the first save. */
  constructor(directory: string, options: CheckpointStoreOptions = {}) {
    this.directory = directory;
    this.#keep = options.keep ?? 2;
    this.#notice = options.notice ?? (() => {});
    if (!Number.isSafeInteger(this.#keep) || this.#keep < 1) {
      throw new ConfigError({ where: "keep", expected: "an integer ≥ 1", got: `${this.#keep}` });
    }
  }

  /**
   * Saves a checkpoint and makes it the newest: an equal step is replaced; later steps, which a damaged
   * checkpoint or an abandoned continuation left behind, are removed with a notice.
   *
   * @throws {EnvironmentError} if the system refuses, e.g. a full disk. Earlier checkpoints are intact and
   *   nothing half-written is left.
   * @throws {DataError} if the state holds what JSON cannot, such as NaN.
   */
  save(contents: CheckpointContents): SavedCheckpoint {
    const { step, tensors } = contents;
    const started = performance.now();
    const path = join(this.directory, checkpointName(step));
    const state = serializeJson(contents.state, STATE_FILE);
    const bytes = this.#explained(path, () => {
      this.#sweep();
      return replaceDirectoryAtomic(path, (temporary) => {
        const files = {
          [STATE_FILE]: writeSynced(join(temporary, STATE_FILE), state),
          [TENSORS_FILE]: streamSafetensors(join(temporary, TENSORS_FILE), tensors, {}, path),
        };
        syncDirectory(temporary);
        const manifest = writeManifest(temporary, step, files);
        return files[STATE_FILE].sizeBytes + files[TENSORS_FILE].sizeBytes + manifest.sizeBytes;
      });
    });
    try {
      this.#prune(step);
    } catch (error) {
      // The new checkpoint is durable by now: failing to clear away old ones is not failing to save.
      if (!(error instanceof EnvironmentError)) throw error;
      this.#notice(error.message);
    }
    return { path, saveMs: performance.now() - started, bytes };
  }

  /**
   * Opens the newest checkpoint whose files all have the recorded size and SHA-256. Damaged ones are passed
   * over with a notice that says what is wrong. What killed processes left behind is cleared away first.
   *
   * @returns `undefined` if nothing was saved yet
   * @throws {FormatError} if there are checkpoints but none is intact: to begin again from nothing is for the
   *   user to decide.
   */
  latest(): LoadedCheckpoint | undefined {
    withSystemErrors(this.directory, "a checkpoint directory", () => this.#sweep());
    const listed = this.list().toReversed();
    for (const [i, listing] of listed.entries()) {
      try {
        return openCheckpoint(listing);
      } catch (error) {
        if (!isDamage(error)) throw error;
        const next = i + 1 < listed.length ? "; trying the one before it" : "";
        this.#notice(`checkpoint ${listing.path} is damaged: ${error.message}${next}`);
      }
    }
    if (listed.length === 0) return undefined;
    throw new FormatError({
      where: this.directory,
      expected: "at least one intact checkpoint",
      got: `${listed.length} damaged`,
      fix: "Start again in another directory.",
    });
  }

  /** The checkpoints there are, oldest first. */
  list(): readonly CheckpointListing[] {
    return withSystemErrors(this.directory, "a checkpoint directory", () =>
      namesIn(this.directory)
        .flatMap((name) => {
          const [, digits] = CHECKPOINT_NAME.exec(name) ?? [];
          return digits === undefined ? [] : [{ step: Number(digits), path: join(this.directory, name) }];
        })
        .sort((a, b) => a.step - b.step),
    );
  }

  /** Clears away what processes that died left: temporary directories, and replacements cut off half-way. */
  #sweep(): void {
    removeAbandoned(this.directory, (name) => CHECKPOINT_NAME.test(name));
    for (const name of namesIn(this.directory)) {
      const replaced = name.slice(0, -asideName("").length);
      if (name === asideName(replaced) && CHECKPOINT_NAME.test(replaced)) {
        finishReplacement(join(this.directory, replaced));
      }
    }
  }

  #prune(newest: number): void {
    const others = this.list().filter(({ step }) => step !== newest);
    const later = others.filter(({ step }) => step > newest);
    const earlier = others.filter(({ step }) => step < newest);
    const surplus = earlier.slice(0, Math.max(0, earlier.length - (this.#keep - 1)));
    for (const { step, path } of [...surplus, ...later]) {
      if (step > newest) this.#notice(`removing checkpoint ${path}: the run went on from before it`);
      withSystemErrors(path, "an old checkpoint that can be removed", () => discard(path));
    }
  }

  /** A failed save is bad news; whoever reads of it wants to know at once what is left. */
  #explained<T>(path: string, save: () => T): T {
    try {
      return save();
    } catch (cause) {
      if (!isSystemError(cause)) throw cause;
      const previous = this.list().at(-1);
      const kept = previous ? `The previous checkpoint, step ${previous.step}, is intact.` : "";
      const advice = /^(ENOSPC|EDQUOT)$/.test(cause.code) ? "Free some space and resume." : "Check the disk.";
      throw new EnvironmentError(
        {
          where: path,
          expected: "a checkpoint that can be written",
          got: describeSystemError(cause),
          fix: [kept, advice].filter(Boolean).join(" "),
        },
        { cause },
      );
    }
  }
}

function checkpointName(step: number): string {
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new ConfigError({ where: "checkpoint step", expected: "an integer ≥ 0", got: `${step}` });
  }
  return `step-${String(step).padStart(8, "0")}`;
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isSystemError(error) && error.code === "ENOENT") return [];
    throw error;
  }
}

/** Renamed first: a removal cut off half-way must not leave something that looks like a checkpoint. */
function discard(path: string): void {
  const temporary = temporaryName(path);
  renameSync(path, temporary);
  rmSync(temporary, { recursive: true });
}

/** A bad disk is damage too; a lack of permission or of open files is no reason to lose progress. */
function isDamage(error: unknown): error is PlinthError {
  if (error instanceof FormatError) return true;
  return error instanceof EnvironmentError && isSystemError(error.cause) && error.cause.code === "EIO";
}

function openCheckpoint({ step, path }: CheckpointListing): LoadedCheckpoint {
  verifyCheckpoint(path, step);
  const state = readJsonFile(join(path, STATE_FILE));
  const file = SafetensorsFile.open(join(path, TENSORS_FILE));
  return {
    path,
    step,
    state,
    names: [...file.tensors.keys()],
    read: (name) => file.read(name),
    readInto: (name, target) => file.readInto(name, target),
    close: () => file.close(),
  };
}
