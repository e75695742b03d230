import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { taskBaselines } from "../baselines/task-baselines.ts";
import { BUILT_IN_TASKS } from "./built-in-tasks.ts";
import { findTask } from "./task.ts";
import { TASK_METRICS } from "./task-metrics.ts";
import { loadTaskRows } from "./task-rows.ts";

const DATA = join(import.meta.dirname, "../../../../shared/data");
const there = existsSync(DATA);

describe.skipIf(!there)(`built-in tasks${there ? "" : ` (skipped: ${DATA} is not there)`}`, () => {
  // Rows judged and rows to learn from, as the data's pages count and split them; what the best baseline reaches, within a few points.
  test.each([
    { name: "banking77", sides: [1000, 9003], best: ["retrieval", 0.8] },
    { name: "xquad", sides: [176, 688], best: ["nearest sentence", 0.139], metric: "answerF1" },
    { name: "gsm8k", sides: [871, 7473], best: undefined },
    { name: "scan-jump", sides: [1467, 13203], best: ["retrieval", 0.1] },
    { name: "blimp", sides: [23000, 0], best: ["coin", 0.5] },
    { name: "mbxp", sides: [625, 0], best: undefined },
  ] as const)("$name", async ({ name, sides, best, ...more }) => {
    const task = findTask(name);
    const rows = await loadTaskRows(task, { data: DATA });
    expect([rows.evaluation.length, rows.training.length]).toEqual(sides);
    const judged = new Set(rows.evaluation.map(({ where }) => where));
    expect(rows.training.some(({ where }) => judged.has(where))).toBe(false);
    if (task.groupBy) {
      const groups = new Set(rows.evaluation.map(({ group }) => group));
      expect(rows.training.some(({ group }) => groups.has(group))).toBe(false);
    }
    if (!best) return;
    const some = rows.evaluation.filter((_, i) => i % Math.ceil(rows.evaluation.length / 400) === 0);
    const baselines = taskBaselines(task, { ...rows, evaluation: some });
    const metric = TASK_METRICS.get("metric" in more ? more.metric : task.metrics[0]!)!;
    const found = baselines.find((one) => one.name === best[0])!;
    const { value } = metric.measure(found.predictions, { numResamples: 1 });
    expect(Math.abs(value - best[1])).toBeLessThan(0.05);
  });

  test("every built-in task is whole", () => {
    for (const { name } of BUILT_IN_TASKS) expect(findTask(name).name).toBe(name);
  });

  test("a page without a description is passed over, and none of its rows is on both sides", async () => {
    const { evaluation, training } = await loadTaskRows(findTask("tldr-summary"), { data: DATA });
    expect(evaluation.length / (evaluation.length + training.length)).toBeCloseTo(0.1, 2);
    expect(evaluation[0]!.prompt).toMatch(/^Program: .+\n[\s\S]+\nSummary:$/);
  });
});
