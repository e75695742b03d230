import {
  allocate,
  BYTES_PER_ELEMENT,
  type DType,
  type HostTensor,
  numElements,
  viewAs,
} from "../core/dtype.ts";
import { EnvironmentError, ShapeError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import { isInFile, type Weights } from "../core/weights.ts";
import type { TensorSpec } from "../tensor/op.ts";
import { ONNX_TYPE } from "../tensor/ops/compare.ts";
import { Binding, Slots } from "./binding.ts";
import type { Engine } from "./engine.ts";
import type { LoweredGraph } from "./lower.ts";
import type { Argument, OrtLibrary, Pointer } from "./ort-library.ts";
import { checkUnchanged } from "./stored-tensor.ts";

/** `GraphOptimizationLevel::ORT_ENABLE_ALL`. */
const OPTIMIZE_ALL = 99;

const DTYPE_OF_ONNX = new Map(
  Object.entries(ONNX_TYPE).map(([dtype, code]) => [Number(code), dtype as DType]),
);

export interface ProgramOptions {
  /** Inputs whose values never change: built into the program, so that the runtime may lay them out as it likes best. */
  readonly constants?: Weights;
  /**
   * For gradients, where memory counts more than the time of a single row: constants are used where they lie and never packed a second
   * time, quantised ones are dequantised for each use in float32, and the runtime keeps no plan of a run's memory, which it would
   * allocate beside what the first run has taken.
   */
  readonly training?: boolean;
  /** Writes a profile of the runtime's operators, at a path with this prefix, when the program is disposed. */
  readonly profilePrefix?: string;
  /** Runs on one thread of its own, for programs that run side by side rather than share the pool. */
  readonly singleThread?: boolean;
  /** Session configuration entries of ONNX Runtime. */
  readonly session?: Readonly<Record<string, string>>;
}

/** Most bytes that a result known ahead of time may take where constants are dequantised or only lent: not a matrix of them. */
const MAX_FOLDED_BYTES = 65_536;

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
  readonly #bindings: Binding[] = [];
  readonly #binding: Binding;
  readonly #constants: ReadonlyMap<Pointer, HostTensor>;
  readonly #profiles: boolean;
  #running: Promise<unknown> = Promise.resolve();
  #isBusy = false;
  #isDisposed = false;

  constructor(engine: Engine, name: string, graph: LoweredGraph, options: ProgramOptions) {
    this.name = name;
    this.inputs = graph.inputs;
    this.outputs = graph.outputs;
    this.#library = engine.library;
    this.#memory = engine.memory;
    this.#binding = this.newBinding();
    this.#profiles = options.profilePrefix !== undefined;
    const sessionOptions = this.#library.call("createSessionOptions");
    if (options.singleThread) this.#library.call("setIntraOpThreads", sessionOptions, 1);
    else this.#library.call("disablePerSessionThreads", sessionOptions);
    this.#library.call("setGraphOptimizationLevel", sessionOptions, OPTIMIZE_ALL);
    if (options.profilePrefix) this.#library.call("enableProfiling", sessionOptions, options.profilePrefix);
    if (options.training) this.#library.call("disableMemPattern", sessionOptions);
    for (const [key, value] of Object.entries({ ...sessionEntries(graph, options), ...options.session })) {
      this.#library.call("addSessionConfigEntry", sessionOptions, key, value);
    }
    this.#constants = this.#giveConstants(sessionOptions, graph);
    const { bytes } = graph;
    this.#session = this.#library.call(
      "createSessionFromArray",
      engine.environment,
      bytes,
      bytes.length,
      sessionOptions,
    );
    this.#library.call("releaseSessionOptions", sessionOptions);
    this.#runOptions = this.#library.call("createRunOptions");
  }

  /** Another set of bound tensors for this program, for work that alternates between several. */
  newBinding(): Binding {
    const binding = new Binding(this.#library, this, (name, tensor, spec) => this.#wrap(name, tensor, spec));
    this.#bindings.push(binding);
    return binding;
  }

  /**
   * Fixes the memory of an input or output for all following runs.
   *
   * @throws {ShapeError} if the name is unknown or shape or dtype do not fit.
   */
  bind(name: string, tensor: HostTensor): void {
    this.#binding.bind(name, tensor);
  }

  /**
   * Runs on other threads; the event loop stays live. Runs of one program follow each other.
   *
   * @returns the outputs that are not bound, in new memory
   * @throws {ShapeError} if an input is missing, unknown or of another shape or dtype
   */
  run(feeds: Feeds = {}, binding: Binding = this.#binding): Promise<Record<string, HostTensor>> {
    const result = this.#running.then(async () => {
      const call = this.#prepare(feeds, binding);
      try {
        await this.#library.callAsync("run", ...call);
        return this.#collect(binding);
      } finally {
        this.#finish(binding);
      }
    });
    this.#running = result.catch(() => {});
    return result;
  }

  /** Runs on this thread and returns when done: least overhead, for small programs called in a loop. */
  runSync(feeds: Feeds = {}, binding: Binding = this.#binding): Record<string, HostTensor> {
    const call = this.#prepare(feeds, binding);
    try {
      this.#library.call("run", ...call);
      return this.#collect(binding);
    } finally {
      this.#finish(binding);
    }
  }

  /**
   * Gives native memory back; a second time does nothing.
   *
   * @returns the path of the profile, when one was asked for
   * @throws {EnvironmentError} while a run is under way
   */
  dispose(): string | undefined {
    if (this.#isDisposed) return undefined;
    if (this.#isBusy) throw this.#notIdle("one that is running");
    this.#isDisposed = true;
    let profile: string | undefined;
    if (this.#profiles) {
      const allocator = this.#library.call("getDefaultAllocator");
      profile = this.#library.readString(this.#library.call("sessionEndProfiling", this.#session, allocator));
    }
    this.#library.call("releaseSession", this.#session);
    this.#library.call("releaseRunOptions", this.#runOptions);
    for (const value of [
      ...this.#constants.keys(),
      ...this.#bindings.flatMap((binding) => binding.bound()),
    ]) {
      this.#library.call("releaseValue", value);
    }
    return profile;
  }

  /**
   * Gives the session its constants in memory: native tensors over our own memory, which must live as long as the session. As
   * external data they stand in for a file when the graph is optimised; as shared initializers they are then used where they
   * lie instead of being copied. Those in files it maps itself, and lets go of what it has packed for its kernels.
   */
  #giveConstants(sessionOptions: Pointer, { constants }: LoweredGraph): ReadonlyMap<Pointer, HostTensor> {
    const given = new Map<Pointer, HostTensor>();
    const inMemory: [string, HostTensor][] = [];
    for (const [name, tensor] of constants) {
      if (isInFile(tensor)) checkUnchanged(tensor.file);
      else inMemory.push([name, tensor]);
    }
    if (inMemory.length === 0) return given;
    const slots = new Slots(
      this.#library,
      inMemory.map(([name]) => name),
    );
    for (const [name, tensor] of inMemory) {
      const value = this.#wrap(name, tensor, tensor);
      this.#library.call("addInitializer", sessionOptions, name, value);
      slots.bind(name, value, tensor);
      given.set(value, tensor);
    }
    const { names, values, count } = slots;
    this.#library.call("addExternalInitializers", sessionOptions, names, values, count);
    return given;
  }

  #prepare(feeds: Feeds, binding: Binding): Argument[] {
    if (this.#isDisposed || this.#isBusy) {
      throw this.#notIdle(this.#isDisposed ? "a disposed one" : "one that is running");
    }
    const { inputs, outputs } = binding;
    try {
      for (const [name, tensor] of Object.entries(feeds)) binding.feed(name, tensor);
      const missing = inputs.missing();
      if (missing.length > 0) {
        const where = `program ${this.name}`;
        throw new ShapeError({
          where,
          expected: "values for all inputs",
          got: `none for ${missing.join(", ")}`,
        });
      }
    } catch (error) {
      inputs.clear();
      throw error;
    }
    this.#isBusy = true;
    return [
      this.#session,
      this.#runOptions,
      inputs.names,
      inputs.values,
      inputs.count,
      outputs.names,
      outputs.count,
      outputs.values,
    ];
  }

  #notIdle(got: string): EnvironmentError {
    return new EnvironmentError({ where: `program ${this.name}`, expected: "an idle program", got });
  }

  #collect({ outputs }: Binding): Record<string, HostTensor> {
    const results: Record<string, HostTensor> = {};
    for (const [name, value] of outputs.fresh()) results[name] = this.#copyOut(value);
    return results;
  }

  #finish({ inputs, outputs }: Binding): void {
    inputs.clear();
    outputs.clear();
    this.#isBusy = false;
  }

  /** A native tensor over the typed array's own memory. */
  #wrap(name: string, tensor: HostTensor, spec: TensorSpec): Pointer {
    const fits =
      tensor.shape.length === spec.shape.length &&
      spec.shape.every((dim, axis) => typeof dim === "string" || dim === tensor.shape[axis]);
    const { length, BYTES_PER_ELEMENT: size } = tensor.data;
    const isWhole = length === numElements(tensor.shape) && size === BYTES_PER_ELEMENT[tensor.dtype];
    if (tensor.dtype !== spec.dtype || !fits || !isWhole) {
      const elements = size === BYTES_PER_ELEMENT[tensor.dtype] ? "elements" : `elements of ${size} bytes`;
      throw new ShapeError({
        where: `program ${this.name}, tensor ${name}`,
        expected: `${spec.dtype} ${showShape(spec.shape)}`,
        got: `${tensor.dtype} ${showShape(tensor.shape)} over ${length} ${elements}`,
      });
    }
    const sizes = BigInt64Array.from([...tensor.shape, 0], BigInt);
    return this.#library.call(
      "createTensorWithData",
      this.#memory,
      tensor.data,
      tensor.data.byteLength,
      sizes,
      tensor.shape.length,
      Number(ONNX_TYPE[tensor.dtype]),
    );
  }

  #copyOut(value: Pointer): HostTensor {
    const info = this.#library.call("getTensorTypeAndShape", value);
    const scratch = new BigInt64Array(1);
    const read = (name: "getElementType" | "getDimensionsCount") => {
      this.#library.call(name, info, scratch);
      return Number(scratch[0]! & 0xffffffffn);
    };
    const dtype = DTYPE_OF_ONNX.get(read("getElementType"))!;
    const rank = read("getDimensionsCount");
    const sizes = new BigInt64Array(rank + 1);
    this.#library.call("getDimensions", info, sizes, rank);
    this.#library.call("releaseTensorTypeAndShape", info);
    const shape = Array.from(sizes.subarray(0, rank), Number);
    const data = allocate(dtype, numElements(shape));
    if (data.length > 0) {
      const native = this.#library.viewNative(this.#library.call("getTensorData", value), data.byteLength);
      (data as Float32Array).set(viewAs(dtype, native, 0, data.length) as Float32Array);
    }
    return { dtype, shape, data };
  }
}

/**
 * The runtime's fused sum and norm takes 5 ns a number; the two one after the other take 1.2. Its fusion of reshapes, which cost nothing, drops
 * what `after` waits for.
 */
const UNWANTED_FUSIONS = "SkipLayerNormFusion;ReshapeFusion";

/** Session configuration that the graph needs. */
function sessionEntries(
  { folder, dequantizes }: LoweredGraph,
  { training = false }: ProgramOptions,
): Readonly<Record<string, string>> {
  const foldsLittle = dequantizes || training;
  return {
    "optimization.disable_specified_optimizers": UNWANTED_FUSIONS,
    ...(folder && { "session.model_external_initializers_file_folder_path": folder }),
    ...(foldsLittle && { "optimization.constant_folding_max_output_size_in_bytes": `${MAX_FOLDED_BYTES}` }),
    ...(training && { "session.disable_prepacking": "1" }),
  };
}
