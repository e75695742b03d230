import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { FormatError } from "../core/errors.ts";
import { writeSynced } from "./file-writer.ts";
import { SHARD_INDEX, SINGLE_WEIGHTS } from "./model-weights.ts";
import { layOutTensors, type PlannedTensor } from "./safetensors-writer.ts";
import { serializeJson } from "./serialize-json.ts";
import { STORED_BYTES } from "./stored-dtype.ts";
import { describeJson } from "./strict-json.ts";

/** Large enough that few models need a second file, small enough for any file system and upload. */
const MAX_SHARD_BYTES = 4 * 2 ** 30;

/** A tensor's place in one of the files. */
interface Place {
  readonly descriptor: number;
  readonly byteOffset: number;
  readonly byteLength: number;
  written: number;
}

/**
 * Writes a model's tensors in any order and piece by piece, into one safetensors file or several with an index, so that no
 * more than a piece is in memory. Sizes are known before the first byte: the files have their final layout from the beginning.
 *
 * System errors pass unchanged. The files count only after `finish`; write into a temporary directory.
 *
 * @example
 * const writer = new ShardedWriter(directory, [[{ name: "a", dtype: "F32", shape: [2] }]]);
 * writer.write("a", Float32Array.of(1, 2));
 * writer.finish();
 */
export class ShardedWriter {
  readonly #directory: string;
  readonly #places = new Map<string, Place>();
  readonly #descriptors: number[] = [];
  readonly #index: Record<string, string> = {};

  /** @param groups tensors that belong together, and go into one file, in the order of the model */
  constructor(
    directory: string,
    groups: readonly (readonly PlannedTensor[])[],
    maxShardBytes: number = MAX_SHARD_BYTES,
  ) {
    this.#directory = directory;
    const shards = fill(groups, maxShardBytes);
    try {
      for (const [i, tensors] of shards.entries()) this.#begin(shardName(i, shards.length), tensors);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Bytes of all tensors. */
  get sizeBytes(): number {
    return [...this.#places.values()].reduce((total, { byteLength }) => total + byteLength, 0);
  }

  /**
   * Appends bytes to a tensor.
   *
   * @throws {FormatError} if there is no such tensor, or it would become longer than planned.
   */
  write(name: string, data: ArrayBufferView): void {
    const place = this.#places.get(name);
    if (!place || place.written + data.byteLength > place.byteLength) {
      throw new FormatError({
        where: `${this.#directory}, tensor ${describeJson(name)}`,
        expected: place ? `${place.byteLength} bytes` : "one of the tensors planned",
        got: place ? `${place.written + data.byteLength}` : "another",
      });
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let done = 0; done < bytes.length; ) {
      const at = place.byteOffset + place.written + done;
      done += writeSync(place.descriptor, bytes, done, bytes.length - done, at);
    }
    place.written += bytes.length;
  }

  /**
   * Forces all to the disk.
   *
   * @throws {FormatError} if a tensor is not whole.
   */
  finish(): void {
    for (const [name, { written, byteLength }] of this.#places) {
      if (written === byteLength) continue;
      const where = `${this.#directory}, tensor ${describeJson(name)}`;
      throw new FormatError({ where, expected: `${byteLength} bytes`, got: `${written}` });
    }
    for (const descriptor of this.#descriptors) fsyncSync(descriptor);
    if (this.#descriptors.length > 1) {
      const index = { metadata: { total_size: this.sizeBytes }, weight_map: this.#index };
      writeSynced(join(this.#directory, SHARD_INDEX), serializeJson(index, SHARD_INDEX));
    }
    this.close();
  }

  /** Closes the files; for the way out after a failure. Harmless when already closed. */
  close(): void {
    for (const descriptor of this.#descriptors.splice(0)) closeSync(descriptor);
  }

  #begin(file: string, tensors: readonly PlannedTensor[]): void {
    const path = join(this.#directory, file);
    // "pt" is what `transformers` looks for before it loads a safetensors file.
    const { header, places } = layOutTensors(path, tensors, { format: "pt" });
    const descriptor = openSync(path, "w");
    this.#descriptors.push(descriptor);
    for (let done = 0; done < header.length; ) {
      done += writeSync(descriptor, header, done, header.length - done, done);
    }
    for (const [name, place] of places) {
      if (this.#places.has(name)) {
        throw new FormatError({
          where: path,
          expected: "each tensor once",
          got: `${describeJson(name)} again`,
        });
      }
      this.#places.set(name, { descriptor, ...place, written: 0 });
      this.#index[name] = file;
    }
  }
}

/** Groups in order into as few files as that takes; a group larger than a file has one of its own. */
function fill(groups: readonly (readonly PlannedTensor[])[], maxBytes: number): PlannedTensor[][] {
  const shards: PlannedTensor[][] = [[]];
  let bytes = 0;
  for (const group of groups) {
    const size = group.reduce(
      (total, { dtype, shape }) => total + shape.reduce((a, b) => a * b, STORED_BYTES[dtype]),
      0,
    );
    if (bytes > 0 && bytes + size > maxBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(...group);
    bytes += size;
  }
  return shards;
}

function shardName(index: number, count: number): string {
  const number = (value: number) => `${value}`.padStart(5, "0");
  return count === 1 ? SINGLE_WEIGHTS : `model-${number(index + 1)}-of-${number(count)}.safetensors`;
}
