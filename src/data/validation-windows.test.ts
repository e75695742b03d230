import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ShardWriter } from "./shard-writer.ts";
import { TokenDataset } from "./token-dataset.ts";
import { IGNORED_TARGET, validationWindows } from "./validation-windows.ts";

const directory = mkdtempSync(join(tmpdir(), "plinth-validation-"));

afterAll(() => rmSync(directory, { recursive: true }));

let numDatasets = 0;

function counting(numTokens: number): TokenDataset {
  const layout = {
    directory,
    name: `${numDatasets++}`,
    width: 2,
    vocabularySize: 999,
    tokensPerShard: 64,
  } as const;
  const writer = new ShardWriter(layout);
  writer.write(Uint32Array.from({ length: numTokens }, (_, i) => i));
  return new TokenDataset(directory, writer.finish(), 2);
}

const sizes = [2, 3, 8, 9, 10, 16, 17, 100, 101];

test.each(sizes)(
  "of %d tokens, each but the first is a target exactly once, with enough context",
  (numTokens) => {
    const dataset = counting(numTokens);
    for (const minContext of [1, 2, 5, 8]) {
      const scored: number[] = [];
      for (const { tokens, targets, numTargets } of validationWindows(dataset, 8, 3, { minContext })) {
        expect([tokens.length, targets.length]).toEqual([24, 24]);
        expect(targets.filter((target) => target !== IGNORED_TARGET).length).toBe(numTargets);
        for (const [position, target] of targets.entries()) {
          if (target === IGNORED_TARGET) continue;
          scored.push(target);
          const t = position % 8;
          expect(tokens[position]).toBe(target - 1);
          expect(tokens[position - t]).toBe(target - 1 - t); // the row is contiguous up to here
          expect(t + 1).toBeGreaterThanOrEqual(Math.min(minContext, target));
        }
      }
      expect(scored).toEqual(Array.from({ length: numTokens - 1 }, (_, i) => i + 1));
    }
    dataset.close();
  },
);

test("side by side, the last window is filled up", () => {
  const batches = [...validationWindows(counting(7), 4, 2)];
  expect(batches).toEqual([
    {
      tokens: Int32Array.of(0, 1, 2, 3, 4, 5, 0, 0),
      targets: Int32Array.of(1, 2, 3, 4, 5, 6, -1, -1),
      numTargets: 6,
    },
  ]);
});

test("a token can be left out where it is the target", () => {
  const [batch] = validationWindows(counting(5), 4, 1, { unscoredId: 3 });
  expect([...batch!.targets]).toEqual([1, 2, -1, 4]);
  expect(batch!.numTargets).toBe(3);
});

test.each([
  [counting(1), 4, {}, "validation split: expected at least 2 tokens, got 1"],
  [counting(9), 4, { minContext: 5 }, "minContext: expected an integer in [1, 4], got 5"],
  [counting(9), 4, { minContext: 0 }, "minContext: expected an integer in [1, 4], got 0"],
  [counting(9), 0, {}, "contextLength: expected an integer ≥ 1, got 0"],
])("bad input %#", (dataset, contextLength, options, message) => {
  expect(() => [...validationWindows(dataset, contextLength, 1, options)]).toThrow(message);
});
