// `plinth adapt` for tasks with labels: what is rare counts for more, texts as long as the base reads, one class only.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { trainWordPiece } from "../src/codecs/train-word-piece.ts";
import { Random } from "../src/core/random.ts";
import { bertConfig } from "../src/models/bert/config.ts";
import { localFirstWeights } from "../src/models/bert/first-weights.ts";
import { Bert } from "../src/models/bert/model.ts";
import { saveEncoder } from "../src/models/save-model.ts";
import { adapt } from "../src/recipes/adapt/adapt.ts";
import { parseGrid, runSweep } from "../src/recipes/adapt/sweep.ts";
import { plinth, plinthFailure } from "./command-line.ts";
import { saveTinyBase, tinyWords, writeRows } from "./tiny-base.ts";
import { engine } from "./tiny-run.ts";

const WORDS = tinyWords(200);

let root = "";
const at = (name: string) => join(root, name);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-labels-"));
  saveTinyBase(at("base"));
  saveTinyEncoder(at("encoder"), 128);
  // Nothing in a text says whether the rare label applies to it.
  const random = new Random(9);
  const rare = WORDS.map(() => random.uniform() < 0.1);
  writeRows(
    at("label.jsonl"),
    WORDS.map((text, i) => ({ text, labels: [...(rare[i] ? ["rare"] : []), "always"] })),
  );
  writeRows(
    at("tag.jsonl"),
    WORDS.map((word, i) => ({ tokens: [word, word], tags: [rare[i] ? "RARE" : "often", "often"] })),
  );
  writeRows(
    at("answer.jsonl"),
    WORDS.slice(0, 24).map((word, i) => {
      const before = `${Array(10 * (1 + (i % 12)))
        .fill("so")
        .join(" ")} it is `;
      const context = `${before}${word} now`;
      return { question: "which one", context, answers: [{ text: word, answer_start: before.length }] };
    }),
  );
  writeRows(
    at("instruct.jsonl"),
    WORDS.slice(0, 20).map((word) => ({ prompt: word, completion: word[0] })),
  );
  writeRows(
    at("one-class.jsonl"),
    [0, 1, 2].map(() => ({ text: "abc", label: "same", labels: ["same"], tokens: ["abc"], tags: ["same"] })),
  );
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function saveTinyEncoder(directory: string, contextLength: number): void {
  const tokenizer = trainWordPiece([...WORDS, "which one", "so it is now"], { vocabularySize: 50 });
  const sizes = { width: 32, numLayers: 1, numHeads: 2, contextLength };
  const model = new Bert(bertConfig({ ...sizes, vocabularySize: tokenizer.vocabularySize }));
  saveEncoder(directory, { model, weights: localFirstWeights(model, new Random(1)), tokenizer, card: "" });
}

describe("class weights", () => {
  /** What a run says of its held-out examples. */
  async function predictions(task: "label" | "tag", classWeights: boolean) {
    const directory = at(`${task}-${classWeights}`);
    const train = { steps: 40, contextLength: 8, learningRate: 1e-2, validateEvery: 40, saveEvery: 40 };
    await adapt({
      ...{ engine, base: at("encoder"), task, method: "full", directory },
      data: { training: { paths: [at(`${task}.jsonl`)] } },
      settings: { ...(classWeights && { [task]: { classWeights } }), data: { validationShare: 0.4 }, train },
    });
    const lines = readFileSync(join(directory, "predictions.jsonl"), "utf8").trim().split("\n");
    return lines.map(
      (line) => JSON.parse(line) as { readonly predicted: string; readonly confidence: number },
    );
  }
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  test("tag: what is rare is said where it counts for more, else never", async () => {
    const share = async (classWeights: boolean) =>
      mean(
        (await predictions("tag", classWeights)).map(({ predicted }) => Number(predicted.includes("RARE"))),
      );
    expect(await share(false)).toBe(0);
    expect(await share(true)).toBeGreaterThan(0.1);
  });

  test("label: what is rare is about as probable as not where it counts for more", async () => {
    const sureness = async (classWeights: boolean) =>
      mean((await predictions("label", classWeights)).map(({ confidence }) => confidence));
    expect(await sureness(false)).toBeGreaterThan(0.85); // one in ten
    expect(await sureness(true)).toBeLessThan(0.75);
  });
});

describe("a context that is not set is no longer than the base reads", () => {
  const run = async (base: string, task: string, out: string, ...more: readonly string[]) => {
    const words = ["adapt", at(base), "--task", task, "--data", at(`${task}.jsonl`), "--out", at(out)];
    const settings = ["--set", "train.steps=2", "train.validateEvery=2"];
    const { code, stderr } = await plinth(...words, "--threads", "1", ...more, ...settings);
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(readFileSync(at(`${out}/recipe.json`), "utf8")).train.contextLength;
  };

  test("answers by an encoder of 128 places, from contexts of more than one window", async () => {
    expect(await run("encoder", "answer", "answer")).toBe(128);
    const asked = ["answer", at("answer/model"), "--question", "which one", "--text", "so it is abc now"];
    expect((await plinth(...asked)).code).toBe(0);
  });

  test("and by one of 40, which the task's windows are far too long for", async () => {
    const fill = join(import.meta.dirname, "fixtures/encoder-tasks/fill");
    const words = ["adapt", fill, "--task", "answer", "--data", at("answer.jsonl"), "--out", at("small")];
    expect((await plinth(...words, "--set", "train.steps=2", "--threads", "1")).code).toBe(0);
    expect(JSON.parse(readFileSync(at("small/recipe.json"), "utf8")).train.contextLength).toBe(40);
  });

  test("other tasks, and methods that take places of their own", async () => {
    expect(await run("base", "instruct", "instruct")).toBe(64);
    expect(await run("base", "instruct", "prompt", "--method", "prompt")).toBe(44);
  });

  test("a sweep that goes on finds its runs again", async () => {
    const sweep = {
      ...{ engine, base: at("base"), task: "instruct", method: "lora", directory: at("sweep") },
      data: { training: { paths: [at("instruct.jsonl")] } },
      settings: { train: { steps: 2, validateEvery: 2 } },
    };
    const [first] = await runSweep(sweep, parseGrid(["lora.rank=1"]));
    const [again] = await runSweep({ ...sweep, resume: true }, parseGrid(["lora.rank=1"]));
    expect(again!.result.best).toEqual(first!.result.best);
  });

  test("one that is set is refused where it is longer", async () => {
    const words = [
      "adapt",
      at("encoder"),
      "--task",
      "answer",
      "--data",
      at("answer.jsonl"),
      "--out",
      at("refused"),
    ];
    expect(await plinthFailure(...words, "--set", "train.contextLength=129")).toContain(
      "at most the base's 128, got 129",
    );
    expect(existsSync(at("refused"))).toBe(false);
  });
});

test.each(["classify", "label", "tag"])(
  "%s: a single class is told before that it cannot be split",
  async (task) => {
    const words = [
      "adapt",
      at("encoder"),
      "--task",
      task,
      "--data",
      at("one-class.jsonl"),
      "--out",
      at("refused"),
    ];
    expect(await plinthFailure(...words)).toContain(
      'expected at least two classes, got only "same", in 3 rows',
    );
    expect(existsSync(at("refused"))).toBe(false);
  },
);
