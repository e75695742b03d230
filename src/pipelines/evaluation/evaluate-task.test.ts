import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plinthFailure as failure, plinthJson as json, plinth } from "../../../test/command-line.ts";
import { randomModel } from "../../../test/random-model.ts";
import type { Prediction } from "../../eval/tasks/prediction.ts";
import { defineTask, type TaskInput } from "../../eval/tasks/task.ts";
import { loadTaskRows } from "../../eval/tasks/task-rows.ts";
import { generateBatch } from "../../generate/generate.ts";
import { saveModel } from "../../models/save-model.ts";
import { answerQuestion } from "../answer-question.ts";
import { classifyByLikelihood } from "../classify-by-likelihood.ts";
import { classifySequence } from "../classify-sequence.ts";
import { EncoderModel } from "../encoder-model.ts";
import { LanguageModel } from "../language-model.ts";
import { cutProgram } from "./decoder-answers.ts";
import { evaluateTask } from "./evaluate-task.ts";

let root: string;
let directory: string;
let model: LanguageModel;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-evaluation-"));
  directory = join(root, "model");
  saveModel(directory, { ...randomModel(3), card: "# A test\n" });
  model = LanguageModel.load(directory);
});
afterAll(() => {
  model.dispose();
  rmSync(root, { recursive: true });
});

const TEXTS = [
  "red fox",
  "blue whale",
  "green leaf",
  "old tree",
  "grey wolf",
  "tall grass",
  "wet fish",
  "dry moss",
];
const LABELS = ["animal", "animal", "plant", "plant", "animal", "plant", "animal", "plant"];

const CHOICE: TaskInput = {
  name: "kinds",
  files: ["kinds.jsonl"],
  heldOut: 0.5,
  stratifyBy: "label",
  method: "choice",
  input: "{text}",
  prompt: "Text: {text}\nKind:",
  answer: " {label}",
  metrics: ["accuracy", "macroF1"],
};

function writeRows(name: string, items: readonly object[]): void {
  writeFileSync(join(root, name), items.map((item) => `${JSON.stringify(item)}\n`).join(""));
}

beforeAll(() =>
  writeRows(
    "kinds.jsonl",
    TEXTS.map((text, i) => ({ text, label: LABELS[i] })),
  ),
);

test("examples that are at hand are judged and learnt from instead of the task's files", async () => {
  const task = defineTask(CHOICE);
  const { training, evaluation } = await loadTaskRows(task, { data: root });
  const plants = training.filter(({ expected }) => expected[0] === "plant");
  const examples = { training: plants, evaluation: evaluation.slice(0, 3) };
  const result = await evaluateTask(task, model, { examples, data: "nowhere" });
  expect(result).toMatchObject({ numExamples: 3, numTraining: 2 });
  const numPlants = examples.evaluation.filter(({ expected }) => expected[0] === "plant").length;
  const [majority] = result.baselines;
  expect(majority).toMatchObject({ name: "majority", scores: { accuracy: { value: numPlants / 3 } } });
});

