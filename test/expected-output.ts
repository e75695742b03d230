import { expect, vi } from "vitest";

/**
 * What a program says it prints: the text after `// =>` on each line with a `console.log`.
 *
 * @throws {Error} if a `console.log` makes no promise: output that nobody checks may be wrong.
 */
export function promisedOutput(source: string): string[] {
  return source
    .split("\n")
    .filter((line) => line.includes("console.log("))
    .map((line) => {
      const [, promised] = /\/\/ => (.*)$/.exec(line) ?? [];
      if (promised === undefined) throw new Error(`no "// =>" on the line: ${line.trim()}`);
      return promised.trim();
    });
}

/** Runs a program by importing it, and compares what it prints with what its source promises. */
export async function expectPromisedOutput(source: string, run: () => Promise<unknown>): Promise<void> {
  const printed: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((...words) => void printed.push(words.join(" ")));
  const error = vi.spyOn(console, "error").mockImplementation(() => {});
  try {
    await run();
  } finally {
    log.mockRestore();
    error.mockRestore();
  }
  expect(printed).toEqual(promisedOutput(source));
}
