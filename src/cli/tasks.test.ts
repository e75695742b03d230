import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plinthFailure as failure, plinthJson as json, plinth } from "../../test/command-line.ts";
import { randomModel } from "../../test/random-model.ts";
import type { ChatMessage } from "../codecs/chat-messages.ts";
import { beamSearch } from "../generate/beam-search.ts";
import { Decoder } from "../generate/decoder.ts";
import { generateBatch } from "../generate/generate.ts";
import { saveModel } from "../models/save-model.ts";
import { chat } from "../pipelines/chat.ts";
import { classifyByLikelihood, type LabelProbability } from "../pipelines/classify-by-likelihood.ts";
import { classifySequence } from "../pipelines/classify-sequence.ts";
import { completeCode } from "../pipelines/complete-code.ts";
import { EncoderModel } from "../pipelines/encoder-model.ts";
import { LanguageModel } from "../pipelines/language-model.ts";
import { summarize } from "../pipelines/summarize.ts";

// The verbs for tasks: each prints what its library call gives.

let root: string;
let directory: string;
let model: LanguageModel;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-tasks-"));
  directory = join(root, "model");
  saveModel(directory, { ...randomModel(3), card: "# A test\n" });
  model = LanguageModel.load(directory);
});
afterAll(() => {
  model.dispose();
  rmSync(root, { recursive: true });
});

function file(name: string, content: string): string {
  const path = join(root, name);
  writeFileSync(path, content);
  return path;
}

describe("classify", () => {
  const labels = ["cat", "dog"];
  const shares = (found: readonly LabelProbability[]) =>
    found.map(({ label, probability }) => ({ label, score: probability }));

  test("texts given, in a file, in JSON lines", async () => {
    const texts = ["It barks.", "It purrs."];
    const expected = await classifyByLikelihood(model, texts, { labels });
    const rows = texts.map((text, i) => ({ text, labels: shares(expected[i]!) }));
    const words = ["classify", directory, "--labels", ...labels];
    expect(await json(...words, "--text", ...texts)).toEqual(rows);
    expect(await json(...words, "--file", file("texts.txt", `${texts.join("\r\n")}\n\n`))).toEqual(rows);
    const lines = texts.map((text) => JSON.stringify({ text })).join("\n");
    expect(await json(...words, "--file", file("texts.jsonl", lines))).toEqual(rows);
    const { stdout } = await plinth(...words, "--text", texts[0]!);
    const [best] = expected[0]!;
    expect(stdout.split("\n")[0]).toBe(`${best!.label}  ${(100 * best!.probability).toFixed(1)} %`);
  });

  test("template, instruction, examples, no calibration", async () => {
    const options = { instruction: "Sort", template: "Q {text}\nA {label}", calibrate: false };
    const examples = [{ text: "It says => nothing", label: "dog" }];
    const expected = await classifyByLikelihood(model, ["x"], { labels, ...options, examples });
    const words = ["--instruction", "Sort", "--template", "Q {text}\\nA {label}", "--no-calibrate"];
    const example = ["--example", "It says => nothing => dog"];
    const found = await json(
      "classify",
      directory,
      "--text",
      "x",
      "--labels",
      ...labels,
      ...words,
      ...example,
    );
    expect(found).toEqual([{ text: "x", labels: shares(expected[0]!) }]);
  });

  test.each([
    [["--labels", "a", "b"], "plinth classify: expected either --text or --file, got neither."],
    [["--labels", "a", "b", "--text", "x", "--file", "y"], "got both"],
    [["--text", "x"], "labels: expected at least two different labels"],
    [["--text", "x", "--labels", "a", "b", "--example", "no arrow"], '--example: expected "text => label"'],
    [["--file", "/no/such", "--labels", "a", "b"], "/no/such: expected"],
  ])("%j", async (words, message) => {
    expect(await failure("classify", directory, ...words)).toContain(message);
  });

  test("by the head of an encoder, which has labels of its own", async () => {
    const path = new URL("../../test/fixtures/encoder-tasks/classify", import.meta.url).pathname;
    const encoder = EncoderModel.load(path);
    const [expected] = await classifySequence(encoder, ["Paris"]);
    encoder.dispose();
    expect(await json("classify", path, "--text", "Paris")).toEqual([{ text: "Paris", labels: expected }]);
    expect(await failure("classify", path, "--text", "Paris", "--labels", "a", "b")).toContain(
      "this model has labels of its own, got some.",
    );
  });

  test("a file without a text", async () => {
    const path = file("empty.txt", "\n \n");
    expect(await failure("classify", directory, "--labels", "a", "b", "--file", path)).toContain(
      "a text a line",
    );
  });
});

describe("complete", () => {
  const code = "function f() {\n  a();\n  b();\n}\n";

  test("code given, or a place in a file", async () => {
    const before = "function f() {\n  a();\n  b";
    const expected = await completeCode(model, { before, until: "line", maxTokens: 12 });
    const words = ["complete", directory, "--until", "line", "--max-tokens", "12"];
    expect(await json(...words, "--before", before)).toEqual(expected);
    const path = file("code.js", code);
    expect(await json(...words, "--file", path, "--line", "3", "--column", "4")).toEqual(expected);
    expect((await plinth(...words, "--before", before)).stdout).toBe(`${expected.completion}\n`);
  });

  test.each([
    [[], "plinth complete: expected --before, or --file with a place in it, got neither."],
    [["--before", "a", "--line", "1"], "got --before with --line or --column"],
    [["--before", "a", "--after", "b"], "tokens for filling in the middle"],
  ])("%j", async (words, message) => {
    expect(await failure("complete", directory, ...words)).toContain(message);
  });

  test("places that are not in the file", async () => {
    const path = file("short.js", code);
    expect(await failure("complete", directory, "--file", path, "--line", "9")).toContain(
      "a line in [1, 5], got 9",
    );
    const column = await failure("complete", directory, "--file", path, "--line", "2", "--column", "9");
    expect(column).toContain("a column in [1, 7], got 9");
  });
});

