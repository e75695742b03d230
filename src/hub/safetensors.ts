import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { endianness } from "node:os";
import { allocate, type HostTensor, hostTensor, numElements } from "../core/dtype.ts";
import { EnvironmentError, FormatError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import type { StoredTensor, WeightFile } from "../core/weights.ts";
import { weightFile } from "../engine/stored-tensor.ts";
import { isWidenable, widenToFloat32 } from "./float-formats.ts";
import { PREFIX_BYTES, parseHeader, readHeaderLength, type TensorEntry } from "./safetensors-header.ts";
import { STORED_BYTES, toHeldDType } from "./stored-dtype.ts";
import { describeJson } from "./strict-json.ts";
import { withSystemErrors } from "./system-error.ts";

/** Most bytes one read call takes on every platform. */
const MAX_READ_BYTES = 1 << 30;

/** Elements converted at once. */
const CHUNK_ELEMENTS = 1 << 18;

/**
 * A safetensors file open for reading. Opening reads and checks the header only; tensors are read when asked
 * for, by position, so a model larger than memory can be read one tensor at a time.
 *
 * @example
 * const file = SafetensorsFile.open("model.safetensors");
 * const embedding = file.readFloat32("wte.weight"); // { dtype: "float32", shape: [50257, 768], data }
 * file.close();
 */
export class SafetensorsFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #descriptor: number;
  readonly #file: WeightFile;
  #open = true;

  private constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
    this.#file = weightFile(path);
    const { size } = fstatSync(descriptor);
    const prefix = new Uint8Array(Math.min(PREFIX_BYTES, size));
    this.#readAt(0, prefix, path);
    const text = new Uint8Array(readHeaderLength(prefix, path, size));
    this.#readAt(PREFIX_BYTES, text, path);
    const header = parseHeader(text, path, size);
    this.tensors = header.tensors;
    this.metadata = header.metadata;
  }

  /**
   * Opens the file and checks its header.
   *
   * @throws {FormatError} if it is not a whole, well-formed safetensors file.
   * @throws {EnvironmentError} if it cannot be read.
   */
  static open(path: string): SafetensorsFile {
    return withSystemErrors(path, "a readable safetensors file", () => {
      if (endianness() !== "LE") {
        throw new EnvironmentError({ where: path, expected: "a little-endian machine", got: "big-endian" });
      }
      // Before opening, because opening a pipe would wait for a writer.
      if (!statSync(path).isFile()) {
        throw new FormatError({ where: path, expected: "a safetensors file", got: "something not a file" });
      }
      const descriptor = openSync(path, "r");
      try {
        return new SafetensorsFile(path, descriptor);
      } catch (error) {
        closeSync(descriptor);
        throw error;
      }
    });
  }

  /**
   * Where the tensor lies and what it is.
   *
   * @throws {FormatError} if there is none of that name.
   */
  entry(name: string): TensorEntry {
    const entry = this.tensors.get(name);
    if (entry) return entry;
    const near = nearest(name, this.tensors.keys());
    throw new FormatError({
      where: this.path,
      expected: `a tensor named ${describeJson(name)}`,
      got: `${this.tensors.size} others`,
      ...(near !== undefined && { fix: `Did you mean ${describeJson(near)}?` }),
    });
  }

  /**
   * Reads a tensor as it is stored; float16 comes as its bits.
   *
   * @throws {FormatError} for stored types no program holds (BF16, F8, unsigned and 16-bit integers): use
   *   `readFloat32` or `readInto` for those; and if the file became shorter since it was opened.
   */
  read(name: string): HostTensor {
    const entry = this.entry(name);
    const dtype = toHeldDType(entry.dtype);
    if (dtype === undefined) {
      throw new FormatError({
        where: this.#where(name),
        expected: "a dtype that programs hold",
        got: entry.dtype,
        fix: "Read it with readFloat32, or its bytes with readInto.",
      });
    }
    const data = this.#allocate(name, () => allocate(dtype, numElements(entry.shape)));
    const bytes = new Uint8Array(data.buffer);
    this.#readAt(entry.byteOffset, bytes, this.#where(name));
    if (dtype === "bool") this.#checkBooleans(name, bytes);
    return hostTensor(dtype, entry.shape, data);
  }

  /**
   * Reads a floating-point tensor as float32. F16, BF16 and both 8-bit types widen exactly; F64 rounds to nearest, ties to
   * even.
   *
   * @throws {FormatError} if the stored type is not a floating-point one.
   */
  readFloat32(name: string): HostTensor {
    const { dtype, shape, byteOffset } = this.entry(name);
    if (dtype === "F32") return this.read(name);
    const where = this.#where(name);
    if (!isWidenable(dtype)) {
      throw new FormatError({ where, expected: "a floating-point type", got: dtype });
    }
    const data = this.#allocate(name, () => new Float32Array(numElements(shape)));
    const width = STORED_BYTES[dtype];
    const buffer = new ArrayBuffer(Math.min(CHUNK_ELEMENTS, data.length) * width);
    for (let at = 0; at < data.length; at += CHUNK_ELEMENTS) {
      const target = data.subarray(at, at + CHUNK_ELEMENTS);
      this.#readAt(byteOffset + at * width, new Uint8Array(buffer, 0, target.length * width), where);
      widenToFloat32(dtype, buffer, target);
    }
    return hostTensor("float32", shape, data);
  }

  /**
   * A floating-point tensor as float32 without reading it, for a program to map from the file. What does not lie there as a
   * program takes it, another type or a crooked offset, is read as by `readFloat32`.
   *
   * @throws {FormatError} if the stored type is not a floating-point one.
   */
  float32(name: string): StoredTensor {
    return this.entry(name).dtype === "F32" ? this.stored(name) : this.readFloat32(name);
  }

  /** The tensor as it is stored, without reading it; read where its offset is crooked. Errors as `read`. */
  stored(name: string): StoredTensor {
    const { dtype: storedAs, shape, byteOffset, byteLength } = this.entry(name);
    const dtype = toHeldDType(storedAs);
    const isMappable = byteLength > 0 && byteOffset % STORED_BYTES[storedAs] === 0;
    if (dtype === undefined || dtype === "bool" || !isMappable) return this.read(name);
    return { dtype, shape, file: this.#file, byteOffset };
  }

  /**
   * Reads a tensor's bytes as they lie in the file into memory the caller owns.
   *
   * @throws {FormatError} if `target` is not exactly as long as the tensor.
   */
  readInto(name: string, target: Uint8Array): void {
    const entry = this.entry(name);
    if (target.length !== entry.byteLength) {
      throw new FormatError({
        where: this.#where(name),
        expected: `a target of ${entry.byteLength} bytes`,
        got: `${target.length}`,
      });
    }
    this.#readAt(entry.byteOffset, target, this.#where(name));
  }

  /** Closes the file. Tensors already read stay valid; harmless when already closed. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#descriptor);
  }

  #where(name: string): string {
    return `${this.path}, tensor ${describeJson(name)}`;
  }

  #readAt(position: number, target: Uint8Array, where: string): void {
    let done = 0;
    while (done < target.length) {
      const length = Math.min(MAX_READ_BYTES, target.length - done);
      const count = withSystemErrors(where, "readable bytes", () =>
        readSync(this.#descriptor, target, done, length, position + done),
      );
      if (count === 0) {
        throw new FormatError({
          where,
          expected: `${target.length} bytes at ${position}`,
          got: `${done} before the end of the file`,
          fix: "The file became shorter while it was read.",
        });
      }
      done += count;
    }
  }

  #allocate<T>(name: string, make: () => T): T {
    try {
      return make();
    } catch (cause) {
      const expected = `memory for ${this.entry(name).byteLength} stored bytes`;
      throw new EnvironmentError({ where: this.#where(name), expected, got: String(cause) }, { cause });
    }
  }

  #checkBooleans(name: string, bytes: Uint8Array): void {
    const wrong = bytes.findIndex((byte) => byte > 1);
    if (wrong < 0) return;
    throw new FormatError({
      where: `${this.#where(name)}, element ${wrong}`,
      expected: "0 or 1",
      got: `${bytes[wrong]}`,
    });
  }
}
