import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError } from "../core/errors.ts";
import { alphabetToBytes, BYTE_ORDER, BYTE_TO_CHAR, bytesToAlphabet } from "./byte-alphabet.ts";
import { loadTokenizer, StreamDecoder } from "./tokenizer.ts";

const FIXTURES = new URL("../../test/fixtures/tokenizer/", import.meta.url).pathname;

/** Written by tools/golden/tokenizer.py with the Hugging Face libraries, which read our files. */
interface Golden {
  readonly autoTokenizer: Readonly<Record<string, string>>;
  readonly byteBpe: {
    readonly texts: readonly { readonly name: string; readonly text: string; readonly ids: number[] }[];
    readonly decoded: readonly { readonly ids: number[]; readonly text: string }[];
  };
}

const golden: Golden = JSON.parse(readFileSync(join(FIXTURES, "golden.json"), "utf8"));
const tokenizer = loadTokenizer(join(FIXTURES, "byte-bpe"));
const wellFormed = fc.string({ unit: "binary", maxLength: 60 });

describe("byte alphabet", () => {
  it("is GPT-2's", () => {
    expect(BYTE_TO_CHAR[0x20]).toBe("Ġ");
    expect(BYTE_TO_CHAR[0x0a]).toBe("Ċ");
    expect(BYTE_TO_CHAR[0xad]).toBe("Ń");
    // Ids 0, 93, 94, 187, 188 and 255 of the published vocabulary are !, ~, ¡, ÿ, Ā and Ń.
    const characters = [0, 93, 94, 187, 188, 255].map((id) => BYTE_TO_CHAR[BYTE_ORDER[id]!]);
    expect(characters).toEqual(["!", "~", "¡", "ÿ", "Ā", "Ń"]);
    expect(new Set(BYTE_TO_CHAR).size).toBe(256);
  });

  it("spells bytes and reads them back", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    expect(alphabetToBytes(bytesToAlphabet(bytes))).toEqual(bytes);
    expect(alphabetToBytes("a b")).toBeUndefined();
  });
});

describe("ByteBpeTokenizer against the Hugging Face library", () => {
  it.each(golden.byteBpe.texts)("gives the reference ids of: $name", ({ text, ids }) => {
    // The separator typed as text stays text for us; the library would end the document there.
    const expected = text.includes("<|endoftext|>") ? undefined : ids;
    const encoded = [...tokenizer.encode(text)];
    if (expected) expect(encoded).toEqual(expected);
    expect(encoded).not.toContain(tokenizer.endOfTextId);
    expect(tokenizer.decode(encoded)).toBe(text);
  });

  it("decodes arbitrary ids, mostly invalid UTF-8, as the reference does", () => {
    for (const { ids, text } of golden.byteBpe.decoded) expect(tokenizer.decode(ids)).toBe(text);
  });

  it("was loaded by AutoTokenizer with the same ids", () => {
    expect(golden.autoTokenizer).toEqual({ byteBpe: "TokenizersBackend", char: "TokenizersBackend" });
  });
});

