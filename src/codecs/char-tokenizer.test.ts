import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigError, DataError, FormatError } from "../core/errors.ts";
import { trainCharTokenizer } from "./char-tokenizer.ts";
import { loadTokenizer, parseTokenizer, StreamDecoder } from "./tokenizer.ts";

const FIXTURES = new URL("../../test/fixtures/tokenizer/", import.meta.url).pathname;
const corpus: string[] = JSON.parse(readFileSync(join(FIXTURES, "corpus.json"), "utf8"));
const golden: { char: { text: string; ids: number[] }[] } = JSON.parse(
  readFileSync(join(FIXTURES, "golden.json"), "utf8"),
);

describe("trainCharTokenizer", () => {
  it("numbers code points in ascending order, the separator last", () => {
    const tokenizer = trainCharTokenizer(["b🙂", "a\nb\uffff"]);
    expect(tokenizer.vocabularySize).toBe(6);
    expect([...tokenizer.encode("\nab\uffff🙂")]).toEqual([0, 1, 2, 3, 4]);
    expect(tokenizer.endOfTextId).toBe(5);
    expect(tokenizer.decode([4, 5, 0, 2])).toBe("🙂\nb");
    expect(tokenizer.tokenBytes(4)).toEqual(new TextEncoder().encode("🙂"));
  });

  it("writes the committed fixture", async () => {
    const text = `${JSON.stringify(trainCharTokenizer(corpus).toJSON(), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot(join(FIXTURES, "char/tokenizer.json"));
  });

  it("gives the ids that the Hugging Face library reads from the file, and the text back", () => {
    const tokenizer = loadTokenizer(join(FIXTURES, "char"));
    expect(golden.char.length).toBeGreaterThan(40);
    for (const { text, ids } of golden.char) {
      expect([...tokenizer.encode(text)]).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
      const stream = new StreamDecoder(tokenizer);
      expect(ids.map((id) => stream.push(id)).join("")).toBe(text);
    }
  });

  it("keeps the separator out of ordinary text", () => {
    const tokenizer = trainCharTokenizer(["<|endoftext|>"]);
    expect(tokenizer.decode(tokenizer.encode("<|endoftext|>"))).toBe("<|endoftext|>");
    expect(tokenizer.encode("<|endoftext|>")).not.toContain(tokenizer.endOfTextId);
  });

  it("refuses a corpus without text", () => {
    expect(() => trainCharTokenizer([])).toThrow(ConfigError);
    expect(() => trainCharTokenizer(["", ""])).toThrow("trainCharTokenizer: expected some text, got none.");
  });

  it("refuses half a surrogate pair", () => {
    expect(() => trainCharTokenizer(["a\udc00"])).toThrow(DataError);
  });
});

describe("CharTokenizer", () => {
  const tokenizer = trainCharTokenizer(["abc"]);

  it.each([
    ["abé", '"é" (U+00E9) at position 2'],
    ["🙂", '"🙂" (U+1F642) at position 0'],
    ["a\n", '"\\n" (U+000A) at position 1'],
    ["c\ud83d", "(U+D83D) at position 1"],
  ])("names the unknown character of %j and its place", (text, got) => {
    expect(() => tokenizer.encode(text)).toThrow(DataError);
    expect(() => tokenizer.encode(text)).toThrow(got);
  });

  it("refuses ids that are not tokens", () => {
    expect(() => tokenizer.decode([0, 4])).toThrow(DataError);
    expect(() => tokenizer.tokenBytes(-1)).toThrow(DataError);
  });

  it("refuses files whose tokens are not characters", () => {
    const json = tokenizer.toJSON();
    const longer = { ...json, model: { ...json.model, vocab: { a: 0, bc: 1, c: 2, "<|endoftext|>": 3 } } };
    expect(() => parseTokenizer(longer, "x")).toThrow(FormatError);
    expect(() => parseTokenizer(longer, "x")).toThrow(
      'expected single characters and special tokens, got "bc"',
    );
    const merging = { ...json, model: { ...json.model, merges: ["a b"] } };
    expect(() => parseTokenizer(merging, "x")).toThrow(FormatError);
  });
});
