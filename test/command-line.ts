// Command lines run in this process, with what they print.

import { expect } from "vitest";
import { makeFakeStream } from "../src/cli/fake-stream.ts";
import { runCli } from "../src/cli/run-cli.ts";
import { VERBS } from "../src/cli/verbs.ts";

/** Runs `plinth <words>`. */
export async function plinth(...words: readonly string[]) {
  return plinthIn({}, ...words);
}

/** The same with variables of the environment. */
export async function plinthIn(env: Readonly<Record<string, string>>, ...words: readonly string[]) {
  const [stdout, stderr] = [makeFakeStream(), makeFakeStream()];
  const host = { stdout: stdout.stream, stderr: stderr.stream, env, verbs: VERBS };
  const code = await runCli(words, { ...host, signal: new AbortController().signal });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

/** The results of a command with `--json` that says nothing else: one a line. */
export async function plinthLines(...words: readonly string[]) {
  const { code, stdout, stderr } = await plinth(...words, "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^(.+\n)+$/);
  const lines = stdout.trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

/** The result of a command that has one. */
export async function plinthJson(...words: readonly string[]) {
  const lines = await plinthLines(...words);
  expect(lines).toHaveLength(1);
  return lines[0];
}

/** The only line of stderr of a command that fails with exit code 1 and prints nothing else. */
export async function plinthFailure(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await plinth(...words);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^plinth: [^\n]+\n$/);
  return stderr.trim();
}
