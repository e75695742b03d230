import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { HostTensor } from "../core/dtype.ts";
import { FormatError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { StoredTensor } from "../core/weights.ts";
import { readJsonObject } from "./read-json-file.ts";
import { SafetensorsFile } from "./safetensors.ts";
import type { TensorEntry } from "./safetensors-header.ts";
import { describeJson, isJsonObject } from "./strict-json.ts";

/** The single weight file of a Hugging Face model directory. */
export const SINGLE_WEIGHTS = "model.safetensors";

/** The index of a model whose weights are spread over several files. */
export const SHARD_INDEX = "model.safetensors.index.json";

/** A model's tensors by name, in whichever file each of them lies. Nothing is read until asked for. */
export interface ModelWeights {
  readonly names: readonly string[];
  has(name: string): boolean;
  /** Dtype, shape and place; with `path`, another reader can map the bytes as they lie. */
  entry(name: string): TensorEntry & { readonly path: string };
  /** See `SafetensorsFile.read`. */
  read(name: string): HostTensor;
  /** See `SafetensorsFile.readFloat32`. */
  readFloat32(name: string): HostTensor;
  /** See `SafetensorsFile.float32`. */
  float32(name: string): StoredTensor;
  /** See `SafetensorsFile.stored`. */
  stored(name: string): StoredTensor;
  /** See `SafetensorsFile.readInto`. */
  readInto(name: string, target: Uint8Array): void;
  close(): void;
}

/**
 * Opens `model.safetensors`, or else the shards that `model.safetensors.index.json` lists. The index may name
 * plain file names only: it comes from strangers and must not lead out of the directory.
 *
 * @throws {FormatError} if neither file is there, or index and shards disagree.
 */
export function openModelWeights(directory: string): ModelWeights {
  const single = join(directory, SINGLE_WEIGHTS);
  if (existsSync(single)) {
    const file = SafetensorsFile.open(single);
    return new OpenWeights(directory, new Map([...file.tensors.keys()].map((name) => [name, file])));
  }
  const index = join(directory, SHARD_INDEX);
  if (existsSync(index)) return new OpenWeights(directory, openShards(directory, index));
  throw new FormatError({
    where: directory,
    expected: `${SINGLE_WEIGHTS} or ${SHARD_INDEX}`,
    got: "neither",
    fix: "Weights in other formats have to be converted to safetensors first.",
  });
}

/** Whether there are weights in the Hugging Face layout. */
export function hasPublishedWeights(directory: string): boolean {
  return [SINGLE_WEIGHTS, SHARD_INDEX].some((name) => existsSync(join(directory, name)));
}

/**
 * Opens `consolidated.safetensors`, the files that its index lists, or `consolidated.00.safetensors` and those that follow: the
 * names under which Mistral publishes its checkpoints.
 *
 * @throws {FormatError} if there is none of them, a number is missing, or two files hold the same tensor.
 */
export function openConsolidatedWeights(directory: string): ModelWeights {
  const index = join(directory, "consolidated.safetensors.index.json");
  if (existsSync(index)) return new OpenWeights(directory, openShards(directory, index));
  const entries = readdirSync(directory).sort();
  const files = entries.filter((name) => /^consolidated(\.\d\d)?\.safetensors$/.test(name));
  const single = "consolidated.safetensors";
  const expected = files.map((_, i) => `consolidated.${`${i}`.padStart(2, "0")}.safetensors`);
  const isWhole = files.join() === (files.includes(single) ? single : expected.join());
  if (files.length > 0 && isWhole) return new OpenWeights(directory, openAll(directory, files));
  const pickle = entries.find((name) => /^consolidated.*\.(pth|pt|bin)$/.test(name));
  throw new FormatError({
    where: directory,
    expected: `${single}, or consolidated.00.safetensors and so on without a gap`,
    got: files.join(", ") || (pickle ? `${pickle}, a Python pickle, which can run any code` : "neither"),
    fix: pickle
      ? "Convert it to safetensors where you trust it."
      : "Download the model again: it is incomplete.",
  });
}

function openAll(directory: string, names: readonly string[]): Map<string, SafetensorsFile> {
  const files: SafetensorsFile[] = [];
  const tensors = new Map<string, SafetensorsFile>();
  try {
    for (const name of names) {
      const file = SafetensorsFile.open(join(directory, name));
      files.push(file);
      for (const tensor of file.tensors.keys()) {
        const other = tensors.get(tensor);
        tensors.set(tensor, file);
        if (!other) continue;
        throw new FormatError({
          where: `${file.path}, tensor ${describeJson(tensor)}`,
          expected: "each tensor whole in one file",
          got: `it in ${other.path}, too`,
          fix: "These are pieces of tensors for several devices; join them first.",
        });
      }
    }
    return tensors;
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

function openShards(directory: string, index: string): Map<string, SafetensorsFile> {
  const shards = new Map<string, SafetensorsFile>();
  const tensors = new Map<string, SafetensorsFile>();
  try {
    for (const [name, shard] of readWeightMap(index)) {
      const file = shards.get(shard) ?? openShard(directory, index, shard);
      shards.set(shard, file);
      if (!file.tensors.has(name)) {
        const expected = `tensor ${describeJson(name)}, which ${SHARD_INDEX} places there`;
        throw new FormatError({ where: file.path, expected, got: `${file.tensors.size} others` });
      }
      tensors.set(name, file);
    }
    return tensors;
  } catch (error) {
    for (const file of shards.values()) file.close();
    throw error;
  }
}

function readWeightMap(index: string): readonly (readonly [name: string, shard: string])[] {
  const map = readJsonObject(index).weight_map;
  if (!isJsonObject(map)) {
    throw new FormatError({ where: `${index}, weight_map`, expected: "an object", got: describeJson(map) });
  }
  return Object.entries(map).map(([name, shard]) => {
    if (typeof shard === "string" && /^[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors$/.test(shard)) {
      return [name, shard];
    }
    throw new FormatError({
      where: `${index}, weight_map, ${describeJson(name)}`,
      expected: "the plain name of a .safetensors file in the same directory",
      got: describeJson(shard),
    });
  });
}

function openShard(directory: string, index: string, shard: string): SafetensorsFile {
  const path = join(directory, shard);
  if (existsSync(path)) return SafetensorsFile.open(path);
  throw new FormatError({
    where: index,
    expected: `the weight file ${shard} beside it`,
    got: "no such file",
    fix: "Download the model again: it is incomplete.",
  });
}

class OpenWeights implements ModelWeights {
  readonly names: readonly string[];
  readonly #directory: string;
  readonly #files: ReadonlyMap<string, SafetensorsFile>;

  constructor(directory: string, files: ReadonlyMap<string, SafetensorsFile>) {
    this.names = [...files.keys()];
    this.#directory = directory;
    this.#files = files;
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  entry(name: string): TensorEntry & { readonly path: string } {
    const file = this.#file(name);
    return { ...file.entry(name), path: file.path };
  }

  read(name: string): HostTensor {
    return this.#file(name).read(name);
  }

  readFloat32(name: string): HostTensor {
    return this.#file(name).readFloat32(name);
  }

  float32(name: string): StoredTensor {
    return this.#file(name).float32(name);
  }

  stored(name: string): StoredTensor {
    return this.#file(name).stored(name);
  }

  readInto(name: string, target: Uint8Array): void {
    this.#file(name).readInto(name, target);
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
  }

  #file(name: string): SafetensorsFile {
    const file = this.#files.get(name);
    if (file) return file;
    const near = nearest(name, this.names);
    throw new FormatError({
      where: this.#directory,
      expected: `a tensor named ${describeJson(name)}`,
      got: `${this.names.length} others`,
      ...(near !== undefined && { fix: `Did you mean ${describeJson(near)}?` }),
    });
  }
}
