import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Engine } from "../engine/engine.ts";
import { Decoder } from "../generate/decoder.ts";
import { describeModel, type ModelDescription } from "../models/describe-model.ts";
import { loadModel } from "../models/load-model.ts";
import { mistralConfig } from "../models/mistral/config.ts";
import { Mistral } from "../models/mistral/model.ts";
import { availableMemory } from "./available-memory.ts";
import { checkMemory } from "./check-memory.ts";
import { forecastMemory } from "./memory-forecast.ts";

const FIXTURES = new URL("../../test/fixtures/", import.meta.url).pathname;
const GPT2 = `${FIXTURES}gpt2/prefixed`; // 2 layers × 32, 4 heads, feed-forward 64, context 32, vocabulary 97

const sizes = { width: 64, numLayers: 2, numHeads: 4, numKeyValueHeads: 2, feedForwardSize: 160 };

/** A model that is only described, all of it mapped. */
function describeMistral(given: object, scheme?: { bits: number; blockSize: number }): ModelDescription {
  const config = mistralConfig({
    ...sizes,
    vocabularySize: 500,
    contextLength: 4096,
    tiedHead: false,
    ...given,
  });
  const model = new Mistral(config);
  const tensors = model.parameters.map(({ path, shape, sumAxis }) => {
    const numbers = shape.reduce((product, size) => product * size, 1);
    const isMultiplied = sumAxis !== undefined && !model.lookupPaths.includes(path);
    const bytes = scheme && sumAxis !== undefined ? (numbers * scheme.bits) / 8 : 4 * numbers;
    const scaleBytes = scheme && sumAxis !== undefined ? (4 * numbers) / scheme.blockSize : 0;
    return { path, shape, isMultiplied, isMapped: true, bytes, scaleBytes };
  });
  return { kind: "causal", directory: "described", model, tensors };
}

describe("forecasts, by hand", () => {
  // A layer: queries and outputs 64 × 64 each, keys and values 32 × 64 each, three of 64 × 160; a head of 500 × 64.
  const multiplied = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 160) + 500 * 64;

  test("float32: matrices once, packed; the table that is only looked up not at all", () => {
    const { weightsBytes } = forecastMemory(describeMistral({}));
    expect(weightsBytes).toBe(4 * multiplied);
  });

  test("a table that is also the head stays mapped beside its packed copy", () => {
    const { weightsBytes } = forecastMemory(describeMistral({ tiedHead: true }));
    expect(weightsBytes).toBe(4 * (multiplied + 500 * 64));
  });

  test("blocks of 4 bits, and three copies of a scale each", () => {
    const { weightsBytes } = forecastMemory(describeMistral({}, { bits: 4, blockSize: 32 }));
    expect(weightsBytes).toBe(multiplied / 2 + (3 * 4 * multiplied) / 32);
  });

  test("keys and values of every row, up to the context or the window and a piece", () => {
    const slot = 2 * 2 * 2 * 16 * 4; // keys and values, layers, heads, width, bytes
    const cache = (given: object, request: object) =>
      forecastMemory(describeMistral(given), request).cacheBytes;
    expect(cache({}, {})).toBe(4096 * slot);
    expect(cache({}, { contextTokens: 100, rows: 3 })).toBe(300 * slot);
    expect(cache({}, { contextTokens: 10_000 })).toBe(4096 * slot);
    expect(cache({ slidingWindow: 50 }, {})).toBe((49 + 512) * slot);
  });

  test("the largest results: attention scores of a piece, or inside the feed-forward layer", () => {
    const scores = forecastMemory(describeMistral({}), {}).activationBytes;
    expect(scores).toBe(4 * (4 * 512 * 4096 + 3 * 512 * 64 + 500));
    const narrow = forecastMemory(describeMistral({}), { contextTokens: 64 }).activationBytes;
    expect(narrow).toBe(4 * (3 * 64 * 160 + 3 * 64 * 64 + 500));
  });

  test("a directory: the parts that are read for want of float32 count twice", () => {
    const described = describeModel(GPT2);
    const { model } = loadModel(GPT2);
    expect(described.tensors.map(({ path }) => path)).toEqual(model.parameters.map(({ path }) => path));
    const whole = forecastMemory(described).weightsBytes;
    const tensors = described.tensors.map((tensor) => ({ ...tensor, isMapped: false }));
    const read = forecastMemory({ ...described, tensors }).weightsBytes;
    const table = 4 * 97 * 32; // counted when mapped, too
    const everything = described.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(read - whole).toBe(everything - table);
  });
});

test.skipIf(process.platform !== "linux")(
  "a live decoder keeps keys and values as was forecast",
  async () => {
    const directory = `${FIXTURES}gpt2/prefixed`;
    const forecast = forecastMemory(describeModel(directory), { contextTokens: 32 });
    const { model, weights } = loadModel(directory);
    const decoder = new Decoder(new Engine(), model, weights);
    await decoder.prefill([1, 2, 3]);
    expect(decoder.cacheBytes).toBe(forecast.cacheBytes);
    decoder.dispose();
  },
);

describe("what is available", () => {
  const files = (given: Record<string, string>) => availableMemory((path) => given[path]);
  const meminfo = "MemTotal:       100 kB\nMemFree:         1 kB\nMemAvailable:   50 kB\n";

  test("what the system would give, within the limit of a container", () => {
    expect(files({ "/proc/meminfo": meminfo })).toBe(50 * 1024);
    const group = { "/sys/fs/cgroup/memory.max": "30720\n", "/sys/fs/cgroup/memory.current": "10240\n" };
    expect(files({ "/proc/meminfo": meminfo, ...group })).toBe(20_480);
    expect(files({ "/proc/meminfo": meminfo, ...group, "/sys/fs/cgroup/memory.max": "max\n" })).toBe(
      50 * 1024,
    );
    const first = {
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "4096",
      "/sys/fs/cgroup/memory/memory.usage_in_bytes": "8192",
    };
    expect(files({ "/proc/meminfo": meminfo, ...first })).toBe(0);
  });

  test.skipIf(process.platform !== "linux")("here: more than is free, less than there is", () => {
    const [, total] = /MemTotal:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))!;
    expect(availableMemory()).toBeGreaterThan(0);
    expect(availableMemory()).toBeLessThan(Number(total) * 1024);
  });
});

describe("a model that does not fit", () => {
  test("is refused in one line, with what would fit", () => {
    const { totalBytes } = forecastMemory(describeModel(GPT2));
    expect(() => checkMemory(GPT2, {}, totalBytes)).not.toThrow();
    let message = "";
    try {
      checkMemory(GPT2, { contextTokens: 32 }, totalBytes - 20_000);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain(
      `${GPT2}: expected a model that fits into the 0.2 GB of memory available, got one that`,
    );
    expect(message).toContain("needs about 0.2 GB for 32 tokens.");
    expect(message).toContain("Quantise it (plinth quantize --scheme int4 --block-size 128): about 0.2 GB; ");
    expect(message).toContain("load it all the same with --no-check-memory.");
    expect(message).not.toContain("\n");
  });

  test("where nothing helps, no false hope", () => {
    expect(() => checkMemory(GPT2, {}, 1000)).toThrow(/tokens\. Free memory, or load it all the same/);
  });
});
