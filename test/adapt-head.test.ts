// `plinth adapt --method head`: features of a body that stays as it is are computed once.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AdaptOptions, adapt } from "../src/recipes/adapt/adapt.ts";
import { saveTinyBase, tinyWords, writeRows } from "./tiny-base.ts";
import { checkpointDigests, EventRecord, engine } from "./tiny-run.ts";

const ENCODER = join(import.meta.dirname, "fixtures/encoder-tasks/fill");

let root = "";
const at = (name: string) => join(root, name);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-head-"));
  saveTinyBase(at("base"));
  const words = tinyWords(120);
  const write = (name: string, toRow: (word: string, place: number) => object) =>
    writeRows(at(name), words.map(toRow));
  // Of different lengths, so that rows are padded, and to more than one length.
  const long = (word: string, place: number) =>
    Array(1 + (place % 5))
      .fill(word)
      .join(" ");
  write("words.jsonl", (text) => ({ text, label: text.includes("d") ? "with" : "without" }));
  write("kinds.jsonl", (word, place) => ({
    text: long(word, place),
    label: word.includes("d") ? "with" : "without",
    labels: word.includes("a") ? ["a"] : word.includes("b") ? ["b"] : [],
    value: word.indexOf("b"),
  }));
  write("tags.jsonl", (word, place) => {
    const tokens = long(word, place).split(" ");
    return { tokens, tags: tokens.map((_, i) => (i === 0 ? "B-X" : "O")) };
  });
  write("pairs.jsonl", (word) => ({ prompt: word, chosen: "a.", rejected: "b." }));
  write("answers.jsonl", (word, place) => ({
    question: "which one",
    context: `it is ${long(word, place)} now`,
    answers: [{ text: word, answer_start: 6 }],
  }));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function options(
  name: string,
  cacheBytes: number | undefined,
  changes: Partial<AdaptOptions> & { file?: string },
) {
  const { file = "kinds.jsonl", settings, ...rest } = changes;
  const train = {
    steps: 30,
    batchSize: 8,
    contextLength: 40,
    validateEvery: 10,
    saveEvery: 30,
    ...settings?.train,
  };
  return {
    ...{ engine, base: at("base"), task: "classify", method: "head", directory: at(name) },
    data: { training: { paths: [at(file)] } },
    ...rest,
    settings: { ...(cacheBytes !== undefined && { head: { cacheBytes } }), ...settings, train },
  };
}

test.each([
  ["classify", "kinds.jsonl", ENCODER],
  ["label", "kinds.jsonl", ENCODER],
  ["regress", "kinds.jsonl", undefined],
  ["tag", "tags.jsonl", ENCODER],
  ["answer", "answers.jsonl", ENCODER],
  ["classify", "kinds.jsonl", undefined],
])("%s on %s, base %s: as with features computed at each step", async (task, file, base) => {
  const changes = { task, file, ...(base && { base }) };
  const name = `${task}-${base ? "encoder" : "decoder"}`;
  const once = await adapt(options(name, undefined, changes));
  const always = await adapt(options(`${name}-always`, 0, changes));
  expect(once.costs!.flops).toBeLessThan(always.costs!.flops);
  expect(once.best.step).toBe(always.best.step);
  expect(Math.abs(once.best.lossNats - always.best.lossNats)).toBeLessThan(1e-5);
  expect(once.judged).toEqual(always.judged);
  expect([...once.bestWeights.keys()]).toEqual([...always.bestWeights.keys()]);
  for (const [path, { data }] of once.bestWeights) {
    const other = always.bestWeights.get(path)!.data as Float32Array;
    const apart = (data as Float32Array).map((value, i) => Math.abs(value - other[i]!));
    expect(Math.max(...apart), path).toBeLessThan(1e-5);
  }
});

test("costs one forward pass over the examples, and the head's steps", async () => {
  const result = await adapt(options("costs", undefined, { file: "words.jsonl" }));
  // 108 examples of three letters, padded to eight; 30 steps of eight, but each 14th has what is left: four.
  const [T, C, layers, labels] = [8, 64, 2, 2];
  const body = 2 * T * layers * (12 * C * C + 2 * T * C);
  const head = 2 * 2 * C * labels; // of scores, and of their gradient by the head
  expect(result.costs!.flops).toBe(108 * body + (30 * 8 - 2 * 4) * head);
  expect(readFileSync(result.reportPath, "utf8")).toMatch(/features of the body.*computed once: 30\.7 kB/s);
});

test("a run that is stopped and resumed ends with the same bits", async () => {
  await adapt(options("straight", undefined, {}));
  const abort = new AbortController();
  const stopped = await adapt({
    ...options("resumed", undefined, {}),
    signal: abort.signal,
    onEvent: (event) => event.type === "step" && event.step === 17 && abort.abort(),
  });
  expect(stopped.reason).toBe("stopped");
  await adapt({ ...options("resumed", undefined, {}), resume: true });
  expect(checkpointDigests(at("resumed"))).toEqual(checkpointDigests(at("straight")));
});

test.each([
  ["more bytes than allowed", 100, 30, "more than head.cacheBytes=100"],
  ["a run in which no example comes twice", undefined, 5, "no example comes twice"],
])("%s: features are computed at each step, and it is said why", async (_, cacheBytes, steps, why) => {
  const record = new EventRecord();
  const changes = { settings: { train: { steps } }, onEvent: record.record };
  await adapt(options(`without-${steps}`, cacheBytes, changes));
  expect(record.of("notice").map(({ message }) => message)).toContainEqual(expect.stringContaining(why));
});

test("a reward model's features are computed at each step, and it is said", async () => {
  const record = new EventRecord();
  const changes = {
    task: "reward",
    file: "pairs.jsonl",
    settings: { train: { steps: 2 } },
    onEvent: record.record,
  };
  await adapt(options("reward", undefined, changes));
  expect(record.of("notice").map(({ message }) => message)).toContainEqual(
    expect.stringContaining("computed at every step: pairs are not among what is kept"),
  );
});
