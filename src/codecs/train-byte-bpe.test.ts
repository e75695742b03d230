import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError, DataError } from "../core/errors.ts";
import { bytesToAlphabet } from "./byte-alphabet.ts";
import { parseTokenizer } from "./tokenizer.ts";
import { trainByteBpe } from "./train-byte-bpe.ts";

const FIXTURES = new URL("../../test/fixtures/tokenizer/", import.meta.url).pathname;
const SHARED = new URL("../../../shared/data/", import.meta.url).pathname;
const corpus: string[] = JSON.parse(readFileSync(join(FIXTURES, "corpus.json"), "utf8"));
const golden: { merges: [string, string][] } = JSON.parse(
  readFileSync(join(FIXTURES, "golden.json"), "utf8"),
);

/** The definition, in strings: recount every pair, join the most frequent one, again. */
function trainNaively(words: readonly string[], numMerges: number): string[] {
  const symbols = words.map((word) => [...bytesToAlphabet(new TextEncoder().encode(word))]);
  const made = new Set<string>();
  const skipped = new Set<string>();
  const merges: string[] = [];
  // In this test's words the alphabet's order is the order of ids, and later merges have higher ids.
  const rank = (token: string): number =>
    token.length === 1 ? token.charCodeAt(0) : 1e6 + [...made].indexOf(token);
  while (merges.length < numMerges) {
    const counts = new Map<string, number>();
    for (const word of symbols) {
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]} ${word[i + 1]}`;
        if (!skipped.has(pair)) counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const order = ([a, countA]: [string, number], [b, countB]: [string, number]): number => {
      const [leftA, rightA] = a.split(" ") as [string, string];
      const [leftB, rightB] = b.split(" ") as [string, string];
      return countB - countA || rank(leftA) - rank(leftB) || rank(rightA) - rank(rightB);
    };
    const [best] = [...counts].filter(([, count]) => count >= 2).sort(order);
    if (best === undefined) break;
    const [left, right] = best[0].split(" ") as [string, string];
    if (made.has(left + right)) {
      skipped.add(best[0]);
      continue;
    }
    made.add(left + right);
    merges.push(best[0]);
    for (const word of symbols) {
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
      }
    }
  }
  return merges;
}

function captureError(run: () => unknown): ConfigError {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error;
  }
  throw new Error("expected a ConfigError");
}

describe("trainByteBpe", () => {
  it("writes the committed fixture", async () => {
    const text = `${JSON.stringify(trainByteBpe(corpus, { vocabularySize: 700 }).toJSON(), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot(join(FIXTURES, "byte-bpe/tokenizer.json"));
  });

  it("finds the merges of the Hugging Face trainer, in its order", () => {
    const { merges } = trainByteBpe(corpus, { vocabularySize: 700 }).toJSON().model;
    expect(merges).toEqual(golden.merges.map(([left, right]) => `${left} ${right}`));
  });

  it("follows the definition on random words of few letters", () => {
    const words = fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 24 }), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(words, fc.integer({ min: 1, max: 12 }), (list, wanted) => {
        // Each word is a document of its own: letters only, so one pre-token.
        const expected = trainNaively(list, wanted);
        const vocabularySize = 257 + expected.length;
        const tokenizer = trainByteBpe(list, { vocabularySize });
        expect(tokenizer.toJSON().model.merges).toEqual(expected);
        if (expected.length === wanted) return;
        const error = captureError(() => trainByteBpe(list, { vocabularySize: 257 + wanted }));
        expect(error.message).toContain(`expected at most ${vocabularySize}, all that this text supports`);
      }),
      { numRuns: 500 },
    );
  });

  it("does not depend on how documents are passed, nor on their order", () => {
    function* stream(): Generator<string> {
      yield* corpus.toReversed();
    }
    const options = { vocabularySize: 500 };
    expect(trainByteBpe(stream(), options).hash()).toBe(trainByteBpe(corpus, options).hash());
  });

  it("puts bytes first, in GPT-2's order, and special tokens last", () => {
    const tokenizer = trainByteBpe(["aaa aaa aaa"], {
      vocabularySize: 260,
      specialTokens: ["<|user|>", "<|endoftext|>"],
    });
    expect([tokenizer.vocabularySize, tokenizer.endOfTextId]).toEqual([260, 259]);
    expect(tokenizer.tokenBytes(0)).toEqual(Uint8Array.of(0x21));
    expect(tokenizer.tokenBytes(256)).toEqual(Uint8Array.of(0x61, 0x61)); // 6 times; " a" 2 times
    expect(tokenizer.decode([258, 64, 259])).toBe("a");
    expect(tokenizer.toJSON().added_tokens.map(({ id, content }) => [id, content])).toEqual([
      [258, "<|user|>"],
      [259, "<|endoftext|>"],
    ]);
  });

  it("leaves a special token's text to the special token", () => {
    const specialTokens = ["<|endoftext|>", "abc"];
    const tokenizer = trainByteBpe(["abc abc abcd abcd"], { vocabularySize: 260, specialTokens });
    expect([...tokenizer.encode("abc")]).not.toContain(259);
    expect(tokenizer.decode(tokenizer.encode("abcd abc"))).toBe("abcd abc");
  });

  it("keeps a token called __proto__", () => {
    const text = "__proto__ ".repeat(20);
    const error = captureError(() => trainByteBpe([text], { vocabularySize: 9999 }));
    const reachable = Number(/vocabularySize (\d+) or less/.exec(error.message)?.[1]);
    const json = JSON.parse(JSON.stringify(trainByteBpe([text], { vocabularySize: reachable })));
    const reread = parseTokenizer(json, "json");
    expect(reread.decode(reread.encode(text))).toBe(text);
    expect(reread.vocabularySize).toBe(reachable);
  });

  it("can be trained on bytes alone", () => {
    const tokenizer = trainByteBpe([], { vocabularySize: 257 });
    expect(tokenizer.encode("é")).toHaveLength(2);
    expect(tokenizer.decode(tokenizer.encode("é"))).toBe("é");
  });

  it("stays fast when all text is one long word", () => {
    let state = 1;
    const letters = Array.from({ length: 400_000 }, () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return String.fromCharCode(97 + ((state >>> 16) % 26));
    });
    const start = performance.now();
    trainByteBpe([letters.join("")], { vocabularySize: 2000 });
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

describe("trainByteBpe refuses", () => {
  it.each([256, 0, 300.5, Number.NaN])("vocabularySize %d", (vocabularySize) => {
    const error = captureError(() => trainByteBpe(["text"], { vocabularySize }));
    expect(error.message).toBe(
      `vocabularySize: expected an integer ≥ 257 (256 bytes and 1 special), got ${vocabularySize}.`,
    );
  });

  it("a vocabulary larger than the text supports, naming what is reachable", () => {
    // Pairs seen at least twice: "ab", then " ab".
    const error = captureError(() => trainByteBpe(["ab ab ab"], { vocabularySize: 300 }));
    expect(error.message).toBe(
      "vocabularySize: expected at most 259, all that this text supports, got 300. " +
        "Use more text, or vocabularySize 259 or less.",
    );
    expect(trainByteBpe(["ab ab ab"], { vocabularySize: 259 }).vocabularySize).toBe(259);
  });

  it.each([
    { what: "no separator", specialTokens: ["<|user|>"] },
    { what: "a repeated one", specialTokens: ["<|endoftext|>", "<|endoftext|>"] },
    { what: "an empty one", specialTokens: ["<|endoftext|>", ""] },
    { what: "a byte's character", specialTokens: ["<|endoftext|>", "Ġ"] },
  ])("special tokens with $what", ({ specialTokens }) => {
    expect(() => trainByteBpe(["text"], { vocabularySize: 300, specialTokens })).toThrow(ConfigError);
  });

  it("text with half a surrogate pair", () => {
    expect(() => trainByteBpe(["ok", "\ud800"], { vocabularySize: 257 })).toThrow(DataError);
  });
});

const baselines = join(SHARED, "tok-train-baselines/baselines.json");
const why = existsSync(baselines) ? "" : " (skipped: no ../shared/data/tok-train-baselines)";

describe.skipIf(!existsSync(baselines))(`compression against the baselines${why}`, () => {
  /** Tokens of the validation text, by corpus and vocabulary, as measured for HF tokenizers. */
  const rows: { corpus: string; kind: string; vocab: number; val_tokens: number; val_bytes: number }[] =
    existsSync(baselines) ? JSON.parse(readFileSync(baselines, "utf8")) : [];
  const files: Record<string, string> = {
    tinyshakespeare: "tinyshakespeare/input.txt",
    wagahai_ja: "books/soseki-wagahai-ja.txt",
  };
  const byteLevel = rows.filter(({ kind }) => kind.startsWith("byte-level BPE"));

  it.each(byteLevel)(
    "$corpus, $vocab tokens, is within 2 %",
    ({ corpus: name, vocab, val_tokens, val_bytes }) => {
      const bytes = readFileSync(join(SHARED, files[name]!));
      const train = bytes.subarray(0, bytes.length - val_bytes).toString();
      const validation = bytes.subarray(bytes.length - val_bytes).toString();
      const tokenizer = trainByteBpe([train], { vocabularySize: vocab });
      expect(tokenizer.encode(validation).length).toBeLessThanOrEqual(1.02 * val_tokens);
    },
  );

  it("with as many merges as the baseline, gives its tokens exactly", () => {
    // The baseline has no separator among its 512, so ours has one id more.
    const bytes = readFileSync(join(SHARED, files.tinyshakespeare!));
    const tokenizer = trainByteBpe([bytes.subarray(0, 1_003_854).toString()], { vocabularySize: 513 });
    const path = join(SHARED, "tok-train-baselines/tinyshakespeare-bpe512.hf.json");
    const reference: { model: { merges: [string, string][] } } = JSON.parse(readFileSync(path, "utf8"));
    expect(tokenizer.toJSON().model.merges).toEqual(reference.model.merges.map((pair) => pair.join(" ")));
    expect(tokenizer.encode(bytes.subarray(1_003_854).toString())).toHaveLength(59_401);
  });
});
