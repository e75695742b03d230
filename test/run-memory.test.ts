// What whole runs will take is said before they begin, and what will not fit is refused with what would.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EnvironmentError } from "../src/core/errors.ts";
import { parseSource } from "../src/data/sources.ts";
import { type AdaptOptions, adapt } from "../src/recipes/adapt/adapt.ts";
import { type PretrainOptions, pretrain } from "../src/recipes/pretrain.ts";
import { readRecipe } from "../src/recipes/recipe.ts";
import { saveTinyBase, tinyWords, writeRows } from "./tiny-base.ts";
import { EventRecord, engine, tinyText } from "./tiny-run.ts";

let root = "";
const at = (name: string) => join(root, name);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-run-memory-"));
  saveTinyBase(at("base"), { width: 256 });
  writeRows(
    at("copy.jsonl"),
    tinyWords(40).map((word, i) => ({ prompt: word.repeat(1 + (i % 4)), completion: word[0] })),
  );
  writeFileSync(at("text.txt"), tinyText(20_000, 1));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const train = { steps: 2, batchSize: 8, contextLength: 32, validateEvery: 2, saveEvery: 2 };
/** Bytes that the whole model cannot be trained in, and an adapter can. */
const LIMIT = 170e6;

const SAID =
  /^memory: about 0\.\d\d GB \(weights .*, gradients .*, optimizer .*, activations .*, measuring and samples .*\)$/;

function adaptOptions(name: string, changes: Partial<AdaptOptions> = {}): AdaptOptions {
  const data = { training: { paths: [at("copy.jsonl")] } };
  const base = { engine, base: at("base"), task: "instruct", method: "full", data, directory: at(name) };
  return { ...base, settings: { train }, ...changes };
}

function pretrainOptions(name: string, changes: Partial<PretrainOptions> = {}): PretrainOptions {
  const recipe = readRecipe({
    model: { family: "gpt2", width: 32, numLayers: 1, numHeads: 2 },
    tokenizer: { kind: "char" },
    corpus: { splitBy: "tail", validationFraction: 0.1 },
    train,
  });
  const sources = [parseSource(at("text.txt"), "text")];
  const rest = { resume: false, machine: "", onEvent: () => {} };
  return { engine, recipe, sources, directory: at(name), ...rest, ...changes };
}

/** What a run that may take so much is told. */
async function refusal(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(EnvironmentError);
  return (error as Error).message;
}

describe("adapt", () => {
  test("says what it will take, and begins all the same where that is wanted", async () => {
    const record = new EventRecord();
    const changes = { memoryLimit: 1, checkMemory: false, onEvent: record.record };
    await adapt(adaptOptions("forced", changes));
    expect(record.of("notice")[0]!.message).toMatch(SAID);
  });

  test("what is offered in its place is not refused", async () => {
    const message = await refusal(adapt(adaptOptions("refused", { memoryLimit: LIMIT })));
    expect(message).not.toContain("\n");
    expect(existsSync(at("refused"))).toBe(false);
    expect(message).toContain(
      "--set train.recompute=true train.optimizerState=int8 batch.maxBuckets=1 train.batchSize=1: about",
    );
    const smallest = { ...train, batchSize: 1, recompute: true, optimizerState: "int8" };
    const settings = { train: smallest, batch: { maxBuckets: 1 } };
    expect((await adapt(adaptOptions("smaller", { settings, memoryLimit: LIMIT }))).step).toBe(2);
    for (const method of ["lora", "qlora"]) {
      const [, offered] = new RegExp(`--method ${method}: (about [\\d.]+ GB)`).exec(message)!;
      const record = new EventRecord();
      await adapt(adaptOptions(method, { method, memoryLimit: LIMIT, onEvent: record.record }));
      expect(record.of("notice")[0]!.message).toContain(`memory: ${offered} (`);
    }
  });
});

describe("pretrain", () => {
  test("says what it will take", async () => {
    const record = new EventRecord();
    await pretrain(pretrainOptions("run", { onEvent: record.record }));
    expect(record.of("notice")[0]!.message).toMatch(SAID);
  });

  test("is refused before anything is written", async () => {
    const message = await refusal(pretrain(pretrainOptions("refused-text", { memoryLimit: 1e6 })));
    expect(message).toMatch(
      /^training: expected a run that fits into the 0\.00 GB of memory there is, got one/,
    );
    expect(message).toMatch(/Free memory, or run it all the same with --no-check-memory\.$/);
    expect(existsSync(at("refused-text"))).toBe(false);
  });

  test("begins all the same where that is wanted", async () => {
    const result = await pretrain(pretrainOptions("forced-text", { memoryLimit: 1, checkMemory: false }));
    expect(result.step).toBe(2);
  });
});
