import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bm25 } from "../baselines/bm25.ts";
import { taskBaselines } from "../baselines/task-baselines.ts";
import type { Prediction } from "./prediction.ts";
import { defineTask, findTask, type TaskInput } from "./task.ts";
import { TASK_METRICS } from "./task-metrics.ts";
import { loadTaskRows } from "./task-rows.ts";
import { fieldValues, fillTemplate, hasField, templateFields } from "./template.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-task-"));
});
afterAll(() => rmSync(root, { recursive: true }));

const BASE: TaskInput = {
  name: "mine",
  files: ["rows.jsonl"],
  method: "choice",
  input: "{text}",
  answer: " {label}",
  metrics: ["accuracy"],
};

function rows(...items: readonly object[]): void {
  writeFileSync(join(root, "rows.jsonl"), items.map((item) => `${JSON.stringify(item)}\n`).join(""));
}

describe("templates", () => {
  const row = { values: { a: "x$&", n: 3, list: [{ t: "p" }, { t: "q" }], deep: { b: true } }, where: "f:1" };

  test("fields, numbers, lists and what lies in them", () => {
    expect(fillTemplate("{a}|{n}|{list.1.t}|{list.*.t}|{deep.b}|{ no }|{{a}}", row)).toBe(
      "x$&|3|q|p\nq|true|{ no }|{x$&}",
    );
    expect(templateFields("{a} {b.*.c} {a} {not this}")).toEqual(["a", "b.*.c"]);
    expect(fieldValues("list.*.t", row)).toEqual(["p", "q"]);
    expect(hasField("list.2.t", row)).toBe(false);
    expect(hasField("__proto__.x", row)).toBe(false);
  });

  test("a field that is not there is refused by row and name", () => {
    expect(() => fillTemplate("{b}", row)).toThrow(
      "f:1 b: expected a text, number or truth value, got no such field. It has a, n, list, deep.",
    );
    expect(() => fillTemplate("{deep}", row)).toThrow("f:1 deep: expected a text");
    expect(() => fillTemplate("{constructor}", row)).toThrow("no such field");
  });
});

describe("declarations", () => {
  test.each([
    [{ metric: ["accuracy"] }, 'task mine.metric: expected a known configuration key, got "metric"'],
    [{ metrics: ["acuracy"] }, 'got "acuracy". Did you mean "accuracy"?'],
    [{ metrics: ["bleu"] }, "expected a metric for choice: accuracy, macroF1"],
    [{ metrics: [] }, "task mine.metrics: expected a list of texts, not empty"],
    [{ method: "guess" }, "task mine.method: expected one of choice, generate"],
    [{ method: "pair" }, "task mine.contrast: expected a template, as its method is pair, got none"],
    [{ method: "program" }, "task mine.test: expected a template"],
    [{ answer: "" }, "task mine.answer: expected a template"],
    [{ heldOut: 1 }, "task mine.heldOut: expected a number in [0.001, 0.999], got 1"],
    [{ pick: "(" }, "task mine.pick: expected a regular expression"],
  ])("refuses %j", (change, message) => {
    expect(() => defineTask({ ...BASE, ...change } as TaskInput)).toThrow(message);
  });

  test("from a file, or by name", () => {
    const path = join(root, "task.json");
    const { name: _, ...unnamed } = BASE;
    writeFileSync(path, JSON.stringify(unnamed));
    expect(findTask(path)).toMatchObject({ name: path, method: "choice", prompt: "{text}", maxTokens: 64 });
    expect(findTask("scan").metrics).toEqual(["exact"]);
    expect(() => findTask("skan")).toThrow("task: expected one of banking77, tldr");
    expect(() => findTask("skan")).toThrow('Did you mean "scan"?');
    writeFileSync(path, "[1]");
    expect(() => findTask(path)).toThrow("expected an object, a task, got [1]");
    writeFileSync(path, "{");
    expect(() => findTask(path)).toThrow("expected a task in JSON");
    expect(() => findTask(join(root, "none.json"))).toThrow("ENOENT");
  });
});

describe("rows", () => {
  test("several right answers, groups, what is compared of an answer", async () => {
    rows(
      { text: "a", right: [{ t: "one" }, { t: "two" }], page: "p" },
      { text: "b", right: [{ t: "three" }], page: "q" },
    );
    const task = defineTask({
      ...BASE,
      method: "generate",
      answer: " {right.*.t}",
      groupBy: "page",
      pick: "t(.)",
      metrics: ["exact", "format"],
    });
    const { evaluation, training } = await loadTaskRows(task, { data: root });
    expect(training).toEqual([]);
    expect(evaluation.map(({ expected, answer, group }) => ({ expected, answer, group }))).toEqual([
      { expected: ["one", "two"], answer: " one", group: "p" },
      { expected: ["three"], answer: " three", group: "q" },
    ]);
    expect(evaluation[0]!.pick!("two three")).toBe("h");
    expect(evaluation[0]!.pick!("none")).toBeUndefined();
  });

  test("a limit draws the same rows for the same seed, in their order", async () => {
    rows(...Array.from({ length: 50 }, (_, i) => ({ text: `${i}`, label: i % 2 ? "odd" : "even" })));
    const inputs = async (seed: number) => {
      const { evaluation } = await loadTaskRows(defineTask(BASE), { data: root, limit: 5, seed });
      return evaluation.map(({ input }) => Number(input));
    };
    const drawn = await inputs(1);
    expect(drawn).toHaveLength(5);
    expect(drawn).toEqual(drawn.toSorted((a, b) => a - b));
    expect(await inputs(1)).toEqual(drawn);
    expect(await inputs(2)).not.toEqual(drawn);
  });

  test("missing files and fields are refused", async () => {
    rows({ text: "a" });
    await expect(loadTaskRows(defineTask(BASE), { data: root })).rejects.toThrow("label: expected a text");
    const gone = defineTask({ ...BASE, files: ["gone.jsonl"] });
    await expect(loadTaskRows(gone, { data: root })).rejects.toThrow("gone.jsonl");
    const none = defineTask({ ...BASE, requires: ["label"] });
    await expect(loadTaskRows(none, { data: root })).rejects.toThrow("at least one row to judge, got none");
  });
});