describe("ByteBpeTokenizer", () => {
  it("gives back any well-formed text", () => {
    fc.assert(
      fc.property(wellFormed, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });

  it("never yields the separator, however the text spells it", () => {
    const ids = tokenizer.encode("<|endoftext|> <|endoftext|>");
    expect(ids).not.toContain(tokenizer.endOfTextId);
    expect(tokenizer.decode(ids)).toBe("<|endoftext|> <|endoftext|>");
    expect(tokenizer.decode([tokenizer.endOfTextId])).toBe("");
    expect(tokenizer.tokenBytes(tokenizer.endOfTextId)).toEqual(new Uint8Array(0));
  });

  it("keeps its ids when the cache of pre-tokens overflows", () => {
    const pieces = Array.from({ length: 70_000 }, (_, i) => ` ${i * 37}`);
    const once = [...tokenizer.encode(pieces.join(""))];
    expect(once).toEqual(pieces.flatMap((piece) => [...tokenizer.encode(piece)]));
  });

  it("says which characters each token stands for", () => {
    const text = "the 🙂é quick";
    const { ids, offsets } = tokenizer.encodeInput(text);
    expect(ids).toEqual(tokenizer.encode(text));
    for (const [i, [start, end]] of offsets.entries()) {
      expect(text.slice(start, end)).toContain(tokenizer.decode([ids[i]!]).replaceAll("\ufffd", ""));
    }
    expect(offsets[0]![0]).toBe(0);
    expect(offsets.at(-1)![1]).toBe(text.length);
  });

  it("reads written special tokens only where asked to", () => {
    const end = tokenizer.endOfTextId;
    expect([...tokenizer.encodeMarked("a<|endoftext|>b")]).toEqual([
      ...tokenizer.encode("a"),
      end,
      ...tokenizer.encode("b"),
    ]);
    expect(tokenizer.encodeInput("<|endoftext|>").ids).not.toContain(end);
    const marked = tokenizer.encodeInput("é<|endoftext|>", undefined, { marked: true });
    expect([marked.ids.at(-1), marked.offsets.at(-1)]).toEqual([end, [1, 14]]);
    expect(tokenizer.specials).toEqual({ bos: end, eos: end });
    expect(tokenizer.decode([end], { skipSpecial: false })).toBe("<|endoftext|>");
    expect([tokenizer.tokenText(end), tokenizer.idOf("Ġthe")]).toEqual([
      "<|endoftext|>",
      tokenizer.encode(" the")[0],
    ]);
  });

  it.each(["a", " ", "=", "é"])("encodes 1 MB of %j in linear time", (character) => {
    const seconds = (count: number): number => {
      const start = performance.now();
      const ids = tokenizer.encode(character.repeat(count));
      expect(tokenizer.decode(ids)).toHaveLength(count);
      return (performance.now() - start) / 1000;
    };
    const bytes = Buffer.byteLength(character);
    seconds(10_000); // warm up
    const half = seconds(500_000 / bytes);
    const whole = seconds(1_000_000 / bytes);
    // Quadratic merging takes 4 times as long and, at this size, many minutes.
    expect(whole).toBeLessThan(Math.max(3.5 * half, 5));
    expect(whole).toBeLessThan(20);
  });

  it.each([-1, 700, 0.5, Number.NaN])("refuses id %d", (id) => {
    expect(() => tokenizer.decode([1, id])).toThrow(DataError);
    expect(() => tokenizer.decode([1, id])).toThrow(
      `decode, token 1: expected a token id in [0, 700), got ${id}.`,
    );
    expect(() => tokenizer.tokenBytes(id)).toThrow(DataError);
    expect(() => new StreamDecoder(tokenizer).push(id)).toThrow(DataError);
  });

  it("refuses half a surrogate pair and says where", () => {
    expect(() => tokenizer.encode("ab\ud83d")).toThrow(DataError);
    expect(() => tokenizer.encode("ab\ud83d")).toThrow("the lone surrogate U+D83D at position 2");
    expect(() => tokenizer.encode("\ude42\ud83d")).toThrow("U+DE42 at position 0");
  });
});

describe("StreamDecoder", () => {
  const decodeStreamed = (ids: Iterable<number>): string => {
    const stream = new StreamDecoder(tokenizer);
    let text = "";
    for (const id of ids) text += stream.push(id);
    return text + stream.flush();
  };

  it("joined, is decode, also for ids that are not valid UTF-8", () => {
    const ids = fc.array(fc.oneof(fc.nat(255), fc.nat(699)), { maxLength: 30 });
    fc.assert(
      fc.property(ids, (sequence) => {
        expect(decodeStreamed(sequence)).toBe(tokenizer.decode(sequence));
      }),
      { numRuns: 3000 },
    );
    for (const { ids, text } of golden.byteBpe.decoded) expect(decodeStreamed(ids)).toBe(text);
  });

  it("never splits a character", () => {
    fc.assert(
      fc.property(wellFormed, (text) => {
        const stream = new StreamDecoder(tokenizer);
        const pieces = [...tokenizer.encode(text)].map((id) => stream.push(id));
        expect(pieces.join("")).toBe(text);
        expect(stream.flush()).toBe("");
        for (const piece of pieces) expect(text.includes("\ufffd") || !piece.includes("\ufffd")).toBe(true);
      }),
    );
  });

  it("gives a character cut short as U+FFFD when flushed, once", () => {
    const stream = new StreamDecoder(tokenizer);
    const [first] = tokenizer.encode("\u{10ffff}");
    expect(stream.push(first!)).toBe("");
    expect(stream.flush()).toBe("\ufffd");
    expect(stream.flush()).toBe("");
  });
});
