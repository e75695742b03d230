import { describe, expect, test } from "vitest";
import { trainCharTokenizer } from "../../codecs/char-tokenizer.ts";
import { ConfigError, DataError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import { isAllowed } from "../score-processing.ts";
import { type ConstraintSpec, compileConstraint } from "./compile-constraint.ts";
import { type ConstraintState, tokenMask } from "./token-constraint.ts";
import { TokenVocabulary } from "./token-vocabulary.ts";

const encoder = new TextEncoder();

/** A vocabulary of all bytes and some longer pieces, of which some cut characters in half, and two without text. */
function makeVocabulary(pieces: readonly (string | readonly number[])[]) {
  const bytes = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  const longer = pieces.map((piece) =>
    typeof piece === "string" ? encoder.encode(piece) : Uint8Array.from(piece),
  );
  const tokens = [...bytes, ...longer, new Uint8Array(0), new Uint8Array(0)];
  return new TokenVocabulary({ vocabularySize: tokens.length, tokenBytes: (token) => tokens[token]! });
}

const PIECES = [
  "yes",
  "ye",
  "no",
  "true",
  '{"',
  '":',
  '"}',
  '",',
  '"]',
  "},",
  "]}",
  "[[",
  "12",
  "34",
  "é",
  "éé",
  [0xc3],
  [0xa9, 0x22],
  "aa",
  "aaa",
  "aaaa",
  "ab",
  "ba",
  '\\"',
  "\\u00",
  "00e9",
];
const vocabulary = makeVocabulary(PIECES);
const END = vocabulary.size - 1;

const SPECS: readonly ConstraintSpec[] = [
  { choices: ["yes", "no", "yesterday", "é", "éé"] },
  { regex: "a{2,7}b|(?:ab)*12" },
  { regex: "[aé]*" },
  { regex: '"[^"\\n]*"' },
  { json: true },
  { json: true, spacing: "free" },
  {
    schema: {
      type: "object",
      properties: {
        a: { type: "string", minLength: 2, maxLength: 3 },
        é: { type: "array", items: { type: "integer", minimum: 7, maximum: 34 } },
      },
      required: ["é"],
    },
  },
  {
    schema: {
      $defs: {
        n: {
          type: "object",
          properties: { n: { anyOf: [{ $ref: "#/$defs/n" }, { const: true }] } },
          required: ["n"],
        },
      },
      $ref: "#/$defs/n",
    },
  },
  {
    schema: {
      anyOf: [
        { type: "object", properties: { aa: { const: "ab" } }, required: ["aa"] },
        { type: "object", properties: { aaa: { type: "string" } }, required: ["aaa"] },
      ],
    },
  },
];

/** The state after a token by {@link ConstraintState.advance}, which reads byte by byte and knows nothing of masks. */
function after(state: ConstraintState, token: number): ConstraintState | undefined {
  try {
    return state.advance(token);
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return undefined;
  }
}

test.each(SPECS.map((spec) => [JSON.stringify(spec), spec] as const))(
  "%s: masks are what can be read",
  (_, spec) => {
    const random = new Random(1);
    const constraint = compileConstraint(spec, vocabulary);
    for (let text = 0; text < 3; text++) {
      let state = constraint.start;
      for (let left = 14; !state.mustEnd && left > 0; left--) {
        const whole = state.allowed();
        const inTime = state.allowed(left);
        const next: [number, ConstraintState][] = [];
        for (let token = 0; token < vocabulary.size; token++) {
          const found = after(state, token);
          expect(isAllowed(whole, token), `token ${token}`).toBe(found !== undefined);
          const isInTime = found !== undefined && (state.cost > left || found.cost <= left - 1);
          expect(isAllowed(inTime, token), `token ${token} with ${left} left`).toBe(isInTime);
          if (isInTime) next.push([token, found!]);
        }
        expect(next.length).toBeGreaterThan(0);
        state = next[random.integer(next.length)]![1];
      }
      if (constraint.start.cost <= 14) expect(state.canEnd).toBe(true);
    }
  },
);

describe("choices", () => {
  const constraint = compileConstraint({ choices: ["yes", "yesterday", "no"] }, vocabulary);
  const read = (text: string) =>
    [...encoder.encode(text)].reduce((state, byte) => state.advance(byte), constraint.start);

  test("one that begins another may end or go on", () => {
    expect([read("yes").canEnd, read("yes").mustEnd]).toEqual([true, false]);
    expect([read("yest").canEnd, read("yesterday").mustEnd, read("no").mustEnd]).toEqual([false, true, true]);
    expect(
      read("no")
        .allowed()
        .every((word) => word === 0),
    ).toBe(true);
  });

  test("texts that come to the same place share their state", () => {
    expect(read("yes")).toBe(constraint.start.advance(vocabulary.size - 2 - PIECES.length));
  });

  test("so many tokens are enough", () => {
    expect([constraint.start.cost, read("y").cost, read("yest").cost, read("yes").cost]).toEqual([
      1, 2, 5, 0,
    ]);
  });

  test.each<[unknown, string]>([
    [{ choices: [] }, "choices: expected a list of texts, got none."],
    [{ choices: "yes" }, 'choices: expected a list of texts, got "yes".'],
    [{ choices: ["\ud800"] }, "choices: expected well-formed Unicode text"],
    [{ choice: ["a"] }, "constraint: expected choices, regex, schema or json, got choice."],
    [{}, "got nothing."],
    [{ json: true, spacing: "wide" }, 'spacing: expected compact or free, got "wide".'],
    [{ regex: "[]" }, "regex: expected a constraint that some text satisfies, got one that none does."],
  ])("%j is refused", (spec, message) => {
    const compile = () => compileConstraint(spec as ConstraintSpec, vocabulary);
    expect(compile).toThrow(ConfigError);
    expect(compile).toThrow(message);
  });
});

test("the mask for sampling has ends only where the text may end, even such as are text", () => {
  const { start } = compileConstraint({ choices: ["a", "aa"] }, vocabulary);
  const a = "a".charCodeAt(0);
  expect(isAllowed(tokenMask(start, [END]), END)).toBe(false);
  expect(isAllowed(tokenMask(start, [a]), a)).toBe(false);
  const next = start.advance(a);
  expect([isAllowed(tokenMask(next, [END]), END), isAllowed(tokenMask(next, [a]), a)]).toEqual([true, true]);
  expect(isAllowed(tokenMask(next, [5000]), 5000)).toBe(true); // an end beyond the tokenizer's ids
  expect(() => start.advance(END)).toThrow("constraint: expected a token that is allowed here");
});

test("a tokenizer of characters writes only its own", () => {
  const letters = new TokenVocabulary(trainCharTokenizer(['"abé']));
  expect(letters.characters).toEqual([34, 34, 97, 98, 233, 233]);
  const { start } = compileConstraint({ schema: { type: "string", minLength: 1 } }, letters);
  const open = start.advance(0);
  expect([0, 1, 2, 3].map((token) => isAllowed(open.allowed(), token))).toEqual([false, true, true, true]);
});

test("deep nesting that can be read in two ways stays small", () => {
  const node = { type: "object", properties: { a: { $ref: "#/$defs/n" } }, required: ["a"] };
  const other = {
    type: "object",
    properties: { a: { $ref: "#/$defs/n" }, b: { const: 1 } },
    required: ["a", "b"],
  };
  const schema = { $defs: { n: { anyOf: [node, other, { const: 0 }] } }, $ref: "#/$defs/n" };
  let state = compileConstraint({ schema }, vocabulary).start;
  const started = performance.now();
  const read = (text: string) => {
    for (const byte of encoder.encode(text)) state = state.advance(byte);
  };
  read('{"a":'.repeat(60));
  read("0");
  for (let depth = 0; depth < 60; depth++) read(depth % 2 === 0 ? "}" : ',"b":1}');
  expect(state.mustEnd).toBe(true);
  expect(performance.now() - started).toBeLessThan(2000); // 2^60 ways otherwise
});
