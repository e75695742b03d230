import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Truncation } from "../encoded-input.ts";
import { parseTokenizer, StreamDecoder, type Tokenizer } from "../tokenizer.ts";

/** Written by `tools/golden/compare_tokenizers.py fixture` with the Hugging Face library. */
interface Golden {
  readonly texts: readonly string[];
  readonly vocab: Readonly<Record<string, number>>;
  readonly tokenizers: Readonly<Record<string, Row>>;
  readonly pair: {
    readonly file: object;
    readonly rows: readonly [
      texts: [string, string],
      strategy: string,
      maxLength: number,
      stride: number,
      windows: number[][],
      segments: number[],
      mask: number[],
    ][];
  };
}

interface Row {
  readonly file: { readonly model: object };
  readonly ids: readonly number[][];
  /** In code points. */
  readonly offsets: readonly number[][];
  readonly decoded: readonly string[];
}

const path = new URL("../../../test/fixtures/tokenizer/stages.json", import.meta.url);
const golden: Golden = JSON.parse(readFileSync(path, "utf8"));

function make({ file }: Row, changes: object = {}): Tokenizer {
  return parseTokenizer({ ...file, ...changes, model: { ...file.model, vocab: golden.vocab } }, "golden");
}

function pointsBefore(text: string, at: number): number {
  return [...text.slice(0, at)].length;
}

describe("stages of tokenizers, against the Hugging Face library", () => {
  it.each(Object.entries(golden.tokenizers))("%s", (_, row) => {
    const tokenizer = make(row);
    for (const [i, text] of golden.texts.entries()) {
      const { ids, offsets } = tokenizer.encodeInput(text, undefined, { marked: true });
      expect([...ids], text).toEqual(row.ids[i]);
      expect(offsets.flat().map((at) => pointsBefore(text, at))).toEqual(row.offsets[i]);
      expect(tokenizer.decode(ids)).toBe(row.decoded[i]);
      const stream = new StreamDecoder(tokenizer);
      expect(Array.from(ids, (id) => stream.push(id)).join("") + stream.flush()).toBe(row.decoded[i]);
    }
  });

  it("cuts pairs, and windows of them, as the library does", () => {
    const tokenizer = make(golden.tokenizers.words!, { post_processor: golden.pair.file });
    const cuts: Readonly<Record<string, Truncation>> = {
      longest_first: "longest-first",
      only_first: "text",
      only_second: "pair",
    };
    for (const [[text, pair], strategy, maxLength, stride, windows, segments, mask] of golden.pair.rows) {
      const truncate = cuts[strategy]!;
      const input = tokenizer.encodeInput(text, pair, { maxLength, truncate });
      expect([...input.ids], `${text} ${pair} ${strategy} ${maxLength}`).toEqual(windows[0]);
      expect([...input.segmentIds]).toEqual(segments);
      expect([...input.specialMask]).toEqual(mask);
      if (truncate === "longest-first") continue;
      const all = tokenizer.encodeWindows(text, pair, { maxLength, stride, cut: truncate });
      expect(all.map(({ ids }) => [...ids])).toEqual(windows);
    }
    expect(golden.pair.rows.length).toBeGreaterThan(30);
  });

  const kinds: [string, Tokenizer][] = ["llama", "bert cased", "NFKC"].map((name) => [
    name,
    make(golden.tokenizers[name]!),
  ]);
  it.each(kinds)("%s: 1 MB of one character in linear time", (_, tokenizer) => {
    for (const character of ["t", "é"]) {
      const start = performance.now();
      tokenizer.encode(character.repeat(1_000_000 / Buffer.byteLength(character)));
      // Quadratic work takes many minutes.
      expect(performance.now() - start).toBeLessThan(20_000);
    }
  });

  it("a unigram model: 1 MB of one character in linear time", () => {
    const vocab = [
      ["<unk>", 0],
      ["▁", -1],
      ...Array.from({ length: 16 }, (_, i) => ["t".repeat(i + 1), -2 - i / 9]),
    ];
    const file = { pre_tokenizer: { type: "Metaspace" }, decoder: { type: "Metaspace" } };
    const tokenizer = parseTokenizer({ ...file, model: { type: "Unigram", unk_id: 0, vocab } }, "unigram");
    expect(tokenizer.encode("t".repeat(1_000_000))).toHaveLength(1 + 1_000_000 / 16);
    expect(tokenizer.encode("é".repeat(500_000))).toHaveLength(2);
  });
});
