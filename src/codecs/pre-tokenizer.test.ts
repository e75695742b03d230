import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { preTokenEnd } from "./pre-tokenizer.ts";
import { CODE_POINT_CLASS, LETTER, NUMBER, OTHER, WHITESPACE } from "./unicode-classes.ts";

/** GPT-2's pattern; `\s` there is the Unicode property, which JavaScript's `\s` is not. */
const GPT2_PATTERN =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

function splitByPattern(text: string): string[] {
  return text.match(GPT2_PATTERN) ?? [];
}

function splitByScanner(text: string): string[] {
  const bytes = new TextEncoder().encode(text);
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = preTokenEnd(bytes, start, bytes.length);
    pieces.push(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(start, end)));
    start = end;
  }
  return pieces;
}

/** What this Node's own Unicode tables say of a code point. */
function classByPattern(character: string): number {
  if (/\p{L}/u.test(character)) return LETTER;
  if (/\p{N}/u.test(character)) return NUMBER;
  return /\p{White_Space}/u.test(character) ? WHITESPACE : OTHER;
}

describe("CODE_POINT_CLASS", () => {
  it("agrees with this Node's Unicode, except where their versions differ", () => {
    const unicodeOfNode = Number.parseFloat(process.versions.unicode ?? "0");
    const wrong: string[] = [];
    for (let point = 0; point <= 0x10ffff; point++) {
      if (point >= 0xd800 && point < 0xe000) continue;
      const character = String.fromCodePoint(point);
      const ours = CODE_POINT_CLASS[point];
      if (ours === classByPattern(character)) continue;
      const isNewerInNode = ours === OTHER && unicodeOfNode > 16;
      const isUnknownToNode = unicodeOfNode < 16 && /\p{Cn}/u.test(character);
      if (!isNewerInNode && !isUnknownToNode) wrong.push(point.toString(16));
    }
    expect(wrong).toEqual([]);
  });

  it("has as many letters, numbers and spaces as Unicode 16.0", () => {
    const count = (kind: number): number => CODE_POINT_CLASS.filter((found) => found === kind).length;
    // Unicode 16.0 DerivedGeneralCategory: L 141,028, N 1,911; PropList: White_Space 25.
    expect([count(LETTER), count(NUMBER), count(WHITESPACE)]).toEqual([141_028, 1_911, 25]);
  });
});

describe("preTokenEnd", () => {
  it.each([
    ["Hello, world! 123 can't stop.", ["Hello", ",", " world", "!", " 123", " can", "'t", " stop", "."]],
    ["a  b", ["a", " ", " b"]],
    ["a \n b", ["a", " \n", " b"]],
    ["a\n\nb", ["a", "\n", "\n", "b"]],
    ["end  ", ["end", "  "]],
    ["'tis 'S ''s '", ["'t", "is", " '", "S", " ''", "s", " '"]],
    ["we'll've", ["we", "'ll", "'ve"]],
    ["\ufeffa\u0085b", ["\ufeff", "a", "\u0085", "b"]],
  ])("cuts %j as GPT-2 does", (text, pieces) => {
    expect(splitByScanner(text)).toEqual(pieces);
  });

  it("equals the regular expression on random Unicode", () => {
    const agreed = (character: string): boolean =>
      CODE_POINT_CLASS[character.codePointAt(0)!] === classByPattern(character);
    const unit = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(..." '\n\tsdmtlrvea1!.\u00a0\u3000\u0085\ufeff") },
      { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 1 }).filter(agreed) },
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 40 }), (text) => {
        expect(splitByScanner(text)).toEqual(splitByPattern(text));
      }),
      { numRuns: 3000 },
    );
  });
});
