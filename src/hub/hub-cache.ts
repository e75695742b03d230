import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { FormatError } from "../core/errors.ts";
import { writeFileAtomic } from "./atomic-write.ts";
import type { RemoteFile } from "./model-files.ts";
import { SHARD_INDEX, SINGLE_WEIGHTS } from "./model-weights.ts";
import { readJsonObject } from "./read-json-file.ts";
import { isJsonObject } from "./strict-json.ts";
import { withSystemErrors } from "./system-error.ts";

/** Variables that Python's `huggingface_hub` reads, too. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where models are kept: the same place as Python's, so both find what either downloaded. */
export function cacheDirectory(env: Environment): string {
  const direct = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  if (direct) return expandHome(direct);
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  return join(expandHome(home), "hub");
}

/** As Python does, for values that no shell has expanded. */
function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}

const COMMIT = /^[0-9a-f]{40}$/;

const CONSOLIDATED_INDEX = "consolidated.safetensors.index.json";
/** What Mistral's own layout begins with; the loader sees whether more follows without a gap. */
const CONSOLIDATED = ["consolidated.safetensors", "consolidated.00.safetensors"];

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

  /** True if content is there, whole as far as its size tells; its hash was checked when it came. */
  hasContent({ etag, sizeBytes }: RemoteFile): boolean {
    return statSync(this.blob(etag), { throwIfNoEntry: false })?.size === sizeBytes;
  }

  /**
   * Checks that no link in this model's part of the cache leads out of it: we would read, or write, what is not the cache's.
   *
   * @throws {FormatError} if one does.
   */
  checkLinks(commit: string): void {
    if (!existsSync(this.path)) return;
    const blobs = join(this.path, "blobs");
    const snapshot = this.snapshot(commit);
    withSystemErrors(this.path, "a readable cache", () => {
      const home = realpathSync(this.path);
      for (const directory of [blobs, join(this.path, "refs"), snapshot]) {
        if (existsSync(directory)) checkInside(directory, home);
      }
      for (const directory of [blobs, snapshot]) {
        if (!existsSync(directory)) continue;
        for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
          const path = join(entry.parentPath, entry.name);
          if (entry.isSymbolicLink() && existsSync(path)) checkInside(path, home);
        }
      }
    });
  }

  /** True if a snapshot has a configuration and all its weights. */
  isComplete(commit: string): boolean {
    const directory = this.snapshot(commit);
    const has = (name: string) => existsSync(join(directory, name)); // false for a link whose blob is not there
    if (has(SINGLE_WEIGHTS)) return has("config.json");
    const hasShards = (index: string) => {
      const map = readJsonObject(join(directory, index)).weight_map;
      const shards = isJsonObject(map) ? new Set(Object.values(map)) : new Set();
      return [...shards].every((shard) => typeof shard === "string" && has(shard));
    };
    if (has(SHARD_INDEX)) return has("config.json") && hasShards(SHARD_INDEX);
    if (!has("params.json")) return false;
    if (has(CONSOLIDATED_INDEX)) return hasShards(CONSOLIDATED_INDEX);
    return CONSOLIDATED.some(has);
  }
}

function checkInside(path: string, home: string): void {
  const real = realpathSync(path);
  if (real.startsWith(home + sep)) return;
  throw new FormatError({
    where: path,
    expected: "a link that stays in its model's part of the cache",
    got: `one to ${real}`,
    fix: "Remove it.",
  });
}

function linksTo(place: string, target: string): boolean {
  try {
    return readlinkSync(place) === target;
  } catch {
    return false; // nothing there, or a file
  }
}
