import { readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { FormatError } from "../core/errors.ts";
import { digestFile, type FileDigest, writeSynced } from "../hub/file-writer.ts";
import { serializeJson } from "../hub/serialize-json.ts";
import {
  decodeUtf8,
  describeJson,
  isJsonObject,
  type JsonValue,
  parseStrictJson,
} from "../hub/strict-json.ts";
import { withSystemErrors } from "../hub/system-error.ts";

/** The tensors of a checkpoint. */
export const TENSORS_FILE = "tensors.safetensors";

/** Everything else that changes while training. */
export const STATE_FILE = "state.json";

/** Size and digest of the other files; written last, so a checkpoint without it is not finished. */
export const MANIFEST_FILE = "manifest.json";

/** A manifest is a few hundred bytes; more is damage, and is not read. */
const MAX_MANIFEST_BYTES = 4096;

/** Digests of a checkpoint's files, by file name. */
export type CheckpointDigests = Readonly<Record<typeof STATE_FILE | typeof TENSORS_FILE, FileDigest>>;

/** Writes the manifest and forces it to the disk. System errors pass unchanged. */
export function writeManifest(directory: string, step: number, files: CheckpointDigests): FileDigest {
  return writeSynced(join(directory, MANIFEST_FILE), manifestText(step, files));
}

/**
 * Checks that a checkpoint is whole and unaltered: the manifest is, byte for byte, what would be written for
 * this step and these files, and each file has the size and SHA-256 it names.
 *
 * @throws {FormatError} naming the file with the expected and actual size or digest.
 * @throws {EnvironmentError} if a file cannot be read.
 */
export function verifyCheckpoint(directory: string, step: number): void {
  withSystemErrors(directory, "a readable checkpoint", () => {
    const text = readManifestText(directory);
    const recorded = parseManifest(text, basename(directory), step);
    if (text !== manifestText(step, recorded)) {
      damaged(MANIFEST_FILE, "the manifest as it was written", "an altered one");
    }
    for (const name of [STATE_FILE, TENSORS_FILE] as const) {
      const { sizeBytes, sha256 } = recorded[name];
      const actualBytes = sizeOf(directory, name);
      if (actualBytes !== sizeBytes) damaged(name, `${sizeBytes} bytes`, `${actualBytes}`);
      const actual = digestFile(join(directory, name));
      if (actual.sha256 !== sha256) damaged(name, `SHA-256 ${sha256}`, actual.sha256);
    }
  });
}

/** Fixed key order, so equal checkpoints have equal manifests. */
function manifestText(step: number, files: CheckpointDigests): string {
  const [state, tensors] = [files[STATE_FILE], files[TENSORS_FILE]].map(({ sizeBytes, sha256 }) => ({
    sizeBytes,
    sha256,
  }));
  const manifest = {
    format: "plinth-checkpoint",
    version: 1,
    step,
    files: { [STATE_FILE]: state, [TENSORS_FILE]: tensors },
  };
  return serializeJson(manifest, MANIFEST_FILE);
}

function readManifestText(directory: string): string {
  const size = sizeOf(directory, MANIFEST_FILE);
  if (size > MAX_MANIFEST_BYTES) damaged(MANIFEST_FILE, `at most ${MAX_MANIFEST_BYTES} bytes`, `${size}`);
  return decodeUtf8(readFileSync(join(directory, MANIFEST_FILE)), MANIFEST_FILE);
}

function parseManifest(text: string, directoryName: string, step: number): CheckpointDigests {
  const manifest = parseStrictJson(text, MANIFEST_FILE);
  const { step: recordedStep, files } = isJsonObject(manifest) ? manifest : {};
  if (recordedStep !== step) {
    damaged(MANIFEST_FILE, `step ${step} as in ${directoryName}`, describeJson(recordedStep));
  }
  return { [STATE_FILE]: digestOf(files, STATE_FILE), [TENSORS_FILE]: digestOf(files, TENSORS_FILE) };
}

function digestOf(files: JsonValue | undefined, name: string): FileDigest {
  const entry = isJsonObject(files) ? files[name] : undefined;
  const { sizeBytes, sha256 } = isJsonObject(entry) ? entry : {};
  if (typeof sizeBytes === "number" && typeof sha256 === "string") return { sizeBytes, sha256 };
  return damaged(MANIFEST_FILE, `the size and SHA-256 of ${name}`, describeJson(entry));
}

function sizeOf(directory: string, name: string): number {
  const status = statSync(join(directory, name), { throwIfNoEntry: false });
  if (!status?.isFile()) damaged(name, "a file", status ? "something not a file" : "no such file");
  return status.size;
}

function damaged(where: string, expected: string, got: string): never {
  throw new FormatError({ where, expected, got });
}
