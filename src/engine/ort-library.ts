import { createRequire } from "node:module";
import path from "node:path";
import type { KoffiFunc, TypeObject } from "koffi";
import { EnvironmentError } from "../core/errors.ts";

/** An address in native memory. */
export type Pointer = bigint;

/** What a native function takes. */
export type Argument = Pointer | number | string | ArrayBufferView;

type NativeFunction = KoffiFunc<(...args: unknown[]) => unknown>;

/** A status: 0n for success, else an error object that must be released. */
type Status = bigint;

/**
 * The functions of ONNX Runtime's C interface that Plinth calls, each with its place in the `OrtApi` table and its
 * arguments: `p` pointer, `n` size, `i` 32-bit integer, `s` string, `o` pointer written by the callee. The table only ever
 * grows at its end, so these places hold for every later release.
 */
const FUNCTIONS = {
  getErrorMessage: [2, "p"],
  createSessionFromArray: [8, "ppnpo"],
  run: [9, "ppppnpnp"],
  createSessionOptions: [10, "o"],
  enableProfiling: [14, "ps"],
  disableMemPattern: [17, "p"],
  disableCpuMemArena: [19, "p"],
  setGraphOptimizationLevel: [23, "pi"],
  setIntraOpThreads: [24, "pi"],
  createRunOptions: [39, "o"],
  setTerminate: [46, "p"],
  unsetTerminate: [47, "p"],
  createTensorWithData: [49, "ppnpnio"],
  getTensorData: [51, "po"],
  getElementType: [60, "pp"],
  getDimensionsCount: [61, "pp"],
  getDimensions: [62, "ppn"],
  getTensorTypeAndShape: [65, "po"],
  createCpuMemoryInfo: [69, "iio"],
  releaseStatus: [93, "p"],
  releaseSession: [95, "p"],
  releaseValue: [96, "p"],
  releaseRunOptions: [97, "p"],
  releaseTensorTypeAndShape: [99, "p"],
  releaseSessionOptions: [100, "p"],
  getDefaultAllocator: [78, "o"],
  sessionEndProfiling: [110, "ppo"],
  createEnvWithGlobalThreadPools: [119, "ispo"],
  disablePerSessionThreads: [120, "p"],
  createThreadingOptions: [121, "o"],
  addSessionConfigEntry: [130, "pss"],
  setGlobalIntraOpThreads: [147, "pi"],
  addInitializer: [150, "psp"],
  setGlobalDenormalAsZero: [155, "p"],
  addExternalInitializers: [210, "pppp"],
} as const satisfies Record<string, readonly [place: number, signature: string]>;

type FunctionName = keyof typeof FUNCTIONS;

/** Calls that return nothing or text instead of a status. */
const RETURNS: Partial<Record<FunctionName, string>> = {
  getErrorMessage: "const char *",
  releaseStatus: "void",
  releaseSession: "void",
  releaseValue: "void",
  releaseRunOptions: "void",
  releaseTensorTypeAndShape: "void",
  releaseSessionOptions: "void",
};

/** Version of the C interface asked for; any runtime from 1.22 on has it. */
const API_VERSION = 22;

/**
 * ONNX Runtime through its C interface.
 *
 * The JavaScript binding copies every output into fresh memory and blocks the event loop while it runs; calling the same
 * shared library directly does neither. See docs/decisions/0002-c-interface.md.
 */
export class OrtLibrary {
  readonly path: string;
  readonly version: string;
  readonly #koffi: typeof import("koffi");
  readonly #functions = new Map<FunctionName, NativeFunction>();

