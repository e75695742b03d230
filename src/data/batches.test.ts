import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError } from "../core/errors.ts";
import { type Batch, BatchSampler } from "./batches.ts";
import { ShardWriter } from "./shard-writer.ts";
import { TokenDataset } from "./token-dataset.ts";

const directory = mkdtempSync(join(tmpdir(), "plinth-batches-"));

afterAll(() => rmSync(directory, { recursive: true }));

/** Tokens first, first + 1, …, so that every token tells its place. */
function counting(name: string, numTokens: number, first = 0): TokenDataset {
  const layout = { directory, name, width: 4, vocabularySize: 2 ** 31, tokensPerShard: 1000 } as const;
  const writer = new ShardWriter(layout);
  writer.write(Uint32Array.from({ length: numTokens }, (_, i) => first + i));
  return new TokenDataset(directory, writer.finish(), 4);
}

function hashBatch({ tokens, targets }: Batch): string {
  return createHash("sha256").update(tokens).update(targets).digest("hex");
}

const datasets = [
  { dataset: counting("a", 2345), weight: 3 },
  { dataset: counting("b", 997, 1_000_000), weight: 1 },
];

describe("one source", () => {
  const options = {
    datasets: [{ dataset: datasets[0]!.dataset, weight: 1 }],
    batchSize: 1,
    contextLength: 50,
    seed: 5,
  };

  test("each epoch reads every window once, from its own phase and in its own order", () => {
    const sampler = new BatchSampler(options);
    const phases = new Set<number>();
    let previous = "";
    for (let epoch = 0; epoch < 6; epoch++) {
      const starts: number[] = [];
      do starts.push(sampler.next().tokens[0]!);
      while (sampler.state().positions[0]!.window * 50 + 50 <= 2344 - (starts[0]! % 50));
      expect(sampler.state().positions[0]!.epoch).toBe(epoch);
      const phase = starts[0]! % 50;
      const sorted = starts.toSorted((a, b) => a - b);
      expect(sorted).toEqual(sorted.map((_, i) => phase + 50 * i));
      expect(sorted.at(-1)! + 100).toBeGreaterThan(2344); // no room for another window
      expect(starts.join()).not.toBe(sorted.join());
      expect(starts.join()).not.toBe(previous);
      previous = starts.join();
      phases.add(phase);
    }
    expect(phases.size).toBeGreaterThan(3);
  });

  test("targets are the next tokens", () => {
    const { tokens, targets } = new BatchSampler({ ...options, batchSize: 7 }).next();
    expect(tokens.length).toBe(7 * 50);
    for (let row = 0; row < 7; row++) {
      const first = tokens[row * 50]!;
      expect([...tokens.subarray(row * 50, row * 50 + 50)]).toEqual(
        Array.from({ length: 50 }, (_, t) => first + t),
      );
    }
    expect([...targets]).toEqual([...tokens].map((token) => token + 1));
  });

  test("data of exactly one window is enough", () => {
    const exact = { ...options, datasets: [{ dataset: counting("exact", 51), weight: 1 }] };
    const sampler = new BatchSampler(exact);
    for (let i = 0; i < 5; i++) expect(sampler.next().tokens[0]).toBe(0);
    expect(sampler.state().positions).toEqual([{ epoch: 4, window: 1 }]);
  });
});

describe("resuming", () => {
  const options = { datasets, batchSize: 4, contextLength: 32, seed: 11 };

  test("1,000 batches follow exactly, whatever the moment of the interruption", () => {
    const straight = new BatchSampler(options);
    const hashes: string[] = [];
    const cursors: string[] = [];
    for (let i = 0; i < 1000; i++) {
      cursors.push(JSON.stringify(straight.state()));
      hashes.push(hashBatch(straight.next()));
    }
    expect(new Set(hashes).size).toBe(1000);
    for (const start of [0, 1, 17, 500]) {
      const resumed = new BatchSampler(options);
      for (let i = 0; i < 3; i++) resumed.next();
      resumed.restore(JSON.parse(cursors[start]!));
      const mismatches = hashes.slice(start).filter((hash) => hash !== hashBatch(resumed.next())).length;
      expect(mismatches).toBe(0);
    }
  });

  test("another seed gives other batches", () => {
    expect(hashBatch(new BatchSampler({ ...options, seed: 12 }).next())).not.toBe(
      hashBatch(new BatchSampler(options).next()),
    );
  });

  test.each([
    [{ seed: 12 }, "data cursor seed: expected 11, as when it was saved, got 12"],
    [{ contextLength: 16 }, "data cursor contextLength: expected 32, as when it was saved, got 16"],
    [{ batchSize: 8 }, "data cursor batchSize: expected 4, as when it was saved, got 8"],
    [
      { datasets: datasets.slice(0, 1) },
      "data cursor numTokens: expected 2345,997, as when it was saved, got 2345",
    ],
  ])("a cursor of other settings is refused: %j", (change, message) => {
    const cursor = new BatchSampler(options).state();
    expect(() => new BatchSampler({ ...options, ...change }).restore(cursor)).toThrow(message);
  });
});

test("sources are mixed by weight", () => {
  const sampler = new BatchSampler({ datasets, batchSize: 100, contextLength: 8, seed: 1 });
  let fromFirst = 0;
  for (let i = 0; i < 100; i++) {
    const { tokens } = sampler.next();
    for (let row = 0; row < 100; row++) if (tokens[row * 8]! < 1_000_000) fromFirst++;
  }
  expect(Math.abs(fromFirst / 10_000 - 0.75)).toBeLessThan(0.02);
});

test("a context longer than the data is refused with the numbers", () => {
  const options = { datasets, batchSize: 1, seed: 1 };
  expect(() => new BatchSampler({ ...options, contextLength: 996 })).not.toThrow();
  expect(() => new BatchSampler({ ...options, contextLength: 997 })).toThrow(ConfigError);
  expect(() => new BatchSampler({ ...options, contextLength: 997 })).toThrow(
    "contextLength: expected at most 996, as a training source has 997 tokens and a window needs one more than its length, got 997. Shorten the context or give more text.",
  );
});

test.each([
  [{ batchSize: 0 }, "batchSize: expected an integer ≥ 1, got 0"],
  [{ contextLength: 1.5 }, "contextLength: expected an integer ≥ 1, got 1.5"],
  [{ datasets: [] }, "at least one dataset, got none"],
  [{ datasets: [{ dataset: datasets[0]!.dataset, weight: 0 }] }, "weight: expected above 0, got 0"],
])("refuses %j", (change, message) => {
  const options = { datasets, batchSize: 1, contextLength: 8, seed: 1, ...change };
  expect(() => new BatchSampler(options)).toThrow(message);
});
