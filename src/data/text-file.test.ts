import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { cutPoint, findBinary, readChunks, readTextPieces } from "./text-file.ts";

const folder = mkdtempSync(join(tmpdir(), "plinth-text-"));
const path = join(folder, "text");

afterAll(() => rmSync(folder, { recursive: true }));

test("characters that straddle a chunk are decoded whole", () => {
  const text = "é😀日".repeat(400_000); // 3.6 MB, no chunk border between characters for long
  writeFileSync(path, text);
  expect([...readChunks(path)].length).toBeGreaterThan(3);
  expect(findBinary(path)).toBeUndefined();
  expect([...readTextPieces(path)].join("")).toBe(text);
});

test("a NUL deep in a file makes it binary", () => {
  writeFileSync(path, `${"a".repeat(3_000_000)}\0`);
  expect(findBinary(path)).toBe("a binary file (NUL at byte 3000000)");
});

describe("cut points", () => {
  test.each([
    ["one\n\ntwo three", 6, 5], // after the blank line
    ["one\r\n\r\ntwo three", 8, 7],
    ["one two\nthree", 10, 8], // after the line end
    ["a\nb c d e f g h", 10, 10], // the line end is too early: at the limit
    ["abc😀", 4, 3], // not inside a character
    ["ab\n\n", 3, 3], // the blank line would end beyond the limit: after its first line end
  ])("%j at most %d", (text, limit, cut) => {
    expect(cutPoint(text, limit)).toBe(cut);
  });

  test("pieces never exceed the limit and lose nothing", () => {
    const text = "😀\nab\n\ncde fgh\r\n\r\nij😀".repeat(50);
    writeFileSync(path, text);
    for (const limit of [2, 3, 5, 7, 16, 100]) {
      const pieces = [...readTextPieces(path, limit)];
      expect(pieces.join("")).toBe(text);
      for (const piece of pieces) {
        expect(piece.length).toBeLessThanOrEqual(limit);
        expect(/\p{Surrogate}/u.test(piece)).toBe(false);
      }
    }
  });
});
