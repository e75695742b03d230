import { mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DataError, FormatError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { ShardWriter } from "./shard-writer.ts";
import { TokenDataset } from "./token-dataset.ts";
import { tokenWidth } from "./token-file.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-tokens-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(ids: ArrayLike<number>, vocabularySize: number, tokensPerShard: number) {
  const width = tokenWidth(vocabularySize);
  const writer = new ShardWriter({ directory, name: "t", width, vocabularySize, tokensPerShard });
  for (let i = 0; i < ids.length; i += 37) writer.write(Uint32Array.from(ids).subarray(i, i + 37));
  return { shards: writer.finish(), width };
}

describe.each([
  { vocabularySize: 65_536, bytes: 2 },
  { vocabularySize: 65_537, bytes: 4 },
])("a vocabulary of $vocabularySize", ({ vocabularySize, bytes }) => {
  const random = new Random(1);
  const ids = Int32Array.from({ length: 1000 }, () => random.integer(vocabularySize));
  ids[0] = vocabularySize - 1;

  test("any range reads back, across shard borders", () => {
    const { shards, width } = write(ids, vocabularySize, 100);
    expect(shards.length).toBe(10);
    expect(width).toBe(bytes);
    const dataset = new TokenDataset(directory, shards, width);
    expect(dataset.numTokens).toBe(1000);
    for (let i = 0; i < 300; i++) {
      const offset = random.integer(1001);
      const length = random.integer(1001 - offset);
      const into = new Int32Array(length + 2).fill(-7);
      dataset.read(offset, length, into, 1);
      expect([...into]).toEqual([-7, ...ids.subarray(offset, offset + length), -7]);
    }
    dataset.close();
  });

  test("shards are little-endian integers", () => {
    const { shards } = write([1, 258, 0], vocabularySize, 100);
    const expected = bytes === 2 ? [1, 0, 2, 1, 0, 0] : [1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0];
    expect([...readFileSync(join(directory, shards[0]!.file))]).toEqual(expected);
  });
});

test("ranges outside are refused", () => {
  const { shards, width } = write([1, 2, 3], 10, 100);
  const dataset = new TokenDataset(directory, shards, width);
  const into = new Int32Array(3);
  for (const [offset, length, at] of [
    [-1, 1, 0],
    [2, 2, 0],
    [0, 3, 1],
    [Number.NaN, 1, 0],
  ] as const) {
    expect(() => dataset.read(offset, length, into, at)).toThrow(DataError);
  }
  dataset.close();
});

test("an id outside the vocabulary is refused", () => {
  expect(() => write([1, 10], 10, 100)).toThrow("ids below 10, got 10");
});

test("a missing or truncated shard is refused, also one cut short later", () => {
  const { shards, width } = write(
    Array.from({ length: 250 }, () => 1),
    10,
    100,
  );
  const dataset = new TokenDataset(directory, shards, width);
  truncateSync(join(directory, shards[1]!.file), 199);
  expect(() => dataset.read(0, 250, new Int32Array(250))).toThrow(FormatError);
  expect(() => new TokenDataset(directory, shards, width)).toThrow(
    "expected 200 bytes, as in corpus.json, got 199",
  );
  rmSync(join(directory, shards[1]!.file));
  expect(() => new TokenDataset(directory, shards, width)).toThrow(FormatError);
  dataset.close();
});
