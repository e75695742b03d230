import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { TrainEvent } from "../train/events.ts";
import { readMetrics } from "../train/metrics-log.ts";
import { Journal } from "./journal.ts";

const directory = mkdtempSync(join(tmpdir(), "plinth-journal-"));
afterAll(() => rmSync(directory, { recursive: true }));

const start: TrainEvent = {
  ...{ type: "start", title: "t", totalSteps: 4, step: 0 },
  ...{ numParameters: 10, tokensPerStep: 8, flopsPerStep: 100 },
};

test("what is noticed before a run begins is kept behind its start, and told at once", () => {
  const told: string[] = [];
  const description = { title: "t", machine: "", config: {}, corpus: [], baselines: [] };
  const options = { directory, description, nextCommands: ["generate it"], command: "npm run plinth --" };
  for (const resume of [false, true]) {
    const journal = new Journal({ ...options, resume, onEvent: ({ type }) => told.push(type) });
    journal.record({ type: "notice", step: 0, message: "two rows are the same" });
    journal.record({ ...start, step: 0 });
    journal.writeReport();
    journal.close();
  }
  expect(told).toEqual(["notice", "start", "notice", "start"]);
  const kept = readMetrics(join(directory, "metrics.jsonl")).map(({ type }) => type);
  expect(kept.slice(-2)).toEqual(["start", "notice"]);
  expect(readFileSync(join(directory, "report.html"), "utf8")).toContain("npm run plinth -- generate it");
});
