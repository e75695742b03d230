import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeDataset } from "../../test/tiny-run.ts";
import { ConfigError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { cutPair, type MaskedBatch, NO_LABEL } from "./masked-rows.ts";
import { MaskedSampler, type MaskedSamplerOptions } from "./masked-sampler.ts";
import { maskedWindows } from "./masked-windows.ts";
import type { TokenDataset } from "./token-dataset.ts";

// T tokens · P predictions

const [PAD, CLS, SEP, MASK] = [0, 2, 3, 4];
const specialIds = new Set([0, 1, 2, 3, 4]);
const vocabulary = { size: 5000, padId: PAD, clsId: CLS, sepId: SEP, maskId: MASK, specialIds };

let directory = "";
let counting: TokenDataset;
let documents: TokenDataset;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-masked-"));
  // Token 100 + i at place i: where a token is from can be read off it.
  counting = writeDataset(
    directory,
    "counting.bin",
    Array.from({ length: 1000 }, (_, i) => 100 + i),
  );
  const withSeparators = Array.from({ length: 1000 }, (_, i) => (i % 15 === 14 ? SEP : 100 + i));
  documents = writeDataset(directory, "documents.bin", withSeparators);
});
afterAll(() => {
  counting.close();
  documents.close();
  rmSync(directory, { recursive: true, force: true });
});

function options(changes: Partial<MaskedSamplerOptions> = {}): MaskedSamplerOptions {
  const datasets = [{ dataset: counting, weight: 1 }];
  const masking = { vocabulary, fraction: 0.15, pairs: false };
  return { datasets, batchSize: 4, contextLength: 22, seed: 1, ...masking, ...changes };
}

interface Row {
  readonly tokens: number[];
  readonly original: number[];
  readonly segments: number[];
  readonly mask: number[];
  readonly hidden: number[];
  readonly isRandom: number;
}

/** Rows as they were, and as they are. */
function rowsOf({ shape, tokens, segments, mask, positions, labels, isRandom }: MaskedBatch): Row[] {
  const { batchSize, contextLength: T, numPredictions: P } = shape;
  return Array.from({ length: batchSize }, (_, row) => {
    const cut = (data: Int32Array, size: number) => [...data.subarray(row * size, (row + 1) * size)];
    const original = cut(tokens, T);
    const hidden: number[] = [];
    cut(labels, P).forEach((label, i) => {
      if (label === NO_LABEL) return;
      hidden.push(cut(positions, P)[i]!);
      original[hidden.at(-1)!] = label;
    });
    return {
      ...{ tokens: cut(tokens, T), original, segments: cut(segments, T), mask: cut(mask, T), hidden },
      isRandom: isRandom[row]!,
    };
  });
}

describe("single texts", () => {
  test("[CLS] window [SEP], 3 of 20 hidden, everything else as it was", () => {
    const sampler = new MaskedSampler(options());
    for (let n = 0; n < 20; n++) {
      for (const { tokens, original, segments, mask, hidden, isRandom } of rowsOf(sampler.next())) {
        expect([original[0], original.at(-1)]).toEqual([CLS, SEP]);
        const text = original.slice(1, -1);
        expect(text).toEqual(text.map((_, i) => text[0]! + i));
        expect(hidden.length).toBe(3);
        expect(tokens.filter((id, at) => id !== original[at] && !hidden.includes(at))).toEqual([]);
        expect(segments.every((segment) => segment === 0)).toBe(true);
        expect(mask.every((one) => one === 1)).toBe(true);
        expect(isRandom).toBe(NO_LABEL);
      }
    }
  });

  test("a window that comes up again has other tokens hidden", () => {
    const sampler = new MaskedSampler(options({ batchSize: 50, contextLength: 1002 }));
    const choices = rowsOf(sampler.next()).map(({ hidden }) => hidden.join());
    expect(new Set(choices).size).toBe(50);
  });
});

