import { describe, expect, it } from "vitest";
import { EnvironmentError } from "../core/errors.ts";
import { makeFakeStream } from "./fake-stream.ts";
import { boolean, integer, list, required, text } from "./flag-specs.ts";
import { renderVerbHelp } from "./help.ts";
import { runCli } from "./run-cli.ts";
import { defineVerb, type Verb } from "./verb.ts";
import { VERBS, type VerbEntry } from "./verbs.ts";

const demo: Verb = defineVerb({
  name: "demo",
  summary: "show what a verb can do",
  positionals: [
    { name: "model", describe: "a directory, a Hugging Face id or a .gguf file", required: true },
  ],
  flags: {
    data: list({ describe: "files, folders or globs", placeholder: "PATH…" }),
    out: required(text({ describe: "where to save", placeholder: "DIR" })),
    maxTokens: integer({ describe: "how many tokens to write at most", min: 1, fallback: 100 }),
    stream: boolean({ describe: "wait for the whole text", fallback: true }),
    fail: text({
      describe:
        "how to fail: this description is long enough that it has to be broken over several lines, because help never gets wider than a hundred columns",
      placeholder: "a-rather-long-placeholder-for-its-value",
    }),
  },
  example: "plinth demo runs/a --out b",
  async run({ flags, positionals, out, signal }) {
    if (flags.fail === "plinth") throw new EnvironmentError({ where: "disk", expected: "room", got: "none" });
    if (flags.fail === "bug") throw new TypeError("x is not a function");
    if (flags.fail === "odd") throw "a string";
    if (flags.fail === "abort") signal.throwIfAborted();
    if (flags.fail === "display") {
      out.openDisplay();
      throw new Error("while the display was open");
    }
    out.write("streamed ");
    out.notice("a notice");
    out.result({ model: positionals[0], maxTokens: flags.maxTokens }, `model ${positionals[0]}`);
  },
});

const verbs: Record<string, VerbEntry> = {
  demo: { summary: demo.summary, load: async () => demo },
  generate: {
    summary: "never loaded",
    load: () => Promise.reject(new Error("loaded although nobody asked for it")),
  },
};

