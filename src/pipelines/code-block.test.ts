import { expect, test } from "vitest";
import { endOfBlock, endOfLine } from "./code-block.ts";

// Each case: what stands before the cursor, what belongs to the block, what the model wrote after it.
test.each([
  [
    "inside a function, up to its closing line",
    "function add(a, b) {\n  return",
    " a + b;",
    "\n}\nadd(1, 2);\n",
  ],
  ["several lines as deep", "def f(x):\n    y = x", " * 2\n    return y", "\nprint(f(1))\n"],
  ["deeper lines belong to it", "  for (;;) a();\n  b", "();\n  if (c) {\n    d();\n  }", "\n}\n"],
  ["blank lines inside stay", "{\n  a", "();\n\n  b();", "\n}\n"],
  ["a block that the cursor's line opens, with what closes it", "if (x) {", "\n  y();\n}", "\nz();\n"],
  ["and goes on after else", "if (x) {", "\n  y();\n} else {", "\n  z();\n}\n"],
  ["a block of Python's", "class A:", "\n    def f(self):\n        pass", "\nclass B:\n"],
  ["a list", "const x = [", "\n  1,\n  2,\n];", "\nconst y = 3;\n"],
  ["at the outermost level, up to a blank line", "const x", " = 1;\nconst y = 2;", "\n\nconst z = 3;\n"],
  ["tabs count four columns", "\tif (a)\n\t\tb", "();", "\n\tc();\n"],
])("%s", (_, before, block, rest) => {
  const end = endOfBlock(before);
  const whole = block + rest;
  expect(end(whole)).toBe(block.length);
  // It never ends otherwise while the text grows.
  for (let length = 0; length < whole.length; length++) {
    expect([undefined, block.length]).toContain(end(whole.slice(0, length)));
  }
});

test("a text without an end goes on", () => {
  expect(endOfBlock("  a")("();\n  b();\n  c")).toBeUndefined();
  expect(endOfLine("a + b")).toBeUndefined();
  expect(endOfLine("a + b;\nc")).toBe(6);
});