describe("pairs", () => {
  const pairs = { pairs: true, batchSize: 100, contextLength: 43 };

  test("half of the second texts follow the first, the others are from elsewhere; 15 % hidden, none special", () => {
    const rows = rowsOf(new MaskedSampler(options(pairs)).next());
    let random = 0;
    for (const { original, segments, mask, hidden, isRandom } of rows) {
      const first = original.indexOf(SEP);
      const second = original.indexOf(SEP, first + 1);
      expect(original[0]).toBe(CLS);
      expect(second).toBe(42);
      expect(segments).toEqual(original.map((_, at) => Number(at > first)));
      expect(mask.every((one) => one === 1)).toBe(true);
      expect(hidden.length).toBe(6);
      const follows = original[first + 1] === original[first - 1]! + 1;
      expect(follows).toBe(isRandom === 0);
      random += isRandom;
    }
    expect(random).toBeGreaterThan(30);
    expect(random).toBeLessThan(70);
  });

  test("a pair does not cross documents, and is filled up with padding that nobody looks at", () => {
    const datasets = [{ dataset: documents, weight: 1 }];
    const rows = rowsOf(new MaskedSampler(options({ ...pairs, datasets })).next());
    for (const { original, mask } of rows) {
      const length = mask.reduce((sum, one) => sum + one, 0);
      expect(original.slice(length).every((id) => id === PAD)).toBe(true);
      expect(original.slice(0, length).filter((id) => id === SEP).length).toBe(2);
      expect(length).toBe(3 + 14);
    }
  });

  test("text that cannot be cut in two is followed by something from elsewhere", () => {
    const elsewhere = Int32Array.from([50, 51, 52, 53]);
    const cut = (window: number[]) => cutPair(Int32Array.from(window), SEP, new Random(1), () => elsewhere);
    expect(cut([9, SEP, SEP, SEP])).toEqual({
      first: Int32Array.of(9),
      second: { tokens: Int32Array.of(50, 51, 52), isRandom: true },
    });
    expect(cut([SEP, SEP, SEP, SEP]).second!.tokens.length).toBe(4);
  });
});

describe("where it stands", () => {
  test.each([false, true])(
    "a sampler restored from JSON goes on with the same batches (pairs: %s)",
    (pairs) => {
      const [a, b] = [new MaskedSampler(options({ pairs })), new MaskedSampler(options({ pairs }))];
      for (let n = 0; n < 17; n++) a.next();
      b.restore(JSON.parse(JSON.stringify(a.state())));
      for (let n = 0; n < 30; n++) expect(b.next()).toEqual(a.next());
    },
  );

  test("another seed hides other tokens", () => {
    const of = (seed: number) => rowsOf(new MaskedSampler(options({ seed })).next()).map((row) => row.hidden);
    expect(of(1)).toEqual(of(1));
    expect(of(1)).not.toEqual(of(2));
  });

  test("a cursor of other settings or other data is refused", () => {
    const cursor = new MaskedSampler(options()).state();
    for (const [changes, message] of [
      [{ seed: 2 }, "data cursor seed: expected 1, as when it was saved, got 2."],
      [{ batchSize: 5 }, "data cursor batchSize: expected 4"],
      [{ datasets: [{ dataset: documents, weight: 1 }] }, ""],
    ] as const) {
      const other = new MaskedSampler(options(changes));
      if (message) expect(() => other.restore(cursor)).toThrow(message);
      else other.restore(cursor); // as many tokens: the data's hash tells them apart, not the cursor
    }
  });
});

describe("bad input", () => {
  test.each([
    [{ contextLength: 3 }, "contextLength: expected at least 4: two tokens of text"],
    [{ contextLength: 4, pairs: true }, "contextLength: expected at least 5"],
    [{ contextLength: 1003 }, "contextLength: expected at most 1000, as a training source has 1000 tokens"],
    [{ batchSize: 0 }, "batchSize: expected an integer ≥ 1, got 0"],
    [{ datasets: [] }, "datasets: expected at least one dataset"],
  ])("%o", (changes, message) => {
    expect(() => new MaskedSampler(options(changes))).toThrow(ConfigError);
    expect(() => new MaskedSampler(options(changes))).toThrow(message);
  });
});

describe("held-out windows", () => {
  const read = (changes: { shuffled?: boolean; batchSize?: number } = {}) =>
    [...maskedWindows(counting, { ...options(), ...changes })].flatMap(rowsOf);

  test("all of the text once, in order; each chosen token is hidden; batches make no difference", () => {
    const rows = read().filter(({ hidden }) => hidden.length > 0);
    expect(rows.length).toBe(50);
    const text = rows.flatMap(({ original }) => original.filter((id) => id >= 100));
    expect(text).toEqual(Array.from({ length: 1000 }, (_, i) => 100 + i));
    for (const { tokens, hidden } of rows) {
      expect(hidden.length).toBe(3);
      expect(hidden.map((at) => tokens[at])).toEqual([MASK, MASK, MASK]);
    }
    const one = read({ batchSize: 1 });
    expect(one.map(({ tokens }) => tokens)).toEqual(rows.map(({ tokens }) => tokens));
  });

  test("an empty row has something to look at, so that attention to it is defined", () => {
    const last = read().at(-1)!;
    expect(last.hidden).toEqual([]);
    expect(last.mask[0]).toBe(1);
  });

  test("the control has the same tokens in another order", () => {
    const [plain, shuffled] = [read(), read({ shuffled: true })];
    for (const [i, { original }] of shuffled.entries()) {
      expect([...original].sort()).toEqual([...plain[i]!.original].sort());
    }
    expect(shuffled[0]!.original).not.toEqual(plain[0]!.original);
  });
});
