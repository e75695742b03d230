import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError, FormatError, PlinthError } from "../../core/errors.ts";
import { Template } from "./template.ts";

const root = new URL("../../../", import.meta.url);
const golden = JSON.parse(readFileSync(new URL("test/fixtures/chat-template/golden.json", root), "utf8")) as {
  readonly now: string;
  readonly context: Readonly<Record<string, unknown>>;
  readonly engine: readonly { readonly template: string; readonly text?: string; readonly fails?: string }[];
};

const render = (source: string, variables: Readonly<Record<string, unknown>> = {}) =>
  new Template(source, "test").render(variables, { now: new Date(golden.now) });

describe("what Jinja2 prints, in Hugging Face's sandbox", () => {
  test.each(golden.engine)("$template", ({ template, text }) => {
    if (text === undefined) expect(() => render(template, golden.context)).toThrow(PlinthError);
    else expect(render(template, golden.context)).toBe(text);
  });
});

describe("templates that cannot be read", () => {
  test.each([
    ["an open block", "{% if true %}"],
    ["an open expression", "{{ 1"],
    ["an unknown statement", "{% include 'x' %}"],
    ["a stray end", "{% endif %}"],
    ["chained comparisons, which the parser would misread", "{{ 1 < 2 < 3 }}"],
    ["break outside a loop", "{% break %}"],
  ])("%s", (_, source) => {
    expect(() => render(source)).toThrow(FormatError);
  });

  test("parentheses are not a chain", () => {
    expect(
      render("{{ (1 < 2) == true }}{{ 1 < 2 and 2 < 3 }}{% for x in [1] if x in [1] %}{{ x }}{% endfor %}"),
    ).toBe("TrueTrue1");
  });

  test("the error says where and what", () => {
    expect(() => render("{{ missing.x }}")).toThrow(
      "test: expected a template that can be rendered, got one that fails: \"'missing' is undefined\"",
    );
    expect(() => render("{{ raise_exception('only users') }}")).toThrow(DataError);
    expect(() => render("{{ raise_exception('only users') }}")).toThrow(/only users/);
  });
});

/** Of processor time, which other work on the machine does not change much. */
const MOST_MS = 1000;
const MOST_BYTES = 64 * 2 ** 20;

const LOOP = "{% for a in range(99999) %}";
const END = "{% endfor %}";
const HOSTILE: readonly (readonly [string, string])[] = [
  ["loops in loops", `${LOOP.repeat(5)}x${END.repeat(5)}`],
  ["empty loops in loops", `${LOOP.repeat(5)}${END.repeat(5)}`],
  [
    "a range of a thousand million",
    "{% for a in range(10**9) %}{% for b in range(10**9) %}{% endfor %}{% endfor %}",
  ],
  [
    "a string that doubles",
    `{% set ns = namespace(s='ab') %}${LOOP}{% set ns.s = ns.s + ns.s %}${END}{{ ns.s }}`,
  ],
  [
    "a string that doubles by ~",
    `{% set ns = namespace(s='é') %}${LOOP}{% set ns.s = ns.s ~ ns.s %}${END}{{ ns.s }}`,
  ],
  ["a string times a number", "{{ 'a' * 10**10 }}"],
  ["a list times a number", "{{ [1] * 10**10 }}"],
  ["nothing times a number", "{{ [] * 10**10 }}{{ '' * 10**10 }}{% for a in range(10**6) %}{% endfor %}"],
  ["a list that doubles", `{% set ns = namespace(l=[1]) %}${LOOP}{% set ns.l = ns.l + ns.l %}${END}`],
  [
    "a list in itself, printed",
    `{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}${END}{{ ns.l }}`,
  ],
  [
    "the same as JSON",
    `{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}${END}{{ ns.l | tojson }}`,
  ],
  [
    "the same compared",
    `{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}${END}{{ [ns.l] == [ns.l + []] }}`,
  ],
  ["a namespace in itself", "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}"],
  ["a macro that calls itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"],
  ["a macro that calls itself twice", "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}"],
  ["a big power", "{{ 10 ** 10 ** 10 }}"],
  ["powers of powers", `{% set ns = namespace(n=3) %}${LOOP}{% set ns.n = ns.n * ns.n %}${END}`],
  ["deep parentheses", `{{ ${"(".repeat(60_000)}1${")".repeat(60_000)} }}`],
  ["deep lists", `{{ ${"[".repeat(60_000)}${"]".repeat(60_000)} }}`],
  ["deep ifs", `${"{% if true %}".repeat(9000)}${"{% endif %}".repeat(9000)}`],
  ["many nots", `{{ ${"not ".repeat(50_000)} 1 }}`],
  ["a long sum", `{{ 1${"+1".repeat(100_000)} }}`],
  ["spaces", " ".repeat(200_000)],
  ["runs of spaces", `a${" ".repeat(512)}`.repeat(500)],
  ["spaces in a tag", `{%${" ".repeat(100_000)}`],
  ["a huge template", "x".repeat(300_000)],
  [
    "replace that grows",
    `{% set ns = namespace(s='a') %}${LOOP}{% set ns.s = ns.s | replace('a', 'aaaa') %}${END}`,
  ],
  ["joins that grow", `{% set ns = namespace(s='ab') %}${LOOP}{% set ns.s = ns.s | join(ns.s) %}${END}`],
  [
    "indents that grow",
    `{% set ns = namespace(s='a\\nb') %}${LOOP}{% set ns.s = ns.s | indent(10**9) %}${END}`,
  ],
  ["justified", "{{ 'a'.ljust(10**9) }}"],
  ["many macros", `{% for i in range(99999) %}{% macro f() %}${"{{ a }}".repeat(200)}{% endmacro %}${END}`],
  ["sorts in loops", `{% set l = range(9999) | list %}${LOOP}{{ l | sort(reverse=true) }}${END}`],
  ["filters in loops", `{% set l = range(9999) | list %}${LOOP}{% set x = l | map('string') | list %}${END}`],
  ["unique of many", "{{ range(99999) | unique | list | length }}"],
  ["a search in loops", `{% set s = 'a' * 99999 %}${LOOP}{{ 'b' in s }}{{ s.count('ab') }}${END}`],
  ["strips in loops", `{% set s = ' ' * 99999 %}${LOOP}{{ s.strip() }}${END}`],
  ["letters in loops", `{% set s = 'a ' * 99999 %}${LOOP}{{ s.title() }}{{ s[::-1] }}${END}`],
];

