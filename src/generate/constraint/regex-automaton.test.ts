import { describe, expect, test } from "vitest";
import { ConfigError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import { acceptsBytes, intersect, subtract, type TableAutomaton, unite } from "./byte-automaton.ts";
import { regexAutomaton } from "./regex-automaton.ts";

// Held against JavaScript's own regular expressions.

const PATTERNS = [
  "",
  "a",
  "abc|abd|b",
  "(?:ab)*a?",
  "a{2,4}b{3}c{2,}",
  "(a|b)*abb",
  "(?:a*b*)*c",
  "(a?){3}a{3}",
  "[a-c]+[^a-c]*",
  "[-a]+|[a-]+|[\\-a]+",
  "[^]",
  "[^a]",
  "a.c",
  "\\d+(?:\\.\\d+)?",
  "\\w+@\\w+\\.\\w{2,3}",
  "\\s*\\S+\\s*",
  "\\D\\W",
  "[\\d_]+|[^\\d\\s]",
  "é+ü?",
  "[à-ÿ]{2}",
  "[一-龥]{1,3}",
  "😀+|[😀-😂]x",
  "\\u{1F600}|\\uD83D\\uDE01",
  "\\x41\\u0042\\cJ\\t\\0",
  "[\\b]",
  "\\p{Lu}\\p{Ll}*",
  "\\P{L}+",
  "\\p{Script=Greek}{2}",
  "[\\p{L}\\d]+",
  "^ab$",
  "^a|b$",
  "(^|x)y",
  "(?:a|^)b(?:c|$)",
  "^$",
  "$^",
  "(?<year>\\d{4})-(?<month>0[1-9]|1[0-2])",
  "a*?b+?c??",
  "\\/\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\^\\$\\\\",
  "[\\]\\\\^-]",
  "((((a|b)c)|d)e)*",
];

const ALPHABET = [..."abcdexyz019_-.@ \n\t\r\u2028éüàÿß一龥αΩ😀😁😂\u0000\b$^/\\*+?()[]{}|ABXY"];
const encoder = new TextEncoder();

function decode(bytes: readonly number[]): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/** A text that the automaton accepts. */
function draw(automaton: TableAutomaton, random: Random): string {
  const bytes: number[] = [];
  const wanted = random.integer(12); // few: JavaScript's own matching takes exponential time
  for (let state = automaton.start; ; ) {
    const edges = automaton.edgesOf(state);
    if (automaton.isAccepting(state) && (edges.length === 0 || bytes.length >= wanted)) return decode(bytes);
    const { low, high } = edges[random.integer(edges.length)]!;
    const byte = bytes.length < wanted ? low + random.integer(high - low + 1) : automaton.nearerByte(state);
    bytes.push(byte);
    state = automaton.next(state, byte);
  }
}

/** The text with a character more, less or another. */
function mutate(text: string, random: Random): string {
  const characters = [...text];
  const remove = random.integer(2);
  const insert = random.integer(2) ? [ALPHABET[random.integer(ALPHABET.length)]!] : [];
  characters.splice(random.integer(characters.length + 1), remove, ...insert);
  return characters.join("");
}

/** Expressions of everything that is understood, over few letters, so that texts often match. */
function randomPattern(random: Random, depth: number): string {
  const pick = <T>(items: readonly T[]) => items[random.integer(items.length)]!;
  if (depth === 0) return pick(["a", "b", "c", "[ab]", "[^b]", ".", "é", "😀", "\\w", "^", "$", ""]);
  const part = () => randomPattern(random, depth - 1);
  const quantifier = () => pick(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?"]);
  return pick([() => part() + part(), () => `(?:${part()}|${part()})`, () => `(${part()})${quantifier()}`])();
}

describe("agrees with JavaScript's RegExp", () => {
  const random = new Random(11);
  const generated = Array.from({ length: 300 }, (_, i) => randomPattern(random, 1 + (i % 3)));

  test.each([
    ["named", PATTERNS],
    ["random", generated],
  ] as const)("%s patterns", (_, patterns) => {
    for (const pattern of patterns) {
      for (const mode of ["whole", "search"] as const) {
        const automaton = regexAutomaton(pattern, mode, "regex");
        const expected = new RegExp(mode === "whole" ? `^(?:${pattern})$` : pattern, "u");
        const texts = [
          "",
          "a",
          "b",
          "ab",
          "abb",
          "aab",
          ...Array.from({ length: 5 }, () => mutate("abé", random)),
        ];
        for (let i = 0; automaton && i < 12; i++) {
          const text = draw(automaton, random);
          expect(expected.test(text), `${pattern} ${mode} ${JSON.stringify(text)}`).toBe(true);
          texts.push(mutate(text, random), mutate(mutate(text, random), random));
        }
        for (const text of texts) {
          const found = automaton !== undefined && acceptsBytes(automaton, encoder.encode(text));
          expect(found, `${pattern} ${mode} ${JSON.stringify(text)}`).toBe(expected.test(text));
        }
      }
    }
  });
});

test("languages intersect, subtract and unite as sets do", () => {
  const random = new Random(5);
  for (let i = 0; i < 60; i++) {
    const patterns = [randomPattern(random, 2), randomPattern(random, 2)];
    const [a, b] = patterns.map((pattern) => regexAutomaton(pattern, "whole", "regex"));
    if (!a || !b) continue;
    const [both, first, either] = [intersect(a, b, "x"), subtract(a, b, "x"), unite([a, b], "x")!];
    const texts = Array.from({ length: 30 }, () => mutate(draw(random.integer(2) ? a : b, random), random));
    for (const bytes of texts.map((text) => encoder.encode(text))) {
      const [inA, inB] = [acceptsBytes(a, bytes), acceptsBytes(b, bytes)];
      expect(both !== undefined && acceptsBytes(both, bytes)).toBe(inA && inB);
      expect(first !== undefined && acceptsBytes(first, bytes)).toBe(inA && !inB);
      expect(acceptsBytes(either, bytes)).toBe(inA || inB);
    }
  }
});

describe("refused", () => {
  test.each([
    ["(?=a)b", 'regex, at position 3: expected no lookahead or lookbehind, got "(?=".'],
    ["(?<!a)b", 'got "(?<!"'],
    ["(a)\\1", 'expected no back reference, got "\\1".'],
    ["(?<n>a)\\k<n>", "back reference"],
    ["\\bword", 'expected no word boundary, got "\\b".'],
    ["(?i:a)", 'expected "(", "(?:" or "(?<name>", got "(?i".'],
    ["(a", 'expected ")", got the end.'],
    ["a)", "a group that was opened"],
    ["[a", 'expected "]", got the end.'],
    ["*a", 'expected something before "*"'],
    ["a**", "something before"],
    ["^*", "expected something to repeat, got an anchor."],
    ["a{3,1}", "expected {min,max} in that order, got {3,1}."],
    ["[z-a]", "a range of two characters in order"],
    ["[\\w-z]", "a range of two characters"],
    ["\\q", "a known escape"],
    ["\\p{Nope}", 'expected a Unicode property, such as \\p{L}, got "\\p{Nope}".'],
    ["\\u{110000}", "hexadecimal digits"],
    ["a\\", "expected a character, got the end."],
    ["(".repeat(300), "groups one inside another"],
  ])("%s", (pattern, message) => {
    const compile = () => regexAutomaton(pattern, "whole", "regex");
    expect(compile).toThrow(ConfigError);
    expect(compile).toThrow(message);
  });

  test.each(["(a|b)*a(a|b){20}", "((a{1,100}){1,100}){1,100}", "(.{1,300}){1,300}", "a{100000000}"])(
    "%s, which takes too many states, within a second",
    (pattern) => {
      const started = performance.now();
      expect(() => regexAutomaton(pattern, "search", "regex")).toThrow(ConfigError);
      expect(performance.now() - started).toBeLessThan(3000); // on a busy machine
    },
  );

  test("nothing that a regular expression can be makes it hang or crash", () => {
    const random = new Random(2);
    const pieces = [..."ab*+?(){}[]|^$\\-,19.", "(?:", "(?=", "\\d", "\\p{", "{3,9}", "\\u", "[^"];
    for (let i = 0; i < 1500; i++) {
      const length = random.integer(12);
      const pattern = Array.from({ length }, () => pieces[random.integer(pieces.length)]).join("");
      let isValid = true;
      try {
        regexAutomaton(pattern, "whole", "regex");
      } catch (error) {
        expect(error, pattern).toBeInstanceOf(ConfigError);
        isValid = false;
      }
      if (isValid && !/\\[-,]/.test(pattern)) expect(() => new RegExp(pattern, "u"), pattern).not.toThrow();
    }
  });
});
