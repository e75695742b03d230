import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError } from "../core/errors.ts";
import { serializeJson } from "./serialize-json.ts";
import { decodeUtf8, describeJson, parseStrictJson } from "./strict-json.ts";

const parse = (text: string) => parseStrictJson(text, "x.json");

describe("parseStrictJson", () => {
  test("agrees with JSON.parse on everything JSON.stringify writes", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), fc.constantFrom(0, 1, 3), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        fc.pre(!/\\ud[89a-f]/.test(text));
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  test("accepts nothing that JSON.parse refuses, and throws only FormatError", () => {
    const fragment = fc.constantFrom(...'{}[]:,"\\ \n0123.eE+-tfnulrase', "true", '"a"', "null", "1e3");
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 14 }), (parts) => {
        const text = parts.join("");
        let value: unknown;
        try {
          value = parse(text);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          return;
        }
        expect(value).toEqual(JSON.parse(text));
      }),
      { numRuns: 5000 },
    );
  });

  test.each([
    ['{"a":1,"a":2}', 'each key once in an object, got "a" again at character 7'],
    ['{"a":1,"\\u0061":2}', 'got "a" again'],
    ['{"a":{"b":1,"b":1}}', 'got "b" again'],
    ['{"__proto__":1,"__proto__":2}', 'got "__proto__" again'],
    ["1e400", 'a finite JSON number, got "1e400"'],
    ["01", 'a finite JSON number, got "01"'],
    ["NaN", "a JSON value"],
    ["-Infinity", 'a finite JSON number, got "-"'],
    ["9".repeat(500), "a number of at most 400 characters"],
    ['"\\ud800"', "without lone surrogates"],
    ['"\\x41"', "valid escapes"],
    ['"a\nb"', 'a string closed by "'],
    ['"abc', 'a string closed by ", got the end of the text at character 4'],
    ['"abc\\', "the end of the text"],
    ["[1,]", "a JSON value"],
    ["[1 2]", '"," or "]"'],
    ['{"a" 1}', '":"'],
    ["{a:1}", "a quoted key"],
    ['{"a":1', '"," or "}"'],
    ["{} {}", "the end of the JSON text"],
    ["\ufeff{}", "a JSON value"],
    ["", "a JSON value, got the end of the text at character 0"],
    ["[".repeat(100_000), "nesting of at most 64"],
  ])("refuses %.40j", (text, message) => {
    expect(() => parse(text)).toThrow(FormatError);
    expect(() => parse(text)).toThrow(message);
  });

  test("keeps __proto__ as an ordinary key", () => {
    const value = parse('{"__proto__":{"polluted":true}}') as object;
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect("polluted" in value).toBe(false);
  });

  test("counts nesting exactly", () => {
    expect(parseStrictJson("[[1]]", "x", 2)).toEqual([[1]]);
    expect(() => parseStrictJson("[[[1]]]", "x", 2)).toThrow("nesting of at most 2");
  });
});

describe("serializeJson", () => {
  test("reads back as the same value, bit for bit", () => {
    const value = fc.jsonValue({ depthSize: "medium" });
    fc.assert(
      fc.property(value, (original) => {
        const text = serializeJson(original, "x");
        expect(parse(text)).toStrictEqual(original);
        expect(serializeJson(parse(text), "x")).toBe(text);
      }),
      { numRuns: 500 },
    );
    expect(serializeJson({ a: [1, -0] }, "x.json")).toBe('{\n  "a": [\n    1,\n    -0\n  ]\n}\n');
    expect(Object.is(parse("-0"), -0)).toBe(true);
  });

  test("is laid out as JSON.stringify lays out", () => {
    const value = { a: [1, { b: "\u007fé\n" }, [], {}], c: null };
    expect(serializeJson(value, "x")).toBe(`${JSON.stringify(value, null, 2)}\n`);
  });

  test.each([
    [{ loss: Number.NaN }, "x.loss: expected a finite number, got NaN"],
    [{ a: [0, Number.POSITIVE_INFINITY] }, "x.a[1]: expected a finite number, got Infinity"],
    [{ a: undefined }, "x.a: expected a JSON value, got undefined"],
    // biome-ignore lint/suspicious/noSparseArray: a hole is what is tested
    [[1, , 2], "x[1]: expected a JSON value, got undefined"],
    [{ a: 1n }, "x.a: expected a JSON value, got 1"],
    [{ a: new Map() }, "x.a: expected a JSON value, got a Map"],
    [{ a: new Float32Array(1) }, "x.a: expected a JSON value, got a Float32Array"],
    [["\ud800"], "x[0]: expected a string without lone surrogates"],
  ])("refuses %o", (value, message) => {
    expect(() => serializeJson(value, "x")).toThrow(message);
  });

  test("refuses a value that contains itself", () => {
    const value: unknown[] = [];
    value.push(value);
    expect(() => serializeJson(value, "x")).toThrow("nesting of at most 64");
  });
});

test("decodeUtf8 refuses malformed bytes and keeps a byte order mark", () => {
  expect(() => decodeUtf8(Uint8Array.of(0x61, 0xff), "x.json")).toThrow("x.json: expected UTF-8 text");
  expect(() => decodeUtf8(Uint8Array.of(0xed, 0xa0, 0x80), "x.json")).toThrow(FormatError);
  expect(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41), "x.json")).toBe("\ufeffA");
});

test("describeJson stays short", () => {
  expect(describeJson([1, "two"])).toBe('[1, "two"]');
  expect(describeJson(Array(1e6).fill(0))).toBe("[0, 0, 0, 0, 0, 0, 0, 0, …]");
  expect(describeJson("x".repeat(1e6)).length).toBeLessThan(100);
  expect(describeJson({ a: 1 })).toBe("an object");
  expect(describeJson(undefined)).toBe("nothing");
  expect(describeJson([[[1]], null])).toBe("[[…], null]");
});

test.each<[string, (count: number) => string]>([
  ["lists", (count) => `[${"[],".repeat(count)}0]`],
  ["objects", (count) => `[${"{},".repeat(count)}0]`],
  ["numbers", (count) => `[${"0,".repeat(count)}0]`],
  ["keys", (count) => `{${Array.from({ length: count }, (_, i) => `"${i.toString(36)}x":0`).join()}}`],
])("a large text of nothing but %s is refused before it fills memory", (_, make) => {
  const text = make(3_000_000);
  const [start, before] = [process.cpuUsage(), process.memoryUsage().heapUsed];
  expect(() => parseStrictJson(text, "x")).toThrow(/expected at most (1000000 values|250000 keys), got more/);
  expect(process.cpuUsage(start).user / 1000).toBeLessThan(1000);
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(text.length + 64 * 2 ** 20);
});