describe("hostile templates end", () => {
  test.each(HOSTILE)("%s", (_, source) => {
    const before = process.memoryUsage().rss;
    const start = process.cpuUsage();
    try {
      render(source);
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
    }
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(MOST_MS);
    expect(process.memoryUsage().rss - before).toBeLessThan(source.length + MOST_BYTES);
  });
});

test("altered templates: typed errors only, and soon", { timeout: 60_000 }, () => {
  const seeds = golden.engine.map(({ template }) => template);
  const edit = fc.record({
    at: fc.nat(400),
    remove: fc.nat(6),
    insert: fc.constantFrom(
      "",
      "{%",
      "%}",
      "{{",
      "}}",
      "(",
      ")",
      "[",
      "]",
      "|",
      ".",
      "~",
      "is",
      " not ",
      " in ",
      "'",
      "for",
      "endfor",
      "0",
      "**",
      ":",
      "-",
      "\\",
      "\u2028",
      "é",
      "=",
    ),
  });
  fc.assert(
    fc.property(fc.constantFrom(...seeds), fc.array(edit, { minLength: 1, maxLength: 4 }), (seed, edits) => {
      let source = seed;
      for (const { at, remove, insert } of edits) {
        const place = at % (source.length + 1);
        source = source.slice(0, place) + insert + source.slice(place + remove);
      }
      const start = performance.now();
      try {
        render(source, golden.context);
      } catch (error) {
        expect(error, source).toBeInstanceOf(PlinthError);
      }
      expect(performance.now() - start, source).toBeLessThan(MOST_MS);
    }),
    { numRuns: Number(process.env.PLINTH_FUZZ_RUNS ?? 600), seed: 20 },
  );
});

describe("generation blocks", () => {
  const marked = (source: string) => {
    const { text, generated } = new Template(source, "test").renderMarked({ xs: ["a", "b"] });
    return { text, said: generated.map(([start, end]) => text.slice(start, end)) };
  };

  test.each([
    ["{% for x in xs %}<{% generation %}{{ x }}!{% endgeneration %}>{% endfor %}", "<a!><b!>", ["a!", "b!"]],
    ["-\n  {%- generation -%}\n x \n{%- endgeneration %}\n-", "-x-", ["x"]],
    [
      "{% macro m(x) %}({% generation %}{{ x }}{% endgeneration %}){% endmacro %}{{ m(1) }}{{ m(2) }}",
      "(1)(2)",
      ["1", "2"],
    ],
    ["{% set s %}{% generation %}x{% endgeneration %}{% endset %}{{ s }}{{ s }}", "xx", ["x", "x"]],
    ["{% generation %}a{% generation %}b{% endgeneration %}c{% endgeneration %}", "abc", ["abc"]],
    ["{% set y = 1 %}{% generation %}{% set y = 2 %}{% endgeneration %}{{ y }}", "1", [""]],
  ])("%s", (source, text, said) => {
    expect(render(source, { xs: ["a", "b"] })).toBe(text);
    expect(marked(source)).toEqual({ text, said });
  });

  test("a template that reads them is refused, and so is text with the marks in it", () => {
    const counting = "{% set s %}{% generation %}x{% endgeneration %}{% endset %}{{ s | length }}";
    expect(render(counting)).toBe("1");
    expect(() => marked(counting)).toThrow(/it reads or changes what its generation blocks have written/);
    expect(() => marked("{{ '\ufdd0' }}")).toThrow(FormatError);
  });

  test("a template says whether it has any", () => {
    expect(new Template("{% if 0 %}{% generation %}{% endgeneration %}{% endif %}", "t").marksGenerated).toBe(
      true,
    );
    expect(new Template("{{ add_generation_prompt }}", "t").marksGenerated).toBe(false);
  });
});
