import { describe, expect, expectTypeOf, it } from "vitest";
import { ConfigError } from "../core/errors.ts";
import { boolean, choice, integer, integers, list, number, required, settings, text } from "./flag-specs.ts";
import { type PositionalSpec, readArguments } from "./flags.ts";

const specs = {
  prompt: text({ describe: "a prompt" }),
  device: text({ describe: "a device", fallback: "cpu" }),
  method: choice(["lora", "full"], { describe: "a method", fallback: "lora" }),
  temperature: number({ describe: "a temperature", min: 0, max: 2 }),
  offset: number({ describe: "an offset" }),
  maxTokens: integer({ describe: "how many", min: 1, fallback: 100 }),
  atMost: integer({ describe: "how many", max: 5 }),
  stream: boolean({ describe: "as it comes", fallback: true }),
  resume: boolean({ describe: "go on" }),
  data: list({ describe: "files" }),
  tokens: integers({ describe: "token ids", min: 0 }),
  set: settings({ describe: "settings" }),
};

const model: PositionalSpec = { name: "model", describe: "a directory", required: true };

function read(line: string, positionals: readonly PositionalSpec[] = []) {
  return readArguments("demo", specs, positionals, line === "" ? [] : line.split(" "));
}

function failureOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "no error";
}

describe("readArguments", () => {
  it("gives every flag its fallback", () => {
    expect(read("").flags).toEqual({
      prompt: undefined,
      device: "cpu",
      method: "lora",
      temperature: undefined,
      offset: undefined,
      maxTokens: 100,
      atMost: undefined,
      stream: true,
      resume: false,
      data: [],
      tokens: undefined,
      set: {},
    });
  });

  it("types the values by the specs", () => {
    const { flags } = read("");
    expectTypeOf(flags.prompt).toEqualTypeOf<string | undefined>();
    expectTypeOf(flags.device).toEqualTypeOf<string>();
    expectTypeOf(flags.method).toEqualTypeOf<"lora" | "full">();
    expectTypeOf(flags.maxTokens).toEqualTypeOf<number>();
    expectTypeOf(flags.stream).toEqualTypeOf<boolean>();
    expectTypeOf(required(specs.prompt).fallback).toEqualTypeOf<string>();
  });

  it.each([
    ["--prompt hello", { prompt: "hello" }],
    ["--prompt=hello", { prompt: "hello" }],
    ["--prompt=--resume", { prompt: "--resume" }],
    ["--prompt=", { prompt: "" }],
    ["--prompt -x", { prompt: "-x" }],
    ["--method full", { method: "full" }],
    ["--temperature 0", { temperature: 0 }],
    ["--temperature .5", { temperature: 0.5 }],
    ["--offset -1.5e-3", { offset: -0.0015 }],
    ["--max-tokens 7", { maxTokens: 7 }],
    ["--at-most -3", { atMost: -3 }],
    ["--no-stream --resume", { stream: false, resume: true }],
    ["--no-resume", { resume: false }],
    ["--data a b c", { data: ["a", "b", "c"] }],
    ["--data a --resume --data b c", { data: ["a", "b", "c"], resume: true }],
    ["--tokens 1,2,3", { tokens: [1, 2, 3] }],
    ["--tokens 1 2,3", { tokens: [1, 2, 3] }],
    [
      "--set width=384 dropout=0.1 --set tie=true name=gpt2 note=a=b",
      { set: { width: 384, dropout: 0.1, tie: true, name: "gpt2", note: "a=b" } },
    ],
    ['--set id="5" rate=-1e-3 empty=', { set: { id: "5", rate: -0.001, empty: "" } }],
  ])("reads %s", (line, expected) => {
    expect(read(line).flags).toMatchObject(expected);
  });

  it("keeps a key like __proto__ a key", () => {
    expect(Object.keys(read("--set __proto__=1").flags.set)).toEqual(["__proto__"]);
  });

  it("separates words from flags", () => {
    expect(read("runs/a --resume", [model]).positionals).toEqual(["runs/a"]);
    expect(read("--resume runs/a", [model]).positionals).toEqual(["runs/a"]);
    expect(read("--data a b -- runs/a", [model])).toMatchObject({ positionals: ["runs/a"] });
    expect(read("", [{ ...model, required: false }]).positionals).toEqual([]);
  });

  it.each([
    ["--promt x", '--promt: expected a flag of "plinth demo", got an unknown one. Did you mean "--prompt"?'],
    ["--zzz", '--zzz: expected a flag of "plinth demo", got an unknown one. See plinth demo --help.'],
    [
      "--no-prompt",
      '--no-prompt: expected a flag of "plinth demo", got an unknown one. Did you mean "--prompt"?',
    ],
    ["-p x", '-p: expected a flag of "plinth demo", got an unknown one. See plinth demo --help.'],
    [
      "--toString",
      '--toString: expected a flag of "plinth demo", got an unknown one. See plinth demo --help.',
    ],
    ["--prompt", "--prompt: expected a value TEXT, got nothing."],
    [
      "--prompt --resume",
      "--prompt: expected a value TEXT, got the flag --resume. If it is meant as the value, write --prompt=--resume.",
    ],
    ["--prompt a --prompt b", "--prompt: expected to be given once, got a second one."],
    ["--resume=yes", '--resume: expected no value, got "yes".'],
    ["--method qlora", '--method: expected one of lora, full, got "qlora".'],
    ["--temperature hot", '--temperature: expected a number in [0, 2], got "hot".'],
    ["--temperature 2.1", '--temperature: expected a number in [0, 2], got "2.1".'],
    ["--temperature NaN", '--temperature: expected a number in [0, 2], got "NaN".'],
    ["--temperature=", '--temperature: expected a number in [0, 2], got "".'],
    ["--offset Infinity", '--offset: expected a number, got "Infinity".'],
    ["--offset 0x10", '--offset: expected a number, got "0x10".'],
    ["--offset 1e999", '--offset: expected a number, got "1e999".'],
    ["--max-tokens 1.5", '--max-tokens: expected an integer ≥ 1, got "1.5".'],
    ["--max-tokens 0", '--max-tokens: expected an integer ≥ 1, got "0".'],
    ["--max-tokens 1e17", '--max-tokens: expected an integer ≥ 1, got "1e17".'],
    ["--at-most 6", '--at-most: expected an integer ≤ 5, got "6".'],
    ["--tokens 1,,2", '--tokens: expected an integer ≥ 0, got "".'],
    ["--tokens 1,-2", '--tokens: expected an integer ≥ 0, got "-2".'],
    ["--data", "--data: expected a value TEXT…, got nothing."],
    ["--set width", '--set: expected key=value, got "width".'],
    ["--set =3", '--set: expected key=value, got "=3".'],
    ["--set a=1 a=2", '--set: expected "a" to be set once, got a second value.'],
    ["a", 'plinth demo: expected no words besides the flags, got also "a". See plinth demo --help.'],
  ])("refuses %s", (line, message) => {
    expect(failureOf(() => read(line))).toBe(message);
  });

  it.each([
    ["", "plinth demo: expected <model>, a directory, got nothing. See plinth demo --help."],
    [
      "--data a runs/a",
      "plinth demo: expected <model>, a directory, got nothing. --data takes all words after it: put <model> first.",
    ],
    ["a b", 'plinth demo: expected 1 word besides the flags, got also "b". See plinth demo --help.'],
  ])("refuses the words %j", (line, message) => {
    expect(failureOf(() => read(line, [model]))).toBe(message);
  });

  it("names a required flag that is not there", () => {
    const flags = { out: required(text({ describe: "where to save", placeholder: "DIR" })) };
    expect(failureOf(() => readArguments("demo", flags, [], []))).toBe(
      "plinth demo: expected --out DIR, where to save, got no such flag.",
    );
    expect(readArguments("demo", flags, [], ["--out", "a"]).flags.out).toBe("a");
  });
});