async function run(line: string, env: Record<string, string> = {}, signal = new AbortController().signal) {
  const stdout = makeFakeStream();
  const stderr = makeFakeStream();
  const words = line === "" ? [] : line.split(" ");
  const code = await runCli(words, { stdout: stdout.stream, stderr: stderr.stream, env, verbs, signal });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

describe("runCli", () => {
  it("puts the result on stdout and notices on stderr", async () => {
    expect(await run("demo runs/a --out b")).toEqual({
      code: 0,
      stdout: "streamed model runs/a\n",
      stderr: "a notice\n",
    });
  });

  it("puts the result alone on stdout with --json", async () => {
    expect(await run("demo runs/a --out b --json --max-tokens 5")).toEqual({
      code: 0,
      stdout: '{"model":"runs/a","maxTokens":5}\n',
      stderr: "streamed a notice\n",
    });
  });

  it.each([
    ["demoo", 'plinth: "demoo": expected a verb, got an unknown one. Did you mean "plinth demo"?\n'],
    ["xyzzy", 'plinth: "xyzzy": expected a verb, got an unknown one. See plinth --help.\n'],
    ["toString", 'plinth: "toString": expected a verb, got an unknown one. See plinth --help.\n'],
    ["--verbose", 'plinth: "--verbose": expected a verb, got a flag. See plinth --help.\n'],
    ["help demoo", 'plinth: "demoo": expected a verb, got an unknown one. Did you mean "plinth demo"?\n'],
    [
      "demo a --out b --max-token 1",
      'plinth: --max-token: expected a flag of "plinth demo", got an unknown one. Did you mean "--max-tokens"?\n',
    ],
    ["demo a --out b --fail plinth", "plinth: disk: expected room, got none.\n"],
    [
      "demo a --out b --fail bug",
      "plinth: unexpected failure: x is not a function\nSet PLINTH_DEBUG=1 to see the stack.\n",
    ],
    [
      "demo a --out b --fail odd",
      "plinth: unexpected failure: a string\nSet PLINTH_DEBUG=1 to see the stack.\n",
    ],
  ])("fails with one line on %s", async (line, stderr) => {
    expect(await run(line)).toEqual({ code: 1, stdout: "", stderr });
  });

  it("shows the stack under PLINTH_DEBUG=1", async () => {
    const { stderr } = await run("demo a --out b --fail bug", { PLINTH_DEBUG: "1" });
    expect(stderr).toMatch(
      /^plinth: unexpected failure: x is not a function\nTypeError: x is not.*\n {4}at /,
    );
    expect(stderr).not.toContain("PLINTH_DEBUG");
    expect((await run("demo a --out b --fail plinth", { PLINTH_DEBUG: "1" })).stderr).toContain("    at ");
  });

  it("closes the display before the error line", async () => {
    const stdout = makeFakeStream({ columns: 80, rows: 24 });
    const stderr = makeFakeStream();
    const words = ["demo", "a", "--out", "b", "--fail", "display"];
    const signal = new AbortController().signal;
    await runCli(words, { stdout: stdout.stream, stderr: stderr.stream, env: {}, verbs, signal });
    expect(stdout.text().endsWith("\u001b[?25h")).toBe(true);
    expect(stderr.text()).toContain("while the display was open");
  });

  it("exits with 130 after an interruption, whether the verb returns or throws", async () => {
    const interrupted = AbortSignal.abort();
    expect((await run("demo a --out b", {}, interrupted)).code).toBe(130);
    expect(await run("demo a --out b --fail abort", {}, interrupted)).toEqual({
      code: 130,
      stdout: "",
      stderr: "",
    });
    expect((await run("demo a --out b --fail bug", {}, interrupted)).code).toBe(1);
  });

  it("prints the version of the package", async () => {
    expect((await run("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("gives an overview without loading any verb", async () => {
    const { stdout, code } = await run("");
    expect(code).toBe(0);
    expect(stdout.replace(/\d+\.\d+\.\d+/, "0.0.0")).toMatchInlineSnapshot(`
      "Plinth 0.0.0: pretrain, adapt and run foundation models in TypeScript.

      Usage: plinth <verb> [words and flags]

      Verbs
        demo      show what a verb can do
        generate  never loaded

      Flags
        --help     this overview; plinth <verb> --help for one verb
        --version  the version

      Set PLINTH_DEBUG=1 to see the stack of an unexpected failure.
      "
    `);
    expect((await run("--help")).stdout).toBe(stdout);
    expect((await run("help")).stdout).toBe(stdout);
  });

  it("explains a verb, whatever else is on the line", async () => {
    const { stdout, code } = await run("demo --help");
    expect(code).toBe(0);
    expect(stdout).toMatchInlineSnapshot(`
      "plinth demo: show what a verb can do

      Usage: plinth demo <model> [flags]

      Words
        model  a directory, a Hugging Face id or a .gguf file

      Flags
        --data PATH…                    files, folders or globs
        --out DIR                       where to save (required)
        --max-tokens N                  how many tokens to write at most (default 100)
        --no-stream                     wait for the whole text
        --fail a-rather-long-placeholder-for-its-value
                                        how to fail: this description is long enough that it has to be
                                        broken over several lines, because help never gets wider than a
                                        hundred columns
        --json                          print the result as JSON on stdout, everything else on stderr
        --help                          show this help

      Example
        plinth demo runs/a --out b
      "
    `);
    expect((await run("demo --nonsense -h")).stdout).toBe(stdout);
    expect((await run("help demo")).stdout).toBe(stdout);
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  });
});

describe("the verbs of plinth", () => {
  it.each(Object.entries(VERBS))("%s has the help that was agreed on", async (name, entry) => {
    const verb = await entry.load();
    expect([verb.name, verb.summary]).toEqual([name, entry.summary]);
    expect(verb.example).toMatch(new RegExp(`^plinth ${name}\\b`));
    expect(Object.keys(verb.flags)).not.toContain("json");
    expect(Object.keys(verb.flags)).not.toContain("help");
    const help = renderVerbHelp(verb);
    expect(Math.max(...help.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(help).toMatchSnapshot();
  });
});