describe("a decoder", () => {
  test("chooses by likelihood, after examples from the training side", async () => {
    const result = await evaluateTask(defineTask(CHOICE), model, { data: root, shots: 2 });
    expect(result).toMatchObject({ numExamples: 4, numTraining: 4, numTooLong: 0, shots: 2 });
    const judged = result.predictions.map(({ input }) => input);
    const trained = TEXTS.filter((text) => !judged.includes(text));
    // The same by hand: examples as they were drawn are two of the training side.
    const pairs = trained.flatMap((a) => trained.filter((b) => b !== a).map((b) => [a, b]));
    const show = (text: string) => `Text: ${text}\nKind: ${LABELS[TEXTS.indexOf(text)]}\n\n`;
    const wanted = result.predictions.map(({ probabilities }) => probabilities!.animal!);
    let isFound = false;
    for (const [a, b] of pairs) {
      const template = `${show(a!)}${show(b!)}Text: {text}\nKind: {label}`;
      const found = await classifyByLikelihood(model, judged, { labels: ["animal", "plant"], template });
      const got = found.map((row) => row.find(({ label }) => label === "animal")!.probability);
      isFound ||= got.every((value, i) => Math.abs(value - wanted[i]!) < 1e-9);
    }
    expect(isFound).toBe(true);
    const right = result.predictions.filter(({ answer, expected }) => answer === expected[0]).length;
    expect(result.scores.accuracy!.value).toBe(right / 4);
    expect(result.baselines.map(({ name }) => name)).toEqual(["majority", "retrieval"]);
    const [majority] = result.baselines;
    expect(majority!.lead.accuracy!.value).toBeCloseTo(right / 4 - majority!.scores.accuracy!.value, 12);
  });

  test("generates, up to the stop string, and prompts that do not fit count as wrong", async () => {
    writeRows(
      "texts.jsonl",
      [{ q: "abc" }, { q: "x".repeat(600) }, { q: "de" }].map((row) => ({ ...row, a: "y" })),
    );
    const task = defineTask({
      name: "texts",
      files: ["texts.jsonl"],
      method: "generate",
      input: "{q}",
      answer: " {a}",
      maxTokens: 12,
      stop: "e",
      metrics: ["exact", "chrf"],
    });
    const { predictions, numTooLong } = await evaluateTask(task, model, { data: root });
    const results = await generateBatch({
      decoder: model.decoder,
      tokenizer: model.tokenizer,
      prompts: ["abc", "de"],
      maxTokens: 12,
      stop: ["e"],
      sampling: { temperature: 0 },
    });
    expect(predictions.map(({ answer }) => answer)).toEqual([
      results[0]![0]!.text.trim(),
      "",
      results[1]![0]!.text.trim(),
    ]);
    expect(numTooLong).toBe(1);
    // With room for ten tokens only, the answer is the beginning of a longer one.
    writeRows("texts.jsonl", [{ q: "x".repeat(503), a: "y" }]);
    const near = await evaluateTask({ ...task, stop: "\u0000" }, model, { data: root });
    const long = await generateBatch({
      decoder: model.decoder,
      tokenizer: model.tokenizer,
      prompts: ["x".repeat(503)],
      maxTokens: 10,
      sampling: { temperature: 0 },
    });
    expect(near.numTooLong).toBe(0);
    expect(near.predictions[0]!.answer).toBe(long[0]![0]!.text.trim());
    expect(predictions[1]).toMatchObject({ tooLong: true });
  });

  test("prefers one of two sentences by their log-probabilities, by phenomenon", async () => {
    writeRows("pairs.jsonl", [
      { good: "the cat sits", bad: "the cat sit", kind: "verbs" },
      { good: "a dog", bad: "dog a", kind: "order" },
    ]);
    const task = defineTask({
      name: "pairs",
      files: ["pairs.jsonl"],
      method: "pair",
      input: "{good}",
      contrast: "{bad}",
      breakdown: "kind",
      metrics: ["accuracy"],
    });
    const { predictions, breakdown, scores } = await evaluateTask(task, model, { data: root });
    const natsOf = async (text: string) => {
      const { specials } = model.tokenizer;
      const start = specials.bos ?? specials.eos;
      const ids = [...(start === undefined ? [] : [start]), ...model.tokenizer.encode(text)];
      return (await model.scorer.score(ids)).nats;
    };
    const rights = [
      Number((await natsOf("the cat sits")) < (await natsOf("the cat sit"))),
      Number((await natsOf("a dog")) < (await natsOf("dog a"))),
    ];
    expect(predictions.map(({ answer, expected }) => Number(answer === expected[0]))).toEqual(rights);
    expect(Object.keys(breakdown!)).toEqual(["order", "verbs"]);
    expect(breakdown!.verbs!.value).toBe(rights[0]);
    expect(scores.accuracy!.value).toBe((rights[0]! + rights[1]!) / 2);
  });

  test("is scored in bits per byte, as by hand", async () => {
    writeRows("plain.jsonl", [{ text: "some words" }, { text: "others" }]);
    const task = defineTask({
      name: "plain",
      files: ["plain.jsonl"],
      method: "perplexity",
      input: "{text}",
      metrics: ["bitsPerByte", "perplexity"],
    });
    const { scores, predictions } = await evaluateTask(task, model, { data: root });
    const nats = predictions.reduce((sum, { likelihood }) => sum + likelihood!.nats, 0);
    const bytes = predictions.reduce((sum, { likelihood }) => sum + likelihood!.bytes, 0);
    expect(scores.bitsPerByte!.value).toBeCloseTo(nats / Math.LN2 / bytes, 12);
    expect(bytes).toBeGreaterThanOrEqual(14);
  });

  test("writes programs, which run in the sandbox", async () => {
    const prompt = "const one = function () {\n";
    writeRows("code.jsonl", [{ prompt, test: "if (typeof one !== 'function') throw 1;" }]);
    const task = defineTask({
      name: "code",
      files: ["code.jsonl"],
      method: "program",
      input: "{prompt}",
      test: "{test}",
      numSamples: 2,
      temperature: 1,
      maxTokens: 16,
      metrics: ["pass@1"],
    });
    const { predictions, programs, scores } = await evaluateTask(task, model, { data: root });
    expect(predictions[0]!.programs).toHaveLength(2);
    expect(Object.values(programs!).reduce((sum, count) => sum + count, 0)).toBe(2);
    // A model of random weights closes no function.
    expect(programs).toEqual({ invalid: 2 });
    expect(scores["pass@1"]!.value).toBe(0);
  });

  test.each([
    ["f = function () {\n", "  return 1;\n}\nconsole.log(2)", "  return 1;\n}"],
    [
      "f = function () {\n",
      "  if (x) {\n    y();\n  }\n\n  return 1;\n}",
      "  if (x) {\n    y();\n  }\n\n  return 1;\n}",
    ],
    ["f = function () {", "\n\treturn 1;\n};\nmore();", "\n\treturn 1;\n};"],
    ["f = function () {\n", "  never closed", "  never closed"],
  ])("a program after %j is as much of %j as belongs to it", (prompt, text, cut) => {
    expect(cutProgram(prompt, text)).toBe(cut);
  });

  test("more examples than there are to show are refused", async () => {
    const asked = evaluateTask(defineTask(CHOICE), model, { data: root, shots: 9 });
    await expect(asked).rejects.toThrow("shots: expected at most 4, the task's training rows, got 9");
  });
});

