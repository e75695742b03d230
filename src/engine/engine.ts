import { availableParallelism } from "node:os";
import { ConfigError } from "../core/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { CPU, CPU_TRAINING, PLAIN } from "./dialect.ts";
import { lower } from "./lower.ts";
import { OrtLibrary, type Pointer } from "./ort-library.ts";
import { Program, type ProgramOptions } from "./program.ts";

/** Values of `OrtMemType` and `OrtAllocatorType`. */
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;
/** Severity from which the runtime writes to stderr by itself: what fails is thrown, and need not be said twice. */
const LOG_FATAL_ONLY = 4;

export interface EngineOptions {
  /** Threads that share the arithmetic; default: every core. All engines of a process share the first one's threads. */
  readonly threads?: number;
}

/**
 * Where programs are compiled and run: ONNX Runtime with one pool of threads that all programs share, so that two
 * programs never fight over the cores.
 *
 * @throws {EnvironmentError} if the native packages are missing.
 * @example
 * const engine = new Engine();
 * const x = input("x", "float32", [3]);
 * const program = engine.compile("double", { y: x.mul(2) });
 * const { y } = await program.run({ x: hostTensor("float32", [3], Float32Array.of(1, 2, 3)) });
 */
export class Engine {
  readonly library: OrtLibrary;
  readonly threads: number;
  readonly environment: Pointer;
  /** Describes ordinary memory, for tensors that wrap typed arrays. */
  readonly memory: Pointer;

  constructor({ threads = availableParallelism() }: EngineOptions = {}) {
    if (!Number.isInteger(threads) || threads < 1) {
      throw new ConfigError({ where: "threads", expected: "an integer ≥ 1", got: `${threads}` });
    }
    this.threads = threads;
    this.library = OrtLibrary.load();
    const options = this.library.call("createThreadingOptions");
    this.library.call("setGlobalIntraOpThreads", options, threads);
    // Adam's second moments decay into denormals, which are many times slower to compute with.
    this.library.call("setGlobalDenormalAsZero", options);
    this.environment = this.library.call("createEnvWithGlobalThreadPools", LOG_FATAL_ONLY, "plinth", options);
    this.memory = this.library.call("createCpuMemoryInfo", ARENA_ALLOCATOR, DEFAULT_MEMORY);
  }

  /** Makes a runnable program of everything the outputs depend on. */
  compile(name: string, outputs: Readonly<Record<string, Tensor>>, options: ProgramOptions = {}): Program {
    const dialect = options.training ? CPU_TRAINING : CPU;
    return new Program(this, name, lower(name, outputs, dialect, options.constants), options);
  }
}

/** The graph as an ONNX file of standard operators that other tools can open. */
export function exportOnnx(name: string, outputs: Readonly<Record<string, Tensor>>): Uint8Array {
  return lower(name, outputs, PLAIN).bytes;
}
