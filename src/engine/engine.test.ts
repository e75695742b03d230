import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { type HostTensor, hostTensor, numElements } from "../core/dtype.ts";
import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import type { Dim } from "../core/shape.ts";
import { input, parameter, type Tensor } from "../tensor/tensor.ts";
import { Engine } from "./engine.ts";
import { interpret, toNdArray } from "./interpreter.ts";

const engine = new Engine({ threads: 1 });

function drawn(seed: number, ...shape: number[]): HostTensor {
  const random = new Random(seed);
  return hostTensor(
    "float32",
    shape,
    Float32Array.from({ length: numElements(shape) }, () => random.normal()),
  );
}

test.each([0, -1, 1.5, Number.NaN])("%d threads are refused", (threads) => {
  expect(() => new Engine({ threads })).toThrow(ConfigError);
  expect(() => new Engine({ threads })).toThrow(`threads: expected an integer ≥ 1, got ${threads}.`);
});

describe("named dimensions", () => {
  /** A small block through every kind of operator that inference with varying sizes needs. */
  function block(batch: Dim, tokens: Dim): Tensor {
    const x = input("x", "float32", [batch, tokens, 8]);
    const normal = x.layerNorm(parameter("norm.weight", [8]), parameter("norm.bias", [8]), 1e-5);
    const heads = normal
      .linear(parameter("up.weight", [8, 8]), parameter("up.bias", [8]), true)
      .reshape([batch, tokens, 2, 4])
      .transpose([0, 2, 1, 3]); // (B, 2, T, 4)
    const weights = heads.matmul(heads, { transposeB: true, scale: 0.5 }).softmax(); // (B, 2, T, T)
    const mixed = weights.matmul(heads).transpose([0, 2, 1, 3]).reshape([batch, tokens, 8]);
    return mixed
      .geluTanh()
      .rmsNorm(parameter("out.weight", [8]), 1e-5)
      .add(x);
  }

  const parameters = {
    "norm.weight": drawn(1, 8),
    "norm.bias": drawn(2, 8),
    "up.weight": drawn(3, 8, 8),
    "up.bias": drawn(4, 8),
    "out.weight": drawn(5, 8),
  };

  test("one program serves all sizes, as the reference does for each", async () => {
    const program = engine.compile("block", { y: block("batch", "tokens") });
    expect(program.outputs.get("y")!.shape).toEqual(["batch", "tokens", 8]);
    for (const [name, value] of Object.entries(parameters)) program.bind(name, value);
    for (const [B, T] of [
      [1, 1],
      [2, 5],
      [3, 2],
      [1, 64],
      [2, 5],
    ] as const) {
      const x = drawn(B * 100 + T, B, T, 8);
      const { y } = await program.run({ x });
      const feeds = Object.entries({ ...parameters, x }).map(([name, value]) => [name, toNdArray(value)]);
      const expected = interpret([block(B, T)], Object.fromEntries(feeds))[0]!;
      expect(y!.shape).toEqual([B, T, 8]);
      expected.data.forEach((value, i) => {
        expect(Math.abs(Number(y!.data[i]) - value)).toBeLessThan(1e-4);
      });
    }
    program.dispose();
  });

  test("an axis that is not named keeps its size", async () => {
    const program = engine.compile("fixed", { y: input("x", "float32", ["batch", 3]).exp() });
    await expect(program.run({ x: drawn(1, 2, 4) })).rejects.toThrow(
      "program fixed, tensor x: expected float32 [batch, 3], got float32 [2, 4] over 8 elements.",
    );
    program.dispose();
  });
});

test("the event loop stays live while a program runs", async () => {
  const x = input("x", "float32", [512, 512]);
  let y = x;
  for (let i = 0; i < 100; i++) y = y.matmul(x, { scale: 1 / 512 });
  const program = engine.compile("long", { y });
  const feeds = { x: hostTensor("float32", [512, 512], new Float32Array(512 * 512).fill(1)) };
  await program.run(feeds);
  let ticks = 0;
  let longestGapMs = 0;
  let before = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longestGapMs = Math.max(longestGapMs, now - before);
    before = now;
    ticks += 1;
  }, 5);
  const start = performance.now();
  let runs = 0;
  // Until it has taken long enough to tell, on however fast a machine.
  while (performance.now() - start < 300) {
    await program.run(feeds);
    runs += 1;
  }
  const elapsedMs = performance.now() - start;
  clearInterval(timer);
  program.dispose();
  // A blocked loop would tick once a run; a live one every few milliseconds.
  expect(ticks).toBeGreaterThan(2 * runs);
  expect(ticks).toBeGreaterThan(elapsedMs / 25);
  expect(longestGapMs).toBeLessThan(elapsedMs / runs);
});

// Node 20 cannot load TypeScript, in a worker or a child less than anywhere: these use what `npm run build` made.
const built = path.join(import.meta.dirname, "../../dist");
const isBuilt = existsSync(path.join(built, "engine/engine.js"));
const why = isBuilt ? "" : " (skipped: dist is not there, run npm run build)";
const moduleUrl = (name: string) => JSON.stringify(pathToFileURL(path.join(built, name)).href);

/** A program that doubles 1, 2, 3 and hands the result to `report`. */
const doubling = `
  const { Engine } = await import(${moduleUrl("engine/engine.js")});
  const { input } = await import(${moduleUrl("tensor/tensor.js")});
  const engine = new Engine({ threads: 1 });
  const program = engine.compile("double", { y: input("x", "float32", [3]).mul(2) });
  const x = { dtype: "float32", shape: [3], data: Float32Array.of(1, 2, 3) };
  const { y } = await program.run({ x });
  const again = program.runSync({ x });
  program.dispose();`;

describe.skipIf(!isBuilt)(`elsewhere than on the main thread${why}`, () => {
  test("the engine works inside workers, several at once, and here meanwhile", async () => {
    const code = `const { parentPort } = require("node:worker_threads");
      (async () => { ${doubling} parentPort.postMessage([...y.data, ...again.y.data]); })();`;
    const workers = [0, 1, 2].map(
      () =>
        new Promise<unknown>((resolve, reject) => {
          const worker = new Worker(code, { eval: true });
          worker.once("error", reject);
          worker.once("exit", () => reject(new Error("the worker ended without a word")));
          worker.once("message", resolve);
        }),
    );
    const program = engine.compile("here", { y: input("x", "float32", [3]).mul(3) });
    for (let i = 0; i < 50; i++) {
      const { y } = await program.run({ x: hostTensor("float32", [3], Float32Array.of(1, 2, 3)) });
      expect(Array.from(y!.data, Number)).toEqual([3, 6, 9]);
    }
    expect(await Promise.all(workers)).toEqual([0, 1, 2].map(() => [2, 4, 6, 2, 4, 6]));
    program.dispose();
  });

  test("a process that used the engine ends by itself, quietly", () => {
    const output = execFileSync(
      process.execPath,
      ["--input-type=module", "--eval", `${doubling} console.log([...y.data].join());`],
      { encoding: "utf8", timeout: 30_000, stdio: ["ignore", "pipe", "pipe"] },
    );
    expect(output).toBe("2,4,6\n");
  });
});
