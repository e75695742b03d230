import { allocate, type DType, type HostTensor, numElements, viewAs } from "../core/dtype.ts";
import { EnvironmentError, ShapeError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import { showShape } from "../core/shape.ts";
import type { TensorSpec } from "../tensor/op.ts";
import { ONNX_TYPE } from "../tensor/ops/compare.ts";
import type { Engine } from "./engine.ts";
import type { LoweredGraph } from "./lower.ts";
import type { OrtLibrary, Pointer } from "./ort-library.ts";

/** `GraphOptimizationLevel::ORT_ENABLE_ALL`. */
const OPTIMIZE_ALL = 99;

const DTYPE_OF_ONNX = new Map(
  Object.entries(ONNX_TYPE).map(([dtype, code]) => [Number(code), dtype as DType]),
);

export interface ProgramOptions {
  /** Inputs whose values never change: built into the program, so that the runtime may lay them out as it likes best. */
  readonly constants?: ReadonlyMap<string, HostTensor>;
  /** Writes a profile of the runtime's operators, at a path with this prefix, when the program is disposed. */
  readonly profilePrefix?: string;
  /** Session configuration entries of ONNX Runtime. */
  readonly session?: Readonly<Record<string, string>>;
}

type Feeds = Readonly<Record<string, HostTensor>>;

/**
 * A compiled graph. Tensors may be bound to it: their memory is then read or written in place by every run, without
 * copies. What is not bound is given to `run`, and returned by it.
 */
export class Program {
  readonly name: string;
  readonly inputs: ReadonlyMap<string, TensorSpec>;
  readonly outputs: ReadonlyMap<string, TensorSpec>;
  readonly #library: OrtLibrary;
  readonly #memory: Pointer;
  readonly #session: Pointer;
  readonly #runOptions: Pointer;
  readonly #inputSlots: Slots;
  readonly #outputSlots: Slots;
  readonly #constants: readonly Pointer[];
  readonly #profiles: boolean;
  #running: Promise<unknown> = Promise.resolve();
  #isBusy = false;
  #isDisposed = false;

  constructor(engine: Engine, name: string, graph: LoweredGraph, options: ProgramOptions) {
    this.name = name;
    const constants = options.constants ?? new Map<string, HostTensor>();
    this.inputs = new Map([...graph.inputs].filter(([input]) => !constants.has(input)));
    this.outputs = graph.outputs;
    this.#library = engine.library;
    this.#memory = engine.memory;
    this.#inputSlots = new Slots(engine.library, [...this.inputs.keys()]);
    this.#outputSlots = new Slots(engine.library, [...this.outputs.keys()]);
    this.#profiles = options.profilePrefix !== undefined;
    const sessionOptions = this.#library.call("createSessionOptions");
    this.#library.call("disablePerSessionThreads", sessionOptions);
    this.#library.call("setGraphOptimizationLevel", sessionOptions, OPTIMIZE_ALL);
    if (options.profilePrefix) this.#library.call("enableProfiling", sessionOptions, options.profilePrefix);
    for (const [key, value] of Object.entries(options.session ?? {})) {
      this.#library.call("addSessionConfigEntry", sessionOptions, key, value);
    }
    this.#constants = [...constants].flatMap(([input, tensor]) => {
      const spec = graph.inputs.get(input);
      if (!spec) return [];
      const value = this.#wrap(input, tensor, spec);
      this.#library.call("addInitializer", sessionOptions, input, value);
      return [value];
    });
    this.#kept.push(...constants.values());
    const { bytes } = graph;
    const at = this.#library.addressOf(bytes);
    this.#session = this.#library.call(
      "createSessionFromArray",
      engine.environment,
      at,
      BigInt(bytes.length),
      sessionOptions,
    );
    this.#library.call("releaseSessionOptions", sessionOptions);
    this.#runOptions = this.#library.call("createRunOptions");
  }

  /** Keeps the memory behind constants alive as long as the program. */
  readonly #kept: HostTensor[] = [];

  /**
   * Fixes the memory of an input or output for all following runs.
   *
   * @throws {ShapeError} if the name is unknown or shape or dtype do not fit.
   */
  bind(name: string, tensor: HostTensor): void {
    const isInput = this.inputs.has(name);
    const spec = this.inputs.get(name) ?? this.outputs.get(name);
    if (!spec) throw this.#unknown(name);
    (isInput ? this.#inputSlots : this.#outputSlots).bind(name, this.#wrap(name, tensor, spec), tensor);
  }

  /**
   * Runs on other threads; the event loop stays live. Runs of one program follow each other.
   *
   * @returns the outputs that are not bound, in new memory
   * @throws {ShapeError} if an input is missing, unknown or of another shape or dtype
   */
  run(feeds: Feeds = {}): Promise<Record<string, HostTensor>> {
    const result = this.#running.then(async () => {
      const call = this.#prepare(feeds);
      try {
        await this.#library.callAsync("run", ...call);
        return this.#collect();
      } finally {
        this.#finish();
      }
    });
    this.#running = result.catch(() => {});
    return result;
  }

  /** Runs on this thread and returns when done: least overhead, for small programs called in a loop. */
  runSync(feeds: Feeds = {}): Record<string, HostTensor> {
    const call = this.#prepare(feeds);
    try {
      this.#library.call("run", ...call);
      return this.#collect();
    } finally {
      this.#finish();
    }
  }

  /** Gives native memory back. @returns the path of the profile, when one was asked for */
  dispose(): string | undefined {
    if (this.#isDisposed) return undefined;
    this.#isDisposed = true;
    let profile: string | undefined;
    if (this.#profiles) {
      const allocator = this.#library.call("getDefaultAllocator");
      profile = this.#library.readString(this.#library.call("sessionEndProfiling", this.#session, allocator));
    }
    this.#library.call("releaseSession", this.#session);
    this.#library.call("releaseRunOptions", this.#runOptions);
    for (const value of [...this.#constants, ...this.#inputSlots.bound(), ...this.#outputSlots.bound()]) {
      this.#library.call("releaseValue", value);
    }
    return profile;
  }

  #prepare(feeds: Feeds): Pointer[] {
    if (this.#isDisposed || this.#isBusy) {
      const got = this.#isDisposed ? "a disposed one" : "one that is running";
      throw new EnvironmentError({ where: `program ${this.name}`, expected: "an idle program", got });
    }
    for (const [name, tensor] of Object.entries(feeds)) {
      const spec = this.inputs.get(name);
      if (!spec) throw this.#unknown(name);
      this.#inputSlots.feed(name, this.#wrap(name, tensor, spec));
    }
    const missing = this.#inputSlots.missing();
    if (missing.length > 0) {
      this.#inputSlots.clear();
      throw new ShapeError({
        where: `program ${this.name}`,
        expected: `values for all inputs`,
        got: `none for ${missing.join(", ")}`,
      });
    }
    this.#isBusy = true;
    const { names, values, count } = this.#inputSlots;
    const { names: outNames, values: outValues, count: outCount } = this.#outputSlots;
    return [this.#session, this.#runOptions, names, values, count, outNames, outCount, outValues];
  }

  #collect(): Record<string, HostTensor> {
    const results: Record<string, HostTensor> = {};
    for (const [name, value] of this.#outputSlots.fresh()) results[name] = this.#copyOut(value);
    return results;
  }

  #finish(): void {
    this.#inputSlots.clear();
    this.#outputSlots.clear();
    this.#isBusy = false;
  }

  /** A native tensor over the typed array's own memory. */
  #wrap(name: string, tensor: HostTensor, spec: TensorSpec): Pointer {
    const fits =
      tensor.shape.length === spec.shape.length &&
      spec.shape.every((dim, axis) => typeof dim === "string" || dim === tensor.shape[axis]);
    if (tensor.dtype !== spec.dtype || !fits || tensor.data.length !== numElements(tensor.shape)) {
      throw new ShapeError({
        where: `program ${this.name}, tensor ${name}`,
        expected: `${spec.dtype} ${showShape(spec.shape)}`,
        got: `${tensor.dtype} ${showShape(tensor.shape)} over ${tensor.data.length} elements`,
      });
    }
    const sizes = BigInt64Array.from([...tensor.shape, 0], BigInt);
    return this.#library.call(
      "createTensorWithData",
      this.#memory,
      this.#library.addressOf(tensor.data),
      BigInt(tensor.data.byteLength),
      this.#library.addressOf(sizes),
      BigInt(tensor.shape.length),
      Number(ONNX_TYPE[tensor.dtype]),
    );
  }

  #copyOut(value: Pointer): HostTensor {
    const info = this.#library.call("getTensorTypeAndShape", value);
    const scratch = new BigInt64Array(1);
    const read = (name: "getElementType" | "getDimensionsCount") => {
      this.#library.call(name, info, this.#library.addressOf(scratch));
      return Number(scratch[0]! & 0xffffffffn);
    };
    const dtype = DTYPE_OF_ONNX.get(read("getElementType"))!;
    const rank = read("getDimensionsCount");
    const sizes = new BigInt64Array(rank + 1);
    this.#library.call("getDimensions", info, this.#library.addressOf(sizes), BigInt(rank));
    this.#library.call("releaseTensorTypeAndShape", info);
    const shape = Array.from(sizes.subarray(0, rank), Number);
    const data = allocate(dtype, numElements(shape));
    if (data.length > 0) {
      const native = this.#library.viewNative(this.#library.call("getTensorData", value), data.byteLength);
      (data as Float32Array).set(viewAs(dtype, native, 0, data.length) as Float32Array);
    }
    return { dtype, shape, data };
  }

  #unknown(name: string): ShapeError {
    const known = [...this.inputs.keys(), ...this.outputs.keys()];
    return new ShapeError({
      where: `program ${this.name}`,
      expected: "the name of an input or output",
      got: `"${name}"`,
      fix: suggest(name, known),
    });
  }
}

