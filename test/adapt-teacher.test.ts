// `plinth adapt --teacher`: a student that learns from a larger decoder.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AdaptOptions, adapt } from "../src/recipes/adapt/adapt.ts";
import { plinth, plinthFailure } from "./command-line.ts";
import { LETTERS, saveTinyBase, tinyWords, writeRows } from "./tiny-base.ts";
import { engine } from "./tiny-run.ts";

const WORDS = tinyWords(120);
const TEACHER = { width: 96, numLayers: 1 };

let root = "";
const at = (name: string) => join(root, name);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-taught-"));
  saveTinyBase(at("base"));
  saveTinyBase(at("teacher"), TEACHER, LETTERS, 3);
  saveTinyBase(at("other-letters"), TEACHER, LETTERS.replace("z", "Z"));
  saveTinyBase(at("fewer-letters"), TEACHER, "abcd .\n");
  saveTinyBase(at("short"), { ...TEACHER, contextLength: 16 });
  writeRows(
    at("first.jsonl"),
    WORDS.map((word) => ({ prompt: word, completion: word[0] })),
  );
  writeRows(
    at("last.jsonl"),
    WORDS.map((word) => ({ prompt: word, completion: word[2] })),
  );
  writeRows(
    at("kinds.jsonl"),
    WORDS.map((text) => ({ text, label: text.includes("d") ? "with" : "without" })),
  );
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function options(name: string, changes: Partial<AdaptOptions>): AdaptOptions {
  const { settings, ...rest } = changes;
  const train = {
    ...{ steps: 60, batchSize: 8, contextLength: 32, learningRate: 1e-2 },
    ...{ validateEvery: 20, saveEvery: 60 },
  };
  return {
    ...{ engine, base: at("base"), task: "instruct", method: "full", directory: at(name) },
    data: { training: { paths: [at("first.jsonl")] } },
    ...rest,
    settings: { instruct: { numJudged: 0 }, train, ...settings },
  };
}

test("a student that only listens to its teacher learns its rule, not that of the examples", async () => {
  const taught = await adapt(options("taught", {}));
  const perplexityOf = (of: unknown) => (of as { value: number }).value;
  const data = {
    training: { paths: [at("last.jsonl")] },
    validation: { paths: [at("first.jsonl")] },
  };
  const distill = { teacher: taught.resultDirectory, weight: 1 };
  const student = await adapt(options("student", { data, settings: { distill } }));
  const [teacher, before] = student.baselines;
  expect(teacher!.label).toBe("the teacher");
  expect(perplexityOf(teacher)).toBeLessThan(5);
  expect(perplexityOf(before)).toBeGreaterThan(25);
  expect(perplexityOf(student.best)).toBeLessThan(1.2 * perplexityOf(teacher));
  expect(readFileSync(student.reportPath, "utf8")).toContain("the teacher");
});

describe("plinth adapt --teacher", () => {
  const words = (out: string, ...more: readonly string[]) => [
    ...["adapt", at("base"), "--task", "instruct", "--data", at("first.jsonl"), "--out", at(out)],
    ...["--threads", "1", ...more],
    ...["--set", "train.steps=4", "train.batchSize=4", "train.contextLength=32", "train.saveEvery=2"],
    ...["instruct.numJudged=0"],
  ];
  const run = async (...all: readonly string[]) => {
    const { code, stdout, stderr } = await plinth(...all, "--json");
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout);
  };

  test("its forward pass is among the costs, and the recipe has its name", async () => {
    const alone = await run(...words("alone"));
    const taught = await run(...words("cli", "--teacher", at("teacher")), "distill.temperature=3");
    const recipe = JSON.parse(readFileSync(at("cli/recipe.json"), "utf8"));
    expect(recipe.distill).toEqual({ teacher: at("teacher"), weight: 0.5, temperature: 3, topK: 0 });
    // Two operations for each product: in a layer's matrices, in scores and sums of attention, and in the head. Rows of six letters
    // are padded to eight.
    const [B, T, C] = [4, 8, TEACHER.width];
    const { vocab_size: V } = JSON.parse(readFileSync(at("teacher/config.json"), "utf8"));
    expect(taught.costs.flops - alone.costs.flops).toBe(4 * 2 * B * T * (12 * C * C + 2 * T * C + C * V));
    expect(taught.baselines.map(({ label }: { label: string }) => label)).toEqual([
      "the teacher",
      "before adapting",
    ]);
  });

  test("resumes with the same teacher, packed and by its likeliest tokens, and with no other", async () => {
    const taught = (steps: number, teacher = "teacher", ...more: readonly string[]) => [
      ...words("resumed", "--teacher", at(teacher), ...more).map((word) =>
        word === "train.steps=4" ? `train.steps=${steps}` : word,
      ),
      ...["batch.pack=true", "distill.topK=5", "distill.weight=1"],
    ];
    await run(...taught(4));
    const other = await plinthFailure(...taught(4, "short", "--resume"));
    expect(other).toContain(`distill.teacher: expected ${at("teacher")}, as when the run began`);
    const without = await plinthFailure(...words("resumed", "--resume"), "batch.pack=true");
    expect(without).toContain("as when the run began");
    expect(await run(...taught(4, "teacher", "--resume"))).toMatchObject({ reason: "finished", step: 4 });
  });

  test.each([
    ["of other letters", ["--teacher", "other-letters"], "teacher, vocabulary: expected token"],
    ["of fewer letters", ["--teacher", "fewer-letters"], "teacher, vocabulary: expected"],
    [
      "with a shorter context",
      ["--teacher", "short"],
      "train.contextLength: expected at most the teacher's 16",
    ],
    ["that is not there", ["--teacher", "none"], "none"],
  ])("a teacher %s is refused in one line, and nothing written", async (_, [flag, name], message) => {
    expect(await plinthFailure(...words("bad", flag!, at(name!)))).toContain(message);
    expect(existsSync(at("bad"))).toBe(false);
  });

  test("so is one that is an encoder, one for a task without tokens to learn, and settings without one", async () => {
    const encoder = join(import.meta.dirname, "fixtures/encoder-tasks/fill");
    expect(await plinthFailure(...words("bad", "--teacher", encoder))).toMatch(/bert/i);
    const classify = words("bad", "--teacher", at("teacher")).map((word) =>
      word === "instruct" ? "classify" : word.replace("first.jsonl", "kinds.jsonl"),
    );
    const plain = classify.filter((word) => !word.startsWith("instruct."));
    expect(await plinthFailure(...plain)).toBe(
      'plinth: teacher: expected a task that can learn from one: instruct, chat, text, got "classify".',
    );
    expect(await plinthFailure(...words("bad"), "distill.weight=0.5")).toContain(
      "distill: expected a teacher to learn from, got none. Name it by --teacher.",
    );
    const taught = words("bad", "--teacher", at("teacher"));
    expect(await plinthFailure(...taught, "distill.weight=0")).toContain("distill.weight: expected a number");
    expect(await plinthFailure(...taught, "distill.topK=999")).toContain("topK: expected an integer in [1, ");
    expect(await plinthFailure(...taught, "distill.teacher=x")).toContain(
      "--teacher: expected the teacher once",
    );
    expect(existsSync(at("bad"))).toBe(false);
  });
});
