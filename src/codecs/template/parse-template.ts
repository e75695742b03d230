import { createRequire } from "node:module";
import type { Statement } from "./ast.ts";
import { NEGATED_TEST_PREFIX, TEST_PREFIX } from "./evaluator.ts";
import { fail } from "./values.ts";

type Library = typeof import("@huggingface/jinja");
type Token = ReturnType<Library["tokenize"]>[number];

/** Characters of the longest template that is read; the longest published ones have some 20,000. */
const MAX_LENGTH = 256 * 1024;

/** The library's lexer takes time that grows with the square of a run of whitespace. */
const LONG_SPACE = /\s{513}/;

/**
 * The tags of `{% generation %}`, which Hugging Face adds to Jinja: they stand around what the assistant writes. Jinja reads such a
 * block as a call of a macro, to which a filter block comes very close: assignments in it stay in it.
 */
const GENERATION_TAG = /(\{%-?\s*)(end)?generation(\s*-?%\})/g;

/** The filter that such a block becomes. */
export const GENERATION_FILTER = "__generation__";

/** Tests of Jinja that take an argument. */
const TESTS_WITH_ARGUMENT: ReadonlySet<string> = new Set(
  "divisibleby eq equalto ne lt lessthan le gt greaterthan ge in sameas".split(" "),
);

/**
 * Parses a template with `@huggingface/jinja`, which loads when the first template is parsed. What the library
 * cannot parse but Python can is mended on its tokens where that is possible, and refused where it would
 * otherwise mean something else.
 */
export function parseTemplate(source: string): readonly Statement[] {
  if (source.length > MAX_LENGTH) fail(`it has ${source.length} characters; at most ${MAX_LENGTH} are read`);
  if (LONG_SPACE.test(source)) fail("it has more than 512 characters of whitespace in a row");
  const { tokenize, parse } = createRequire(import.meta.url)("@huggingface/jinja") as Library;
  // Jinja reads all kinds of line ends as one.
  const text = source
    .replace(/\r\n?/g, "\n")
    .replace(GENERATION_TAG, (_, open: string, end: string | undefined, close: string) =>
      end ? `${open}endfilter${close}` : `${open}filter ${GENERATION_FILTER}${close}`,
    );
  const tokens = passTestsAsFilters(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));
  refuseChains(tokens);
  return parse(tokens).body as unknown as readonly Statement[];
}

/** `x is divisibleby 3` becomes a filter by the name of "is divisibleby", which no template can write. */
function passTestsAsFilters(tokens: readonly Token[]): Token[] {
  const result: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const isTest = isWord(tokens[at], "is") && tokens[at - 1]?.type !== "Dot";
    const negated = isTest && isWord(tokens[at + 1], "not");
    const nameAt = at + (negated ? 2 : 1);
    const name = tokens[nameAt];
    const argument = nameAt + 1;
    if (!isTest || name?.type !== "Identifier" || !TESTS_WITH_ARGUMENT.has(name.value)) {
      result.push(tokens[at]!);
      continue;
    }
    const end = endOfPrimary(tokens, argument);
    const hasParentheses = tokens[argument]?.type === "OpenParen" && end === endOfGroup(tokens, argument);
    const inside = passTestsAsFilters(tokens.slice(argument, end));
    result.push({ value: "|", type: "Pipe" });
    result.push({ value: (negated ? NEGATED_TEST_PREFIX : TEST_PREFIX) + name.value, type: "Identifier" });
    if (!hasParentheses) inside.unshift({ value: "(", type: "OpenParen" });
    if (!hasParentheses) inside.push({ value: ")", type: "CloseParen" });
    for (const token of inside) result.push(token);
    at = end - 1;
  }
  return result;
}

/** Where a literal, a name or something in brackets ends, with the members and items read of it. */
function endOfPrimary(tokens: readonly Token[], start: number): number {
  let end = isOpen(tokens[start]) ? endOfGroup(tokens, start) : start + 1;
  if (tokens[start]?.type === "OpenParen") return end;
  for (;;) {
    if (tokens[end]?.type === "Dot") end += 2;
    else if (tokens[end]?.type === "OpenSquareBracket" || tokens[end]?.type === "OpenParen")
      end = endOfGroup(tokens, end);
    else return Math.min(end, tokens.length);
  }
}

function endOfGroup(tokens: readonly Token[], start: number): number {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    if (isOpen(tokens[at])) depth++;
    else if (isClose(tokens[at])) depth--;
    if (depth === 0) return at + 1;
  }
  return tokens.length;
}

/** `a < b < c` means `a < b and b < c` in Python, and something else to the library. */
function refuseChains(tokens: readonly Token[]): void {
  const compared = [false];
  let isLoopHead = false;
  let operatorAt = -1;
  for (const [at, token] of tokens.entries()) {
    const top = compared.length - 1;
    if (isOpen(token)) {
      compared.push(false);
    } else if (isClose(token)) {
      if (top > 0) compared.pop();
    } else if (isWord(token, "for") && tokens[at - 1]?.type === "OpenStatement") {
      isLoopHead = true;
    } else if (isWord(token, "in") && isLoopHead) {
      isLoopHead = false;
    } else if (isSeparator(token) && !isWord(tokens[at + 1], "in")) {
      compared[top] = false;
    } else if (token.type === "ComparisonBinaryOperator" || (isWord(token, "in") && at !== operatorAt + 1)) {
      operatorAt = at; // a name may be "in" too, which shows by what is before it
      if (compared[top])
        fail(`it chains comparisons (… ${token.value} …), which Plinth does not do; use \`and\``);
      compared[top] = true;
    }
  }
}

function isSeparator({ type, value }: Token): boolean {
  if (type === "Identifier") return ["and", "or", "not", "if", "else", "elif"].includes(value);
  return type === "Comma" || type === "Colon" || type === "Equals";
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.type === "Identifier" && token.value === word;
}

function isOpen(token: Token | undefined): boolean {
  return token !== undefined && /^Open/.test(token.type);
}

function isClose(token: Token | undefined): boolean {
  return token !== undefined && /^Close/.test(token.type);
}