describe("baselines", () => {
  test("BM25 by its formula", () => {
    const texts = ["the red fox", "the blue whale and the sea", "the the the"];
    expect(new Bm25(texts).nearest("a whale")).toBe(1);
    expect(new Bm25(texts).nearest("the")).toBe(2);
    expect(new Bm25(texts).nearest("nothing")).toBeUndefined();
    // "x" is in both texts once; the shorter one wins. Among equals the first does.
    expect(new Bm25(["x y z", "x y"]).nearest("x")).toBe(1);
    expect(new Bm25(["x y", "x z"]).nearest("X")).toBe(0);
  });

  test("the most common answer, and that of the nearest row; a coin for pairs; counts of bytes for text", async () => {
    const item = (text: string, label: string) => ({ text, label });
    rows(
      item("red fox", "animal"),
      item("blue whale", "animal"),
      item("green leaf", "plant"),
      item("a leaf", "plant"),
    );
    const judged = await loadTaskRows(defineTask(BASE), { data: root });
    const training = judged.evaluation.slice(0, 3);
    const evaluation = judged.evaluation.slice(3);
    const [majority, retrieval] = taskBaselines(defineTask(BASE), { training, evaluation });
    expect(majority).toMatchObject({ name: "majority", predictions: [{ answer: "animal" }] });
    expect(retrieval).toMatchObject({
      name: "retrieval",
      predictions: [{ answer: "plant", expected: ["plant"] }],
    });
    const plain = defineTask({ ...BASE, method: "perplexity", metrics: ["bitsPerByte"] });
    const [counted] = taskBaselines(plain, { training, evaluation });
    expect(counted!.predictions[0]!.likelihood!.bytes).toBe(6);
    const pair = defineTask({ ...BASE, method: "pair", contrast: "{label}" });
    const [coin] = taskBaselines(pair, { training: [], evaluation: judged.evaluation });
    const english = "the cat sat. the dog sat. red fox, blue whale, a leaf, green leaf ".repeat(3);
    const [, ngram] = taskBaselines(pair, { training: [], evaluation: judged.evaluation }, { text: english });
    expect(ngram!.name).toBe("5-gram");
    // Longer texts are less likely, unless they were seen: these were, "plant" and "animal" were not.
    expect(ngram!.predictions.map(({ answer }) => answer)).toEqual([
      "red fox",
      "blue whale",
      "green leaf",
      "a leaf",
    ]);
    for (const { answer, input } of coin!.predictions) expect([input, "animal", "plant"]).toContain(answer);
  });
});

describe("metrics of tasks", () => {
  const make = (answer: string, expected: string[], more: Partial<Prediction> = {}): Prediction => ({
    where: "f:1",
    input: "",
    answer,
    expected,
    ...more,
  });
  const value = (name: string, ...predictions: Prediction[]) =>
    TASK_METRICS.get(name)!.measure(predictions, { numResamples: 1 }).value;

  test("each scores what it says", () => {
    expect(value("accuracy", make("a", ["a"]), make("b", ["a"]))).toBe(0.5);
    expect(value("exact", make("b", ["a", "b"]))).toBe(1);
    expect(value("answerExact", make("The B!", ["a", "b"]))).toBe(1);
    expect(value("answerF1", make("x y", ["x"]))).toBeCloseTo(2 / 3, 12);
    expect(value("number", make("", [""], { picked: "1,000", expectedPick: "1000.0" }))).toBe(1);
    expect(value("number", make("", [""], { expectedPick: "7" }))).toBe(0);
    expect(value("format", make("", [""]), make("", [""], { picked: "7" }))).toBe(0.5);
    expect(value("bleu", make("a b c d e", ["a b c d e"]))).toBeCloseTo(100, 9);
    expect(value("chrf", make("abc", ["abc"]))).toBeCloseTo(100, 9);
    expect(value("rougeL", make("running", ["runs"]))).toBe(1);
    const likelihood = { nats: 8 * Math.LN2, bytes: 4, tokens: 2 };
    expect(value("bitsPerByte", make("", [""], { likelihood }))).toBeCloseTo(2, 12);
    expect(value("perplexity", make("", [""], { likelihood }))).toBeCloseTo(16, 9);
    const programs = (["passed", "failed", "timeout", "failed"] as const).map((status) => ({
      completion: "",
      status,
      detail: "",
    }));
    expect(value("pass@1", make("", [""], { programs }))).toBe(0.25);
    expect(() => value("pass@5", make("", [""], { programs }))).toThrow(
      "k: expected an integer in [1, 4], got 5",
    );
    const sure = { probabilities: { a: 0.75, b: 0.25 } };
    expect(value("calibrationError", make("a", ["a"], sure))).toBeCloseTo(0.25, 12);
    expect(value("calibrationError", make("a", ["unknown"], sure))).toBeCloseTo(0.75, 12);
  });

  test("two systems are compared on the same examples", () => {
    const right = make("a", ["a"]);
    const wrong = make("b", ["a"]);
    const lead = TASK_METRICS.get("accuracy")!.compare([right, right], [right, wrong]);
    expect(lead.value).toBe(0.5);
  });
});
