import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CLASSIFICATION } from "./labelled-kinds.ts";
import { collectLabels } from "./labels.ts";
import { loadExamples } from "./load-examples.ts";
import { splitRows } from "./split-rows.ts";
import { INSTRUCTION, QUESTION_ANSWER } from "./text-kinds.ts";

const DATA = join(import.meta.dirname, "../../../../shared/data");
const there = existsSync(DATA);

describe.skipIf(!there)(`real data${there ? "" : ` (skipped: ${DATA} is not there)`}`, () => {
  test("banking77: 10,003 questions of 77 kinds", async () => {
    const rows = await loadExamples(CLASSIFICATION, {
      paths: [join(DATA, "banking77/train.csv")],
      mapping: { label: "category" },
    });
    expect(rows.length).toBe(10_003);
    const labels = collectLabels(rows.map(({ example, where }) => ({ labels: [example.label], where })));
    expect(labels.names.length).toBe(77);
    const { validation } = splitRows(rows, {
      validationShare: 0.1,
      seed: 1,
      stratum: CLASSIFICATION.stratum!,
    });
    expect(new Set(validation.map(({ example }) => example.label)).size).toBe(77);
  });

  test("tldr-pages: tasks and commands, split by page", async () => {
    const rows = await loadExamples(INSTRUCTION, {
      paths: [join(DATA, "tldr-pages/pages-en.jsonl.gz")],
      each: "examples",
      mapping: { prompt: "task", completion: "command" },
      groupBy: "name",
    });
    expect(rows.length).toBeGreaterThan(28_900);
    const { training, validation } = splitRows(rows, { validationShare: 0.1, seed: 1 });
    const names = new Set(training.map(({ group }) => group));
    expect(validation.some(({ group }) => names.has(group))).toBe(false);
    expect(validation.length / rows.length).toBeCloseTo(0.1, 2);
  });

  test("xquad: every answer is where it is said to be, in all its languages", async () => {
    for (const language of ["en", "zh", "hi"]) {
      const path = join(DATA, `xquad/xquad.${language}.json.gz`);
      const rows = await loadExamples(QUESTION_ANSWER, { paths: [path], groupBy: "context" });
      expect(rows.length).toBe(864);
    }
  });

  test("scan and gsm8k", async () => {
    const scan = await loadExamples(INSTRUCTION, { paths: [join(DATA, "scan/tasks_train_simple.txt.gz")] });
    expect(scan.length).toBe(16_728);
    const gsm8k = await loadExamples(INSTRUCTION, {
      paths: [join(DATA, "gsm8k/train.jsonl.gz")],
      mapping: { prompt: "question", completion: "answer" },
    });
    expect(gsm8k.length).toBe(7_473);
  });
});