const encoders = new URL("../../../test/fixtures/encoder-tasks/", import.meta.url).pathname;

describe("an encoder", () => {
  test("answers by its head; other labels, and tasks for decoders, are refused", async () => {
    const encoder = EncoderModel.load(join(encoders, "classify"));
    try {
      const { labels } = encoder.head("sequenceClassifier", "classes");
      writeRows(
        "moods.jsonl",
        labels.map((label, i) => ({ text: `a film ${i}`, label })),
      );
      const task = defineTask({ ...CHOICE, name: "moods", files: ["moods.jsonl"], heldOut: undefined });
      const { predictions } = await evaluateTask(task, encoder, { data: root });
      const found = await classifySequence(
        encoder,
        labels.map((_, i) => `a film ${i}`),
      );
      expect(predictions.map(({ answer }) => answer)).toEqual(found.map(([best]) => best!.label));
      await expect(evaluateTask(defineTask(CHOICE), encoder, { data: root })).rejects.toThrow(
        "expected a model with the labels of task kinds, such as animal, got labels such as",
      );
      const text = defineTask({ ...CHOICE, method: "generate", metrics: ["exact"] });
      await expect(evaluateTask(text, encoder, { data: root })).rejects.toThrow(
        "task kinds: expected a model that predicts the next token, got an encoder",
      );
    } finally {
      encoder.dispose();
    }
  });
});

test("an encoder answers with stretches of the context", async () => {
  const encoder = EncoderModel.load(join(encoders, "answer"));
  try {
    const asked = { question: "Who wrote it?", context: "Ada wrote it in 1843." };
    writeRows("questions.jsonl", [{ ...asked, answers: [{ text: "Ada", answer_start: 0 }] }]);
    const task = defineTask({
      name: "questions",
      files: ["questions.jsonl"],
      method: "extract",
      input: "{question}",
      answer: "{answers.*.text}",
      metrics: ["answerExact", "answerF1"],
    });
    const { predictions, baselines } = await evaluateTask(task, encoder, { data: root });
    const found = await answerQuestion(encoder, [asked]);
    expect(predictions[0]!.answer).toBe(found[0]![0]!.text.trim());
    expect(baselines.map(({ name }) => name)).toEqual(["nearest sentence"]);
  } finally {
    encoder.dispose();
  }
});

describe("plinth eval", () => {
  test("prints scores beside baselines, and writes each example", async () => {
    const path = join(root, "kinds.json");
    writeFileSync(path, JSON.stringify(CHOICE));
    const words = [
      "eval",
      directory,
      "--task",
      path,
      "--data",
      root,
      "--shots",
      "1",
      "--out",
      join(root, "out"),
    ];
    const { code, stdout, stderr } = await plinth(...words);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^kinds: 4 examples, 1 shown, 4 training rows; [^\n]+\n\n +accuracy +macroF1\nmodel +\d/,
    );
    expect(stdout).toMatch(/\nmajority +\d.*\nretrieval +\d/);
    expect(stderr).toContain("4 examples with their answers:");
    const lines = readFileSync(join(root, "out/kinds.jsonl"), "utf8").trimEnd().split("\n");
    const written = lines.map((line) => JSON.parse(line) as Prediction);
    expect(written).toHaveLength(4);
    expect(written[0]).toMatchObject({
      where: expect.stringContaining("kinds.jsonl:"),
      expected: [expect.any(String)],
    });
    const result = await json(...words.slice(0, -2), "--no-baselines", "--limit", "2");
    expect(result).toMatchObject({
      task: "kinds",
      numExamples: 2,
      baselines: [],
      scores: { accuracy: { value: expect.any(Number) } },
    });
    expect(result.predictions).toBeUndefined();
  });

  test("bad input is one line, and nothing is written", async () => {
    expect(await failure("eval", directory, "--task", "nothing")).toContain(
      "task: expected one of banking77",
    );
    expect(await failure("eval", directory)).toContain("--task");
    const path = join(root, "kinds.json");
    const out = join(root, "unwritten.jsonl");
    const words = ["eval", directory, "--task", path, "--out", out];
    expect(await failure(...words, "--data", join(root, "nowhere"))).toContain("nowhere");
    expect(await failure(...words, "--data", root, "--shots", "99")).toContain("shots: expected at most 4");
    expect(existsSync(out)).toBe(false);
    // Before any question is asked.
    const to = ["eval", directory, "--task", path, "--data", root, "--out"];
    mkdirSync(join(root, "taken.jsonl"));
    expect(await failure(...to, join(root, "taken.jsonl"))).toContain(
      "--out: expected a file, got the directory",
    );
    expect(await failure(...to, join(path, "below.jsonl"))).toContain("expected a place for a file, got");
  });
});
