import type * as FileSystem from "node:fs";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import { EnvironmentError } from "../core/errors.ts";
import { openCorpus } from "./corpus.ts";
import { prepareCorpus } from "./prepare.ts";
import { parseSource } from "./sources.ts";

/** Bytes the pretended disk still takes, and whether syncing works. */
const disk = vi.hoisted(() => ({ freeBytes: Number.POSITIVE_INFINITY, canSync: true }));

vi.mock("node:fs", async (importOriginal) => {
  const real = await importOriginal<typeof FileSystem>();
  const fail = (code: string) => Object.assign(new Error(`${code}: the pretended disk fails`), { code });
  return {
    ...real,
    // Takes at most 1,000 bytes a call, so that short writes are met as well.
    writeSync: (descriptor: number, bytes: Buffer, offset: number, length: number) => {
      if (disk.freeBytes <= 0) throw fail("ENOSPC");
      const taken = Math.min(length, 1000, disk.freeBytes);
      disk.freeBytes -= taken;
      return real.writeSync(descriptor, bytes, offset, taken);
    },
    fsyncSync: (descriptor: number) => {
      if (!disk.canSync) throw fail("EIO");
      real.fsyncSync(descriptor);
    },
  };
});

const folder = mkdtempSync(join(tmpdir(), "plinth-disk-full-"));
const outDir = join(folder, "out");

afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(() => {
  Object.assign(disk, { freeBytes: Number.POSITIVE_INFINITY, canSync: true });
});

function prepare(seed: number) {
  const text = "0123456789".repeat(1000);
  writeFileSync(join(folder, "text.txt"), text);
  const encode = (text: string) => Uint32Array.from(Buffer.from(text));
  const tokenizer = { vocabularySize: 257, endOfTextId: 256, encode, hash: () => "bytes" };
  const sources = [parseSource(join(folder, "text.txt"))];
  const split = { validationFraction: 0.1, splitBy: "tail", seed } as const;
  return prepareCorpus({ sources, tokenizer, outDir, tokensPerShard: 3000, ...split });
}

// Shards take 20,000 bytes and the manifest the rest: the disk fills up in either.
test.each([0, 1, 5999, 6000, 18_000, 19_999, 20_000, 20_500])(
  "a disk full after %d bytes",
  async (freeBytes) => {
    rmSync(outDir, { recursive: true, force: true });
    disk.freeBytes = freeBytes;
    await expect(prepare(1)).rejects.toThrow(EnvironmentError);
    expect(readdirSync(folder)).toEqual(["text.txt"]);

    disk.freeBytes = Number.POSITIVE_INFINITY;
    await prepare(1);
    disk.freeBytes = freeBytes;
    await expect(prepare(2)).rejects.toThrow(
      `${outDir}: expected to be able to write there, got a full disk (ENOSPC)`,
    );
    expect(readdirSync(folder).sort()).toEqual(["out", "text.txt"]);
    const corpus = openCorpus(outDir, "bytes", { verifyHashes: true });
    expect(corpus.manifest.seed).toBe(1); // the earlier corpus is intact
    corpus.close();
  },
);

test("a disk that cannot sync", async () => {
  rmSync(outDir, { recursive: true, force: true });
  disk.canSync = false;
  await expect(prepare(3)).rejects.toThrow(EnvironmentError);
  expect(readdirSync(folder)).toEqual(["text.txt"]);
});
