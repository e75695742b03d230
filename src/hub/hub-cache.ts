import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { writeFileAtomic } from "./atomic-write.ts";
import { SHARD_INDEX, SINGLE_WEIGHTS } from "./model-weights.ts";
import { readJsonObject } from "./read-json-file.ts";
import { isJsonObject } from "./strict-json.ts";
import { withSystemErrors } from "./system-error.ts";

/** Variables that Python's `huggingface_hub` reads, too. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where models are kept: the same place as Python's, so both find what either downloaded. */
export function cacheDirectory(env: Environment): string {
  const direct = env.HF_HUB_CACHE ?? env.HUGGINGFACE_HUB_CACHE;
  if (direct) return direct;
  const home = env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface");
  return join(home, "hub");
}

const COMMIT = /^[0-9a-f]{40}$/;

/** True for the full hash of a commit, which can never mean anything else later. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/**
 * One model in the cache: `models--owner--name` with `blobs/<etag>`, `refs/<revision>` naming a commit, and
 * `snapshots/<commit>/<file>` linking to blobs.
 */
export class CachedModel {
  readonly path: string;

  constructor(cache: string, id: string) {
    this.path = join(cache, `models--${id.replace("/", "--")}`);
  }

  /** The commit a branch or tag stood for when it was last asked about. */
  commitOf(revision: string): string | undefined {
    if (isCommit(revision)) return revision;
    const path = join(this.path, "refs", revision);
    if (!existsSync(path)) return undefined;
    const commit = withSystemErrors(path, "a readable file", () => readFileSync(path, "utf8").trim());
    return isCommit(commit) ? commit : undefined;
  }

  setRef(revision: string, commit: string): void {
    if (isCommit(revision)) return;
    const path = join(this.path, "refs", revision);
    withSystemErrors(path, "a cache that can be written", () =>
      mkdirSync(dirname(path), { recursive: true }),
    );
    writeFileAtomic(path, commit);
  }

  snapshot(commit: string): string {
    return join(this.path, "snapshots", commit);
  }

  blob(etag: string): string {
    return join(this.path, "blobs", etag);
  }

  /** Puts a blob under its file name; Windows without the right to link gets a copy, as in Python. */
  link(commit: string, file: string, etag: string): void {
    const place = join(this.snapshot(commit), file);
    withSystemErrors(place, "a cache that can be written", () => {
      mkdirSync(dirname(place), { recursive: true });
      const target = relative(dirname(place), this.blob(etag));
      if (linksTo(place, target)) return;
      rmSync(place, { force: true });
      try {
        symlinkSync(target, place);
      } catch (error) {
        if (process.platform !== "win32") throw error;
        copyFileSync(this.blob(etag), place);
      }
    });
  }

  /** True if a snapshot has a configuration and all its weights. */
  isComplete(commit: string): boolean {
    const directory = this.snapshot(commit);
    const has = (name: string) => existsSync(join(directory, name)); // false for a link whose blob is not there
    if (has(SINGLE_WEIGHTS)) return has("config.json");
    if (!has(SHARD_INDEX)) return has("params.json") && has("consolidated.safetensors");
    const map = readJsonObject(join(directory, SHARD_INDEX)).weight_map;
    const shards = isJsonObject(map) ? new Set(Object.values(map)) : new Set();
    return has("config.json") && [...shards].every((shard) => typeof shard === "string" && has(shard));
  }
}

function linksTo(place: string, target: string): boolean {
  try {
    return readlinkSync(place) === target;
  } catch {
    return false; // nothing there, or a file
  }
}
