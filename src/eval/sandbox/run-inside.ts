/** What the sandboxed process is told on its standard input. */
export interface InsideRequest {
  readonly source: string;
  /** Begins each line that counts as a report. The program cannot see it, so it cannot claim to have passed. */
  readonly nonce: string;
  /** After this the process ends by itself, should nobody be left to end it. */
  readonly lifetimeMs: number;
}

/** What the sandboxed process says about the program, after the nonce. */
export interface InsideReport {
  readonly status: "passed" | "failed" | "invalid" | "forbidden" | "memory";
  readonly detail: string;
}

/**
 * What the sandboxed process does: takes away all that reaches outside, runs the program, says how it went on file descriptor 3.
 *
 * It is handed to `node -e` as text, so it uses nothing but its argument and globals. What it needs later it takes hold of first: afterwards the
 * program may have changed any prototype.
 */
export function runInside(require: NodeJS.Require): void {
  const fs = require("node:fs") as typeof import("node:fs");
  const { inspect } = require("node:util") as typeof import("node:util");
  const vm = require("node:vm") as typeof import("node:vm");
  const { Console } = require("node:console") as typeof import("node:console");
  const { writeSync } = fs;
  const { stringify } = JSON;
  const { process } = globalThis;
  const exit = (process as unknown as { reallyExit(code: number): never }).reallyExit.bind(process);
  const { source, nonce, lifetimeMs } = JSON.parse(fs.readFileSync(0, "utf8")) as InsideRequest;
  const passed = `${nonce}${stringify({ status: "passed", detail: "" })}\n`;

  // Pure computation only. None of these hands out the process, files, sockets or other modules.
  const pure = [
    "assert",
    "assert/strict",
    "buffer",
    "events",
    "path",
    "querystring",
    "string_decoder",
    "url",
    "util",
  ];
  const modules = new Map(pure.map((name) => [name, require(`node:${name}`) as Record<string, unknown>]));
  class Forbidden extends Error {}
  const load = (name: unknown) => {
    const found = modules.get(`${name}`.replace(/^node:/, ""));
    if (found) return found;
    throw new Forbidden(`the module ${inspect(name)}`);
  };

  // Whoever reads may be slow; then the descriptor says "again".
  const write = (descriptor: number, text: string): boolean => {
    for (;;) {
      try {
        return writeSync(descriptor, text) > 0;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      }
    }
  };
  const report = (status: InsideReport["status"], detail: string): never => {
    write(3, `${nonce}${stringify({ status, detail })}\n`);
    return exit(1);
  };
  const fail = (error: unknown) => {
    if (error instanceof Forbidden) report("forbidden", error.message);
    const text = error instanceof Error ? `${error.name}: ${error.message}` : inspect(error);
    const missing = /^ReferenceError: (process|fetch|WebSocket|Worker|module) is not defined$/.exec(text);
    if (missing) report("forbidden", `the global ${missing[1]}`);
    report(
      /^RangeError: Array buffer allocation failed/.test(text) ? "memory" : "failed",
      text.slice(0, 2000),
    );
  };

  let isEvaluated = false;
  process.on("uncaughtException", fail);
  process.on("exit", () => {
    if (!isEvaluated) report("failed", "the program waits for what never comes");
    write(3, passed);
    exit(0);
  });
  setTimeout(() => exit(1), lifetimeMs).unref();

  const streamTo = (descriptor: number) =>
    ({ write: (text: string) => write(descriptor, text) }) as unknown as NodeJS.WritableStream;
  const output = new Console({ stdout: streamTo(1), stderr: streamTo(2), ignoreErrors: false });

  // The language itself, and what has no way out. Whatever a version of Node adds is gone unless it is listed.
  const kept = new Set(
    (
      "Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise RegExp Error AggregateError EvalError " +
      "RangeError ReferenceError SyntaxError TypeError URIError SuppressedError globalThis JSON Math Intl ArrayBuffer SharedArrayBuffer Atomics " +
      "Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array Float16Array Float32Array Float64Array Uint8ClampedArray BigUint64Array " +
      "BigInt64Array DataView Map BigInt Set Iterator WeakMap WeakSet WeakRef FinalizationRegistry Proxy Reflect decodeURI decodeURIComponent " +
      "encodeURI encodeURIComponent escape unescape eval isFinite isNaN DisposableStack AsyncDisposableStack setTimeout clearTimeout setInterval " +
      "clearInterval setImmediate clearImmediate queueMicrotask structuredClone atob btoa URL URLSearchParams TextEncoder TextDecoder Buffer"
    ).split(" "),
  );
  for (const key of Reflect.ownKeys(globalThis)) {
    if (typeof key === "string" && !kept.has(key)) Reflect.deleteProperty(globalThis, key);
  }
  const left = Reflect.ownKeys(globalThis).find((key) => typeof key === "string" && !kept.has(key));
  if (left) report("invalid", `this Node does not let go of the global ${String(left)}`);
  const scope = { console: output, performance: { now: Date.now }, require: load, exports: {} };
  for (const [key, value] of Object.entries(scope)) {
    Object.defineProperty(globalThis, key, { value, writable: true, configurable: true });
  }

  const asModule = async () => {
    const { SourceTextModule, SyntheticModule } = vm as unknown as {
      SourceTextModule: new (
        source: string,
        options: object,
      ) => {
        link(linker: (name: string) => unknown): Promise<void>;
        evaluate(): Promise<void>;
      };
      SyntheticModule: new (
        names: string[],
        fill: (this: { setExport(name: string, value: unknown): void }) => void,
      ) => unknown;
    };
    const read = () => {
      try {
        return new SourceTextModule(source, { identifier: "program" });
      } catch (error) {
        return report("invalid", `${error}`);
      }
    };
    const program = read();
    await program.link((name) => {
      const exported = { ...load(name), default: load(name) };
      return new SyntheticModule(Object.keys(exported), function () {
        for (const [key, value] of Object.entries(exported)) this.setExport(key, value);
      });
    });
    await program.evaluate();
    isEvaluated = true;
  };

  let script: InstanceType<typeof vm.Script> | undefined;
  try {
    script = new vm.Script(source, { filename: "program" });
  } catch (error) {
    const isModule =
      /import statement outside a module|Unexpected token 'export'|import\.meta|await is only valid/.test(
        `${error}`,
      );
    if (!isModule) report("invalid", `${error}`);
    asModule().catch(fail);
  }
  try {
    script?.runInThisContext();
    isEvaluated = script !== undefined;
  } catch (error) {
    fail(error);
  }
}
