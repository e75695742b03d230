import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";

/** JavaScript, or why the text is not TypeScript. */
export type Stripped = { readonly code: string } | { readonly error: string };

/** What the thread does: answers each text with JavaScript or an error. */
const THREAD = `
const { parentPort, workerData } = require("node:worker_threads");
const { transformSync } = require(workerData);
parentPort.on("message", (source) => {
  try {
    parentPort.postMessage({ code: transformSync(source, { mode: "transform", filename: "program.ts" }).code });
  } catch (error) {
    const isSyntax = typeof error?.code === "string";
    parentPort.postMessage({ error: String(error?.message ?? error).split("\\n")[0], isBroken: !isSyntax });
  }
});`;

/**
 * Makes JavaScript of TypeScript by taking its types out, without checking them. The compiler is loaded when first needed, in a thread of its own: text
 * made to break it may exhaust its stack, after which it is of no more use, or keep it busy; then the thread is ended and the next text gets a new one.
 */
export class TypeStripper {
  readonly #timeoutMs: number;
  #thread: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @param timeoutMs for one text. Usual ones take milliseconds; the first also waits until the compiler is there. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** One text after another. */
  strip(source: string): Promise<Stripped> {
    const next = this.#last.then(() => this.#ask(source));
    this.#last = next;
    return next;
  }

  /** Ends the thread. */
  async dispose(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.terminate();
  }

  #ask(source: string): Promise<Stripped> {
    const thread = this.#start();
    return new Promise((resolve) => {
      const finish = (stripped: Stripped, isBroken: boolean) => {
        clearTimeout(timer);
        // These alone: the thread has listeners of its own, without which it goes deaf.
        thread.off("message", onMessage);
        thread.off("error", onError);
        if (isBroken) void this.dispose();
        else thread.unref();
        resolve(stripped);
      };
      const onMessage = ({ code, error, isBroken }: { code?: string; error?: string; isBroken?: boolean }) =>
        finish(code === undefined ? { error: error ?? "cannot be read" } : { code }, isBroken ?? false);
      const onError = (error: Error) => finish({ error: `cannot be read: ${error.message}` }, true);
      const timer = setTimeout(() => finish({ error: "takes too long to read" }, true), this.#timeoutMs);
      thread.ref();
      thread.on("message", onMessage);
      thread.on("error", onError);
      thread.postMessage(source);
    });
  }

  #start(): Worker {
    this.#thread ??= new Worker(THREAD, {
      eval: true,
      workerData: createRequire(import.meta.url).resolve("@swc/wasm-typescript"),
      resourceLimits: { maxOldGenerationSizeMb: 256 },
    });
    return this.#thread;
  }
}