/** The parallel arrays of names and values that a run takes, in native form. */
class Slots {
  readonly #names: readonly string[];
  readonly #pointers: BigUint64Array;
  readonly #library: OrtLibrary;
  readonly #bound = new Map<number, { readonly value: Pointer; readonly tensor: HostTensor }>();
  /** Referenced so that the native side's addresses stay valid. */
  readonly #strings: readonly Uint8Array[];
  readonly #namePointers: BigUint64Array;

  constructor(library: OrtLibrary, names: readonly string[]) {
    this.#library = library;
    this.#names = names;
    this.#strings = names.map((name) => new TextEncoder().encode(`${name}\0`));
    this.#namePointers = BigUint64Array.from([...this.#strings.map((text) => library.addressOf(text)), 0n]);
    this.#pointers = new BigUint64Array(names.length + 1);
  }

  get names(): Pointer {
    return this.#library.addressOf(this.#namePointers);
  }

  get values(): Pointer {
    return this.#library.addressOf(this.#pointers);
  }

  get count(): Pointer {
    return BigInt(this.#names.length);
  }

  bind(name: string, value: Pointer, tensor: HostTensor): void {
    const slot = this.#names.indexOf(name);
    const before = this.#bound.get(slot);
    if (before) this.#library.call("releaseValue", before.value);
    this.#bound.set(slot, { value, tensor });
    this.#pointers[slot] = value;
  }

  feed(name: string, value: Pointer): void {
    const slot = this.#names.indexOf(name);
    if (this.#pointers[slot] !== 0n && this.#pointers[slot] !== this.#bound.get(slot)?.value) {
      this.#library.call("releaseValue", this.#pointers[slot]!);
    }
    this.#pointers[slot] = value;
  }

  missing(): string[] {
    return this.#names.filter((_, slot) => this.#pointers[slot] === 0n);
  }

  /** Values that the runtime allocated in this run. */
  fresh(): [string, Pointer][] {
    return this.#names.flatMap((name, slot) => {
      return this.#bound.has(slot) ? [] : [[name, this.#pointers[slot]!] as [string, Pointer]];
    });
  }

  /** Releases everything that is not bound and puts the bound values back in place. */
  clear(): void {
    this.#names.forEach((_, slot) => {
      const kept = this.#bound.get(slot)?.value ?? 0n;
      const current = this.#pointers[slot]!;
      if (current !== kept && current !== 0n) this.#library.call("releaseValue", current);
      this.#pointers[slot] = kept;
    });
  }

  bound(): Pointer[] {
    return [...this.#bound.values()].map(({ value }) => value);
  }
}
