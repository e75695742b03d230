// What `plinth adapt` leaves is used as its report says, and in the other ways a user would try.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { trainWordPiece } from "../src/codecs/train-word-piece.ts";
import { Random } from "../src/core/random.ts";
import { bertConfig } from "../src/models/bert/config.ts";
import { localFirstWeights } from "../src/models/bert/first-weights.ts";
import { Bert } from "../src/models/bert/model.ts";
import { loadModel } from "../src/models/load-model.ts";
import { saveEncoder } from "../src/models/save-model.ts";
import { ClassifierModel } from "../src/pipelines/classifier-model.ts";
import { classifySequence } from "../src/pipelines/classify-sequence.ts";
import { LanguageModel } from "../src/pipelines/language-model.ts";
import { type AdaptOptions, adapt } from "../src/recipes/adapt/adapt.ts";
import { plinth, plinthFailure, plinthJson } from "./command-line.ts";
import { saveTinyBase, tinyWords, writeRows } from "./tiny-base.ts";
import { engine } from "./tiny-run.ts";

const WORDS = tinyWords(60);

let root = "";
const at = (name: string) => join(root, name);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-use-adapted-"));
  saveTinyBase(at("base"));
  saveTinyEncoder(at("encoder"));
  const write = (name: string, toRow: (word: string) => object) => writeRows(at(name), WORDS.map(toRow));
  write("classify.jsonl", (text) => ({ text, label: text.includes("d") ? "with" : "without" }));
  write("letters.jsonl", (text) => ({ text, label: text[0] }));
  write("instruct.jsonl", (word) => ({ prompt: word, completion: word[0] }));
  write("reward.jsonl", (word) => ({ prompt: word, chosen: "a.", rejected: "b." }));
  write("tag.jsonl", (word) => ({ tokens: [word, "of"], tags: ["B-X", "O"] }));
  write("answer.jsonl", (word) => ({
    question: "which one",
    context: `it is ${word} now`,
    answers: [{ text: word, answer_start: 6 }],
  }));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function options(name: string, task: string, method: string, changes: Partial<AdaptOptions> = {}) {
  const train = {
    steps: 20,
    batchSize: 8,
    contextLength: 32,
    validateEvery: 20,
    saveEvery: 20,
    learningRate: 1e-2,
  };
  return {
    ...{ engine, base: at("base"), task, method, directory: at(name), command: "plinth" },
    data: { training: { paths: [at(`${task}.jsonl`)] } },
    settings: { train },
    ...changes,
  };
}

/** Wide enough to be quantised. */
function saveTinyEncoder(directory: string): void {
  const tokenizer = trainWordPiece([...WORDS, "which one", "it is of now"], { vocabularySize: 50 });
  const sizes = { width: 64, numLayers: 1, numHeads: 2, contextLength: 32 };
  const model = new Bert(bertConfig({ ...sizes, vocabularySize: tokenizer.vocabularySize }));
  saveEncoder(directory, { model, weights: localFirstWeights(model, new Random(1)), tokenizer, card: "" });
}

/** The words of a report's commands, with a text where they leave one open. */
function commandsOf(reportPath: string): string[][] {
  const report = readFileSync(reportPath, "utf8").replaceAll("&quot;", '"').replaceAll("&#39;", "'");
  const lines = [...report.matchAll(/^.*?(plinth (?:classify|tag|answer|generate) [^<\n]*)/gm)];
  const typed = (line: string) => line.replaceAll('"…"', "abc").replaceAll("$'…\\n'", "abc\n").split(" ");
  return lines.map(([, line]) => typed(line!).slice(1));
}

describe("a report's commands work as they are printed", () => {
  test.each([
    ["classify", "qlora", "encoder"],
    ["tag", "qlora", "encoder"],
    ["answer", "qlora", "encoder"],
    ["classify", "qlora", "base"],
    ["classify", "lora", "base"],
    ["reward", "qlora", "base"],
    ["instruct", "qlora", "base"],
    ["instruct", "prompt", "base"],
    ["instruct", "full", "base"],
  ])("%s by %s on the %s", async (task, method, base) => {
    const name = `${task}-${method}-${base}`;
    const { reportPath } = await adapt(options(name, task, method, { base: at(base) }));
    const commands = commandsOf(reportPath);
    expect(commands.length).toBe(1);
    const { code, stdout, stderr } = await plinth(...commands[0]!, "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    if (task === "classify") {
      const [{ labels }] = JSON.parse(stdout);
      expect(labels.map(({ label }: { label: string }) => label).sort()).toEqual(["with", "without"]);
    }
    const isQuantized = method === "qlora";
    expect(commands[0]!.join(" ").includes("base-nf4 --adapter")).toBe(isQuantized);
    expect(existsSync(join(at(name), "model"))).toBe(
      (!isQuantized && task !== "instruct") || method === "full",
    );
  });
});

