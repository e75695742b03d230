import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { EnvironmentError, FormatError } from "../core/errors.ts";
import { replaceDirectoryAtomic } from "./atomic-write.ts";
import { writeSynced } from "./file-writer.ts";
import { readJsonObject } from "./read-json-file.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { type NamedTensor, streamSafetensors } from "./safetensors-writer.ts";
import { serializeJson } from "./serialize-json.ts";
import { describeJson, type JsonObject } from "./strict-json.ts";
import { withSystemErrors } from "./system-error.ts";

/** The configuration of an adapter in PEFT's layout. */
export const ADAPTER_CONFIG = "adapter_config.json";

/** The weights of an adapter in PEFT's layout. */
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";

const CARD = "README.md";

/** What an adapter directory may hold; one with anything else in it is not replaced, so nobody loses a file. */
const KNOWN_FILES: ReadonlySet<string> = new Set([ADAPTER_CONFIG, ADAPTER_WEIGHTS, CARD]);

/** What goes into an adapter directory. */
export interface AdapterDirectoryContents {
  /** Written as `adapter_config.json`. */
  readonly config: object;
  readonly tensors: Iterable<NamedTensor>;
  /** Of the weight file: what Python does not look at. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Written as `README.md`. */
  readonly card: string;
}

/** An adapter directory open for reading. */
export interface AdapterDirectory {
  readonly path: string;
  /** `adapter_config.json` as it stands, not yet checked. */
  readonly config: JsonObject;
  readonly weights: SafetensorsFile;
  close(): void;
}

/** Whether there is an adapter in the directory. */
export function isAdapterDirectory(directory: string): boolean {
  return existsSync(join(directory, ADAPTER_CONFIG));
}

/**
 * Writes an adapter directory in PEFT's layout, whole or not at all; one already there is replaced.
 *
 * @throws {EnvironmentError} if the directory is in other use or the system refuses. What was there is intact.
 */
export function writeAdapterDirectory(directory: string, contents: AdapterDirectoryContents): void {
  const config = serializeJson(contents.config, ADAPTER_CONFIG);
  withSystemErrors(directory, "an adapter directory that can be written", () => {
    checkReplaceable(directory);
    replaceDirectoryAtomic(directory, (temporary) => {
      writeSynced(join(temporary, ADAPTER_CONFIG), config);
      writeSynced(join(temporary, CARD), contents.card);
      const metadata = { format: "pt", ...contents.metadata };
      streamSafetensors(join(temporary, ADAPTER_WEIGHTS), contents.tensors, metadata, directory);
    });
  });
}

/**
 * Opens an adapter directory. Weights are read when asked for.
 *
 * @throws {EnvironmentError} if there is no such directory or it cannot be read.
 * @throws {FormatError} if a file is missing or malformed, or the weights are a pickle.
 */
export function openAdapterDirectory(directory: string): AdapterDirectory {
  const status = statSync(directory, { throwIfNoEntry: false });
  if (!status?.isDirectory()) {
    const got = status ? "a file" : "nothing there";
    throw new EnvironmentError({
      where: directory,
      expected: "an adapter directory",
      got,
      fix: "Check the path.",
    });
  }
  for (const name of [ADAPTER_CONFIG, ADAPTER_WEIGHTS]) checkPresent(directory, name);
  const config = readJsonObject(join(directory, ADAPTER_CONFIG));
  const weights = SafetensorsFile.open(join(directory, ADAPTER_WEIGHTS));
  return { path: directory, config, weights, close: () => weights.close() };
}

function checkPresent(directory: string, name: string): void {
  if (existsSync(join(directory, name))) return;
  const pickle = name === ADAPTER_WEIGHTS && existsSync(join(directory, "adapter_model.bin"));
  throw new FormatError({
    where: directory,
    expected: `an adapter directory with ${name}`,
    got: pickle ? "adapter_model.bin, a Python pickle, which can run any code" : "none",
    ...(pickle && { fix: "Convert it to safetensors where you trust it." }),
  });
}

function checkReplaceable(directory: string): void {
  if (!existsSync(directory)) return;
  const other = readdirSync(directory).find((name) => !KNOWN_FILES.has(name));
  if (other === undefined) return;
  throw new EnvironmentError({
    where: directory,
    expected: "a new directory, or one with nothing but an adapter in it",
    got: `one with ${describeJson(other)}`,
    fix: "Choose another directory, or move that away.",
  });
}
