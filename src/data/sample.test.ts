import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { sampleTraining } from "./sample.ts";
import { parseSource } from "./sources.ts";
import { type SplitOptions, SplitReader } from "./split-reader.ts";

const folder = mkdtempSync(join(tmpdir(), "plinth-sample-"));

afterAll(() => rmSync(folder, { recursive: true }));

writeFileSync(join(folder, "book.txt"), Array.from({ length: 100_000 }, (_, i) => `line ${i} é\n`).join(""));
const rows = Array.from({ length: 20_000 }, (_, i) =>
  JSON.stringify({ text: `row ${i} of the second source` }),
);
writeFileSync(join(folder, "rows.jsonl"), rows.join("\n"));
writeFileSync(join(folder, "small.txt"), "a small text that is wanted whole");

function options(...sources: string[]): SplitOptions {
  const specs = sources.map((source) => parseSource(join(folder, source)));
  return { sources: specs, validationFraction: 0.1, splitBy: "document", seed: 4 };
}

const sizeBytes = (texts: string[]) => texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);

describe("sampling", () => {
  test("comes near the budget, never above it, and only from the training side", () => {
    const split = { ...options("rows.jsonl"), seed: 9 };
    const sample = [...sampleTraining(split, 100_000)];
    expect(sizeBytes(sample)).toBeLessThanOrEqual(100_000);
    expect(sizeBytes(sample)).toBeGreaterThan(90_000);
    const held = new Set<string>();
    for (const { text, split: side } of new SplitReader(split).texts())
      if (side === "validation") held.add(text);
    expect(held.size).toBeGreaterThan(1000);
    expect(sample.filter((text) => held.has(text))).toEqual([]);
    expect([...sampleTraining(split, 100_000)]).toEqual(sample);
  });

  test("a long text is represented from end to end", () => {
    const book = { ...options("book.txt"), splitBy: "tail" } as const;
    const sample = [...sampleTraining(book, 300_000)];
    expect(sizeBytes(sample)).toBeLessThanOrEqual(300_000);
    expect(sizeBytes(sample)).toBeGreaterThan(200_000);
    const lines = sample.map((text) => Number(/^line (\d+)/.exec(text)?.[1])); // cut at line ends
    expect(lines.every((line, i) => line >= 0 && (i === 0 || line > lines[i - 1]!))).toBe(true);
    expect(lines[0]).toBeLessThan(30_000);
    expect(lines.at(-1)).toBeGreaterThan(60_000);
    expect(lines.at(-1)).toBeLessThan(91_000); // the tail is validation
  });

  test("sources share by weight, and a small one gives back what it cannot fill", () => {
    const mixed = { ...options("book.txt@3", "rows.jsonl@1", "small.txt@4"), validationFraction: 0 };
    const sample = [...sampleTraining(mixed, 200_000)];
    expect(sample).toContain("a small text that is wanted whole");
    const fromRows = sizeBytes(sample.filter((text) => text.startsWith("row ")));
    expect(fromRows).toBeGreaterThan(45_000);
    expect(fromRows).toBeLessThanOrEqual(50_000);
    expect(sizeBytes(sample)).toBeGreaterThan(160_000);
    expect(sizeBytes(sample)).toBeLessThanOrEqual(200_000);
  });

  test("everything, when it fits", () => {
    const all = [...sampleTraining({ ...options("book.txt", "rows.jsonl"), validationFraction: 0 }, 1e9)];
    expect(all.length).toBe(20_001);
  });

  test("a budget of nothing is refused", () => {
    expect(() => [...sampleTraining(options("book.txt"), 0)]).toThrow(
      "maxBytes: expected more than 0 bytes, got 0",
    );
  });
});