describe("generate, several texts", () => {
  const words = ["--max-tokens", "6", "--seed", "3"];

  test("prompts of a file, samples of each: what the library gives", async () => {
    const { decoder, tokenizer } = model;
    const sampling = { temperature: 0.8, seed: 3 };
    const prompts = ["One", "Two more"];
    const expected = await generateBatch({
      decoder,
      tokenizer,
      prompts,
      maxTokens: 6,
      numSamples: 2,
      sampling,
    });
    const path = file("prompts.txt", prompts.join("\n"));
    const found = await json("generate", directory, "--file", path, "--samples", "2", ...words);
    expect(texts(found)).toEqual(texts(expected));
    const single = await json("generate", directory, "--prompt", "One", ...words);
    expect(single.text).toBe(expected[0]![0]!.text);
    const shown = await plinth("generate", directory, "--prompt", "One", "--samples", "2", ...words);
    expect(shown.stdout).toBe(`${expected[0]!.map(({ text }) => text).join("\n\n")}\n`);
    expect(shown.stderr).toMatch(/^2 texts, 12 tokens, \d+ tokens\/s\n$/);
  });

  test("beams", async () => {
    const decoder = new Decoder(model.engine, model.loaded.model, model.loaded.weights, { rows: 3 });
    const { tokenizer } = model;
    const expected = await beamSearch({ decoder, tokenizer, prompt: "One", maxTokens: 6, numTexts: 2 });
    decoder.dispose();
    const beams = ["--prompt", "One", "--beams", "3", "--samples", "2", "--max-tokens", "6"];
    expect(await json("generate", directory, ...beams)).toEqual([expected]);
  });

  test("log-probabilities and alternatives", async () => {
    const { logprobs, alternatives } = await json(
      "generate",
      directory,
      "--prompt",
      "One",
      "--logprobs",
      "2",
      ...words,
    );
    expect(logprobs).toHaveLength(6);
    expect(alternatives.map((list: unknown[]) => list.length)).toEqual(Array(6).fill(2));
  });

  test.each([
    [
      ["--file", "x", "--prompt", "y"],
      "--file x: expected to be where the prompts come from, got also --prompt.",
    ],
    [["--prompt", "y", "--beams", "2", "--samples", "3"], "numTexts: expected an integer in [1, 2]"],
    [["--prompt", "y", "--samples", "0"], "--samples"],
  ])("%j", async (bad, message) => {
    expect(await failure("generate", directory, ...bad)).toContain(message);
  });

  const texts = (results: readonly (readonly { readonly text: string }[])[]) =>
    results.map((row) => row.map(({ text }) => text));
});

describe("chat and summarize", () => {
  let talking: string;
  beforeAll(() => {
    talking = join(root, "talking");
    cpSync(directory, talking, { recursive: true });
    const template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>";
    writeFileSync(join(talking, "chat_template.jinja"), template);
  });

  test("one message, a conversation in a file, a system message", async () => {
    const chatting = LanguageModel.load(talking);
    const ask = (messages: readonly ChatMessage[]) => chat(chatting, messages, { maxTokens: 8 });
    const one = await ask([{ role: "user", content: "Hi" }]);
    const words = ["chat", talking, "--max-tokens", "8"];
    expect((await json(...words, "--message", "Hi")).message).toEqual(one.message);
    expect((await plinth(...words, "--message", "Hi")).stdout).toBe(`${one.message.content}\n`);
    const briefly = await ask([
      { role: "system", content: "Brief" },
      { role: "user", content: "Hi" },
    ]);
    const path = file("talk.json", JSON.stringify([{ role: "user", content: "Hi" }]));
    expect((await json(...words, "--messages", path, "--system", "Brief")).message).toEqual(briefly.message);
    chatting.dispose();
  });

  test("an answer of a given form", async () => {
    const { message } = await json("chat", talking, "--message", "Hi", "--choice", "yes", "no");
    expect(["yes", "no"]).toContain(message.content);
  });

  test("a summary", async () => {
    const expected = await summarize(model, "A text. And more.", { maxTokens: 20, sentences: 2 });
    const words = ["summarize", directory, "--max-tokens", "20", "--sentences", "2"];
    expect(await json(...words, "--text", "A text. And more.")).toEqual(expected);
    expect(await json(...words, "--file", file("long.txt", "A text. And more."))).toEqual(expected);
  });

  test.each([
    [
      ["chat", "--message", "a", "--messages", "b"],
      "plinth chat: expected --message or --messages, got both.",
    ],
    [["chat", "--message", "a"], "a model with a chat template"],
    [["summarize", "--text", " "], "--text: expected a text with something in it"],
    [["summarize", "--text", "x".repeat(700)], "a text whose prompt has at most 413 tokens"],
  ])("%j", async ([verb, ...words], message) => {
    expect(await failure(verb!, directory, ...words)).toContain(message);
  });

  test("messages that are no list", async () => {
    const path = file("object.json", "{}");
    expect(await failure("chat", talking, "--messages", path)).toContain("a JSON array of messages");
  });
});
