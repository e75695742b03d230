import { existsSync, mkdirSync, statfsSync, statSync } from "node:fs";
import { ConfigError, EnvironmentError, FormatError, PlinthError } from "../core/errors.ts";
import { describeNetworkError, downloadFile, isNetworkError } from "./download.ts";
import { CachedModel, cacheDirectory, type Environment, isCommit } from "./hub-cache.ts";
import { createHubFetch } from "./hub-fetch.ts";
import { readLicence } from "./model-card.ts";
import { chooseFiles, type ListedFile, type RemoteFile } from "./model-files.ts";
import { checkRevision, type ModelId, parseModelId } from "./model-id.ts";
import { withSystemErrors } from "./system-error.ts";

/** How far a download is, over all of its files together. */
export interface DownloadProgress {
  readonly file: string;
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

/** How a model is found. */
export interface ResolveModelOptions {
  /** Branch, tag or commit; default "main". */
  readonly revision?: string | undefined;
  /** Ask nobody, use what is in the cache. Also by `HF_HUB_OFFLINE=1`. */
  readonly offline?: boolean | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Default: `HF_ENDPOINT`, or huggingface.co. */
  readonly hubUrl?: string | undefined;
  /** Default: `HF_HUB_CACHE` and so on, as in Python. */
  readonly cache?: string | undefined;
  readonly env?: Environment | undefined;
  /** Milliseconds before each further attempt when a connection breaks or the Hub is busy. */
  readonly retryDelaysMs?: readonly number[] | undefined;
}

/** A model on this machine. */
export interface ResolvedModel {
  readonly directory: string;
  /** Of a model from the Hub; undefined for a directory. */
  readonly id: string | undefined;
  /** The commit it was resolved to: what to pin for the same files again. */
  readonly commit: string | undefined;
  /** As its card says. */
  readonly licence: string | undefined;
  readonly downloadedBytes: number;
}

const HUB = "https://huggingface.co";
const MAX_FILES = 20_000;
/** Before each further attempt; as many attempts in a row may bring nothing. */
const RETRY_DELAYS_MS = [500, 2000];

/** What one resolution works with. */
interface Job extends ModelId {
  readonly revision: string;
  readonly hubUrl: string;
  readonly token: string | undefined;
  readonly cached: CachedModel;
  readonly options: ResolveModelOptions;
}

/**
 * Finds a model: a directory as it is, or `owner/name[@revision]` from the Hugging Face Hub by way of the cache it shares
 * with Python. Only what a model needs is fetched, a broken download goes on where it stopped, and every file is checked
 * against its hash.
 *
 * @throws {ConfigError} if the words name neither.
 * @throws {EnvironmentError} if there is no such model, no access to it, no connection or no room on the disk.
 * @throws {FormatError} if it has no safetensors, or what arrives is not what its list of files says.
 */
export async function resolveModel(spec: string, options: ResolveModelOptions = {}): Promise<ResolvedModel> {
  const env = options.env ?? process.env;
  if (existsSync(spec)) return resolveDirectory(spec, options);
  const parsed = parseModelId(spec);
  if (!parsed) {
    throw new EnvironmentError({
      where: spec,
      expected: "a model directory, or the id of a model on Hugging Face like owner/name",
      got: "nothing there",
      fix: "Check the path.",
    });
  }
  const job = { ...parsed, ...readPlaces(parsed, options, env), options };
  const isOffline = options.offline ?? /^(1|true|yes|on)$/i.test(env.HF_HUB_OFFLINE ?? "");
  const known = job.cached.commitOf(job.revision);
  if (known !== undefined) job.cached.checkLinks(known);
  const isCached = known !== undefined && job.cached.isComplete(known);
  if (isCached && (isOffline || isCommit(job.revision))) return describe(job, known, 0);
  if (isOffline) throw notInCache(job);
  return fetchModel(job, isCached);
}

function resolveDirectory(directory: string, { revision }: ResolveModelOptions): ResolvedModel {
  if (revision !== undefined) {
    const got = `the directory ${directory}`;
    throw new ConfigError({
      where: "revision",
      expected: "a model on Hugging Face",
      got,
      fix: "Leave it out.",
    });
  }
  const licence = readLicence(directory);
  return { directory, id: undefined, commit: undefined, licence, downloadedBytes: 0 };
}

function readPlaces(
  parsed: ModelId,
  options: ResolveModelOptions,
  env: Environment,
): Omit<Job, "id" | "options"> {
  if (
    parsed.revision !== undefined &&
    options.revision !== undefined &&
    parsed.revision !== options.revision
  ) {
    throw new ConfigError({
      where: "revision",
      expected: `one of them`,
      got: `@${parsed.revision} and ${options.revision}`,
    });
  }
  const revision = parsed.revision ?? options.revision ?? "main";
  checkRevision(revision);
  return {
    revision,
    hubUrl: readHubUrl(options.hubUrl ?? (env.HF_ENDPOINT || HUB)),
    token: readToken(env),
    cached: new CachedModel(options.cache ?? cacheDirectory(env), parsed.id),
  };
}

function readToken({ HF_TOKEN: token }: Environment): string | undefined {
  if (!token) return undefined;
  if (/^hf_[A-Za-z0-9_-]+$/.test(token)) return token;
  throw new ConfigError({
    where: "HF_TOKEN",
    expected: 'a token that begins with "hf_"',
    got: "something else",
  });
}

function readHubUrl(url: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url.replace(/\/+$/, "");
  throw new ConfigError({ where: "HF_ENDPOINT", expected: "the address of a hub", got: JSON.stringify(url) });
}

async function fetchModel(job: Job, isCached: boolean): Promise<ResolvedModel> {
  const { id, cached, revision, options } = job;
  const { commit, listed } = await askHub(job, isCached);
  const files = chooseFiles(id, listed);
  cached.checkLinks(commit);
  const downloadedBytes = await download(job, commit, files);
  for (const { path, etag } of files) cached.link(commit, path, etag);
  cached.setRef(revision, commit);
  options.signal?.throwIfAborted();
  if (!cached.isComplete(commit)) {
    const where = `${id}@${revision}`;
    throw new FormatError({
      where,
      expected: "config.json and all weights its index names",
      got: "not all of them",
    });
  }
  return describe(job, commit, downloadedBytes);
}

/** The commit behind the revision, and the files it has. */
async function askHub(
  job: Job,
  isCached: boolean,
): Promise<{ readonly commit: string; readonly listed: readonly ListedFile[] }> {
  const { id, revision, hubUrl, token, options } = job;
  const { listFiles, modelInfo } = await import("@huggingface/hub");
  const { signal, retryDelaysMs = RETRY_DELAYS_MS } = options;
  const common = {
    hubUrl,
    fetch: createHubFetch({ hubUrl, signal, retryDelaysMs }),
    ...(token && { accessToken: token }),
  };
  try {
    const { sha: commit } = await modelInfo({ ...common, name: id, revision, additionalFields: ["sha"] });
    if (typeof commit !== "string" || !isCommit(commit)) {
      throw new FormatError({
        where: `${hubUrl}, ${id}`,
        expected: "the hash of a commit",
        got: JSON.stringify(commit ?? null),
      });
    }
    const listed: ListedFile[] = [];
    for await (const entry of listFiles({
      ...common,
      repo: { type: "model", name: id },
      revision: commit,
      recursive: true,
    })) {
      listed.push(entry);
      if (listed.length > MAX_FILES) throw endless(id);
    }
    return { commit, listed };
  } catch (error) {
    options.signal?.throwIfAborted();
    throw explain(error, job, isCached);
  }
}

async function download(job: Job, commit: string, files: readonly RemoteFile[]): Promise<number> {
  const { id, hubUrl, token, cached, options } = job;
  const missing = distinct(files.filter((file) => !cached.hasContent(file)));
  const totalBytes = sum(distinct(files).map(({ sizeBytes }) => sizeBytes));
  let done = totalBytes - sum(missing.map(({ sizeBytes }) => sizeBytes));
  const parts = sum(
    missing.map(
      ({ etag }) => statSync(`${cached.blob(etag)}.incomplete`, { throwIfNoEntry: false })?.size ?? 0,
    ),
  );
  checkDisk(cached.path, totalBytes - done - parts);
  for (const file of missing) {
    options.signal?.throwIfAborted();
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    await downloadFile(cached.blob(file.etag), file, {
      url: `${hubUrl}/${id}/resolve/${commit}/${path}`,
      headers: token ? { authorization: `Bearer ${token}` } : {},
      signal: options.signal,
      retryDelaysMs: options.retryDelaysMs ?? RETRY_DELAYS_MS,
      onBytes: (bytes) => options.onProgress?.({ file: file.path, receivedBytes: done + bytes, totalBytes }),
    });
    done += file.sizeBytes;
  }
  return Math.max(0, sum(missing.map(({ sizeBytes }) => sizeBytes)) - parts);
}

/** Files of the same content are one blob. */
function distinct(files: readonly RemoteFile[]): readonly RemoteFile[] {
  return [...new Map(files.map((file) => [file.etag, file])).values()];
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function checkDisk(directory: string, neededBytes: number): void {
  const freeBytes = withSystemErrors(directory, "a cache that can be written", () => {
    mkdirSync(directory, { recursive: true });
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  });
  if (neededBytes <= freeBytes) return;
  throw new EnvironmentError({
    where: directory,
    expected: `${gigabytes(neededBytes)} of free space for the download`,
    got: gigabytes(freeBytes),
    fix: "Free some space, or set HF_HUB_CACHE to a directory on another disk.",
  });
}

function describe({ id, cached }: Job, commit: string, downloadedBytes: number): ResolvedModel {
  const directory = cached.snapshot(commit);
  return { directory, id, commit, licence: readLicence(directory), downloadedBytes };
}

function notInCache({ id, revision, cached }: Job): EnvironmentError {
  return new EnvironmentError({
    where: `${id}@${revision}`,
    expected: `the model in ${cached.path}, as nothing may be downloaded`,
    got: existsSync(cached.path) ? "not this revision, or not all of it" : "none",
    fix: "Go online once: leave out --offline and unset HF_HUB_OFFLINE.",
  });
}

function endless(id: string): FormatError {
  return new FormatError({
    where: id,
    expected: `at most ${MAX_FILES} files`,
    got: "a list that does not end",
  });
}

function explain(error: unknown, { id, revision, hubUrl, token }: Job, isCached: boolean): unknown {
  if (error instanceof PlinthError) return error;
  const where = `${id}@${revision}`;
  const expected = `a model that ${hubUrl} has`;
  if (isNetworkError(error)) {
    const fix = isCached
      ? "It is in the cache: add --offline to use it."
      : "Check the connection, or the path if a directory was meant.";
    const got = `no connection (${describeNetworkError(error)})`;
    return new EnvironmentError({ where, expected: `an answer of ${hubUrl}`, got, fix }, { cause: error });
  }
  const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : undefined;
  if (status === undefined) {
    const got = error instanceof Error ? error.message.split("\n", 1)[0]! : String(error);
    return new FormatError(
      { where: `${hubUrl}, ${where}`, expected: "an answer of the Hub", got },
      { cause: error },
    );
  }
  const failures: Readonly<Record<number, readonly [got: string, fix: string]>> = {
    404: ["none of that name, or no such revision", "Check the spelling; a directory here has to exist."],
    401: [
      token
        ? "no access with this HF_TOKEN, or none of that name"
        : "no access without a token, or none of that name",
      "Check the spelling; for a private model set HF_TOKEN.",
    ],
    403: [
      "no access: the model is gated or private",
      `Ask for access at ${hubUrl}/${id}, then set HF_TOKEN.`,
    ],
  };
  const [got, fix] = failures[status] ?? [`status ${status}`, "Try again later."];
  return new EnvironmentError({ where, expected, got, fix }, { cause: error });
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toPrecision(3)} GB`;
}
