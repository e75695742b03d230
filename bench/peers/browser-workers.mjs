/**
 * Web workers for libraries that look for the browser's: jax-js shares its kernels over `Worker`s made from
 * blob URLs where there are any, and counts cores with `navigator`. Node has neither under these names.
 */
import { resolveObjectURL } from "node:buffer";
import { Worker } from "node:worker_threads";

const PRELUDE = `
  const { parentPort } = require("node:worker_threads");
  globalThis.self = globalThis;
  globalThis.postMessage = (message) => parentPort.postMessage(message);
  parentPort.on("message", (data) => self.onmessage({ data }));
`;

class BlobWorker {
  #worker;
  #starting;

  constructor(url) {
    this.#starting = this.#start(resolveObjectURL(url));
  }

  postMessage(message) {
    if (this.#worker) this.#worker.postMessage(message);
    else this.#starting.then(() => this.#worker.postMessage(message));
  }

  async #start(blob) {
    const worker = new Worker(PRELUDE + (await blob.text()), { eval: true });
    worker.on("message", (data) => this.onmessage({ data }));
    worker.on("error", (error) => this.onerror(error));
    this.#worker = worker;
  }
}

/** Call before importing the library: it looks once. */
export function offerBrowserWorkers(threads) {
  const value = { hardwareConcurrency: threads };
  Object.defineProperty(globalThis, "navigator", { value, configurable: true });
  globalThis.Worker = BlobWorker;
}