describe("a decoder with an adapter that brings a head", () => {
  const task = {
    name: "kinds",
    files: ["classify.jsonl"],
    heldOut: 0.5,
    method: "choice",
    input: "{text}",
    prompt: "{text}\n",
    answer: "{label}",
    metrics: ["accuracy"],
  };
  beforeAll(async () => {
    await adapt(options("kinds", "classify", "lora"));
    await adapt(
      options("first", "classify", "lora", { data: { training: { paths: [at("letters.jsonl")] } } }),
    );
    writeFileSync(at("kinds.json"), JSON.stringify(task));
    writeFileSync(
      at("write.json"),
      JSON.stringify({ ...task, method: "generate", maxTokens: 4, metrics: ["exact"] }),
    );
  }, 60_000);

  test("plinth eval: the adapter on its base is as good as the whole model, and as plinth classify says", async () => {
    const words = ["--task", at("kinds.json"), "--data", root, "--no-baselines"];
    const out = ["--out", at("answers.jsonl")];
    const adapted = await evaluate(at("base"), "--adapter", at("kinds/adapter"), ...words, ...out);
    const whole = await evaluate(at("kinds/model"), ...words);
    expect(adapted.scores).toEqual(whole.scores);
    expect(adapted.scores.accuracy.value).toBeGreaterThan(0.5);
    const lines = readFileSync(at("answers.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const model = ClassifierModel.load(at("kinds/model"), { engine });
    const found = await classifySequence(
      model,
      lines.map(({ input }: { input: string }) => input),
    );
    model.dispose();
    expect(lines.map(({ answer }: { answer: string }) => answer)).toEqual(found.map(([best]) => best!.label));
  });

  async function evaluate(...words: readonly string[]) {
    const { code, stdout, stderr } = await plinth("eval", ...words, "--json");
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout);
  }

  test("tasks that it cannot do, or whose labels it does not know, are refused in one line", async () => {
    const words = ["eval", at("base"), "--data", root, "--adapter"];
    expect(await plinthFailure(...words, at("kinds/adapter"), "--task", at("write.json"))).toContain(
      "expected a model that predicts the next token, got a decoder with a head that sorts texts",
    );
    expect(await plinthFailure(...words, at("first/adapter"), "--task", at("kinds.json"))).toContain(
      "a model with the labels of task kinds, such as with",
    );
  });

  test("several on one base, one at a time, with labels of their own", async () => {
    const model = new ClassifierModel(loadModel(at("base")), { engine });
    await expect(classifySequence(model, ["abc"])).rejects.toThrow(
      "a model with a head that sorts texts, got one without",
    );
    for (const name of ["kinds", "first"]) model.addAdapter(name, join(at(name), "adapter"));
    for (const name of ["kinds", "first", "kinds"]) {
      model.useAdapter(name);
      const whole = ClassifierModel.load(join(at(name), "model"), { engine });
      const [[mine], [theirs]] = [
        await classifySequence(model, ["dab"]),
        await classifySequence(whole, ["dab"]),
      ];
      whole.dispose();
      expect(mine!.map(({ label }) => label)).toEqual(theirs!.map(({ label }) => label));
      mine!.forEach(({ score }, i) => {
        expect(score).toBeCloseTo(theirs![i]!.score, 5);
      });
    }
    expect(() => model.useAdapter("third")).toThrow("expected one that was added");
    model.dispose();
  });

  test("a language model does not take it", () => {
    const model = LanguageModel.load(at("base"), { engine });
    expect(() => model.addAdapter("kinds", at("kinds/adapter"))).toThrow("Use a ClassifierModel");
    model.dispose();
  });
});

test("an adapter of a reward model on its base gives the reward that the whole model gives", async () => {
  await adapt(options("judge", "reward", "lora"));
  const words = ["--text", "abc\na."];
  const [adapted, whole] = [
    await plinthJson("classify", at("base"), "--adapter", at("judge/adapter"), ...words),
    await plinthJson("classify", at("judge/model"), ...words),
  ];
  expect(adapted[0].labels[0].label).toBe("reward");
  expect(adapted[0].labels[0].score).toBeCloseTo(whole[0].labels[0].score, 5);
});
