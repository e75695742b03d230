import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { DataError, FormatError } from "../../core/errors.ts";
import { regexPattern, type SplitPattern } from "./split-pattern.ts";

const oracle = new URL("../../../../shared/data/tok-regex-oracle/", import.meta.url).pathname;
const hasOracle = existsSync(oracle);

interface Patterns {
  readonly defaults: { readonly inputs: readonly string[] };
  readonly patterns: readonly {
    readonly id: string;
    readonly name?: string;
    readonly pattern: string;
    readonly inputs?: string[];
  }[];
}

/** The pieces that the library's Split (Removed, inverted) keeps: the matches that are not empty. */
function matches(pattern: SplitPattern, text: string): string[] {
  const found = pattern.findAll(text);
  const pieces = found.flatMap((at, i) => (i % 2 === 0 ? [text.slice(at, found[i + 1])] : []));
  return pieces.filter((piece) => piece !== "");
}

describe.skipIf(!hasOracle)(
  `patterns of published tokenizers${hasOracle ? "" : " (skipped: no ../shared/data/tok-regex-oracle)"}`,
  () => {
    const read = (name: string) => readFileSync(join(oracle, name));
    const { patterns, defaults }: Patterns = hasOracle
      ? JSON.parse(read("splitRegexPatterns.json").toString())
      : { patterns: [], defaults: { inputs: [] } };
    const { tokens }: { tokens: Record<string, string[][]> } = hasOracle
      ? JSON.parse(gunzipSync(read("splitRegexOracle.json.gz")).toString())
      : { tokens: {} };

    // "ß" as the other case of "ss" is two characters for one, which folding here does not do.
    const known = patterns.filter(({ id }) => id !== "edge-ci-full-fold");

    it.each(known)("$id cuts as the library does", ({ id, name = id, pattern, inputs = defaults.inputs }) => {
      const compiled = regexPattern(pattern, "oniguruma", id);
      expect(inputs.map((input) => matches(compiled, input))).toEqual(tokens[name]);
    });
  },
);

describe("regexPattern", () => {
  const find = (pattern: string, text: string, dialect: "oniguruma" | "rust" = "oniguruma") =>
    matches(regexPattern(pattern, dialect, "p"), text);

  it("reads what tiktoken means, which differs from what tokenizer.json means", () => {
    expect(find("a{2}+", "aaaaa")).toEqual(["aaaa"]);
    expect(find("a{2}+", "aaaaa", "rust")).toEqual(["aa", "aa"]);
    expect(find("b$", "ab\nb")).toEqual(["b", "b"]);
    expect(find("b$", "ab\nb", "rust")).toEqual(["b"]);
  });

  it.each([
    ["(a", "expected ), got the end of the pattern"],
    ["a)", "got a ) without ("],
    ["*a", "expected something to repeat"],
    ["[a", "expected ] at the end of a class"],
    ["[b-a]", "expected a range that ascends"],
    ["a{3,2}", "expected counts that ascend"],
    ["a{99999}", "expected counts that ascend, up to 1000"],
    ["\\p{Klingon}", "expected a property that is known here, got {Klingon}"],
    ["\\q", "expected an escape that is known here, got \\q"],
    ["\\x{110000}", "expected the hexadecimal number"],
    ["\\", "expected a character after \\"],
    ["\\1", "expected one of 0 groups"],
    ["(?(1)a)", "expected a group that is supported"],
    ["(?<=a+)b", "expected a look-behind of one width"],
    ["(?:(?:ab){1000}c){1000}", "expected a pattern of moderate size"],
    ["(?:(?:(?:){1000}){1000}){1000}", "expected a pattern of moderate size"],
    ["(".repeat(100), "expected nesting of at most 40"],
    ["a".repeat(20_001), "expected a pattern of at most 20000 characters"],
  ])("refuses %.40j", (pattern, message) => {
    expect(() => find(pattern, "")).toThrow(FormatError);
    expect(() => find(pattern, "")).toThrow(message);
  });

  it.each([
    ["(a|aa)+$", `${"a".repeat(60)}b`],
    ["(a+)+b", "a".repeat(40)],
    ["(?:a?){30}a{30}c", "a".repeat(30)],
    ["((a*)*)*b", "a".repeat(3000)],
    ["(.*)\\1\\1x", "ab".repeat(1500)],
  ])("gives up on %j in good time", (pattern, text) => {
    const start = performance.now();
    expect(() => find(pattern, text)).toThrow(DataError);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  it("ends repetitions of nothing", () => {
    expect(find("(?:a|)*b", "aab")).toEqual(["aab"]);
    expect(find("(?:)*", "ab")).toEqual([]);
  });
});
