import { describe, expect, it } from "vitest";
import { columnWidth, cutColumns, makeVisible, takeColumns } from "./columns.ts";

describe("columnWidth", () => {
  // Expected values: Python's unicodedata.east_asian_width (W and F are 2), 0 for marks.
  it.each([
    ["", 0],
    ["plain ASCII", 11],
    ["漢字", 4],
    ["ｆｕｌｌ", 8],
    ["ｱ", 1],
    ["한글", 4],
    ["e\u0301", 1],
    ["\u0301", 0],
    ["é", 1],
    ["😀", 2],
    ["👨‍👩‍👧", 2],
    ["🇨🇭", 2],
    ["❤️", 2],
    ["·×●★━⠒", 6],
    ["𠀀", 2],
    ["नि", 1],
  ])("of %j is %d", (text, width) => expect(columnWidth(text)).toBe(width));
});

describe("cutColumns", () => {
  it.each([
    ["short", 5, "short"],
    ["longer", 5, "long…"],
    ["漢字漢字", 8, "漢字漢字"],
    ["漢字漢字", 7, "漢字漢…"],
    ["漢字漢字", 6, "漢字…"],
    ["👨‍👩‍👧👨‍👩‍👧", 3, "👨‍👩‍👧…"],
    ["abc", 1, "…"],
    ["abc", 0, ""],
    ["", 0, ""],
  ])("%j to %d", (text, width, expected) => expect(cutColumns(text, width)).toBe(expected));
});

describe("takeColumns", () => {
  it("takes what fits without a mark", () => {
    expect(takeColumns("a漢字", 4)).toBe("a漢");
    expect(takeColumns("ab", 9)).toBe("ab");
  });
});

describe("makeVisible", () => {
  it.each([
    ["a\nb\tc", "a↵b⇥c"],
    ["\u001b[31m\u0000\r", "␛[31m␀␍"],
    ["\u007f\u009b", "␡<009B>"],
    ["\u202eevil\u2066", "<202E>evil<2066>"],
    ["\u2028", "<2028>"],
    ["\ud800", "<D800>"],
    ["\ufeff", "<FEFF>"],
    ["👨‍👩‍👧 é", "👨‍👩‍👧 é"],
  ])("%j becomes %s", (text, expected) => expect(makeVisible(text)).toBe(expected));
});