  private constructor(koffi: typeof import("koffi"), libraryPath: string) {
    this.#koffi = koffi;
    this.path = libraryPath;
    const base = koffi.load(libraryPath).func("void *OrtGetApiBase()")() as Pointer;
    const [getApi, getVersion] = koffi.decode(base, koffi.array("void *", 2)) as [Pointer, Pointer];
    this.version = koffi.decode(getVersion, koffi.proto("const char *()"))() as string;
    const api = koffi.decode(getApi, koffi.proto("void *(uint32_t)"))(API_VERSION) as Pointer | null;
    if (!api) throw missing(`ONNX Runtime ${this.version}`, libraryPath);
    const last = Math.max(...Object.values(FUNCTIONS).map(([place]) => place));
    const table = koffi.decode(api, koffi.array("void *", last + 1)) as Pointer[];
    for (const name of Object.keys(FUNCTIONS) as FunctionName[]) {
      const [place, signature] = FUNCTIONS[name];
      this.#functions.set(name, koffi.decode(table[place]!, prototype(koffi, RETURNS[name], signature)));
    }
  }

  /** @throws {EnvironmentError} if the native packages are not installed or do not suit this machine. */
  static load(): OrtLibrary {
    const require = createRequire(import.meta.url);
    try {
      const koffi = require("koffi") as typeof import("koffi");
      const root = path.dirname(require.resolve("onnxruntime-node/package.json"));
      return new OrtLibrary(
        koffi,
        path.join(root, "bin", "napi-v6", process.platform, process.arch, libraryName()),
      );
    } catch (cause) {
      if (cause instanceof EnvironmentError) throw cause;
      throw missing(cause instanceof Error ? cause.message.split("\n")[0]! : String(cause), "engine", cause);
    }
  }

  /**
   * Calls a function; a failing status becomes an error. Returns what an `o` argument received. An array given for a
   * pointer stays alive during the call; its bare address would not keep it.
   */
  call(name: FunctionName, ...args: Argument[]): Pointer {
    const received: [Pointer | null] = [null];
    const withReceiver = FUNCTIONS[name][1].endsWith("o") ? [...args, received] : args;
    this.#check(name, this.#functions.get(name)!(...withReceiver));
    return received[0] ?? 0n;
  }

  /** Calls a function on another thread, so that the event loop stays live. */
  callAsync(name: FunctionName, ...args: Argument[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#functions.get(name)!.async(...args, (failure: Error | null, status: unknown) => {
        try {
          if (failure) throw failure;
          this.#check(name, status);
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** Where a typed array's elements lie. The caller keeps the array referenced as long as the address is in use. */
  addressOf(array: ArrayBufferView): Pointer {
    return this.#koffi.address(array);
  }

  /** A zero-terminated string in native memory. */
  readString(address: Pointer): string {
    return this.#koffi.decode.string(address);
  }

  /** Native memory seen as an ArrayBuffer, without a copy. */
  viewNative(address: Pointer, numBytes: number): ArrayBuffer {
    return this.#koffi.view(address, numBytes);
  }

  #check(name: FunctionName, status: unknown): void {
    if (RETURNS[name] !== undefined || status === null || status === 0n || status === undefined) return;
    const message = this.#functions.get("getErrorMessage")!(status) as string;
    this.#functions.get("releaseStatus")!(status as Status);
    throw new EnvironmentError({
      where: `ONNX Runtime ${name}`,
      expected: "success",
      got: message.replaceAll("\n", " "),
    });
  }
}

function prototype(
  koffi: typeof import("koffi"),
  returns: string | undefined,
  signature: string,
): TypeObject {
  const types: Record<string, string> = { p: "void *", n: "size_t", i: "int", s: "str", o: "_Out_ void **" };
  const list = [...signature].map((letter) => types[letter]).join(", ");
  return koffi.proto(`${returns ?? "void *"} (${list})`);
}

function libraryName(): string {
  switch (process.platform) {
    case "win32":
      return "onnxruntime.dll";
    case "darwin":
      return "libonnxruntime.1.dylib";
    default:
      return "libonnxruntime.so.1";
  }
}

function missing(got: string, where: string, cause?: unknown): EnvironmentError {
  return new EnvironmentError(
    {
      where,
      expected: `onnxruntime-node and koffi for ${process.platform}-${process.arch}`,
      got,
      fix: "Run ONNXRUNTIME_NODE_INSTALL=skip npm install.",
    },
    { cause },
  );
}
