// A model that was loaded and is saved again keeps what it says of conversations, and of how it is meant to write.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { trainCharTokenizer } from "../src/codecs/char-tokenizer.ts";
import { loadChatTemplate } from "../src/codecs/chat-template.ts";
import { readWeights } from "../src/engine/stored-tensor.ts";
import { loadModel } from "../src/models/load-model.ts";
import { quantizeModel } from "../src/models/quantize-model.ts";
import { saveModel } from "../src/models/save-model.ts";
import { adapt } from "../src/recipes/adapt/adapt.ts";
import { LETTERS, saveTinyBase, tinyWords, writeRows } from "./tiny-base.ts";
import { engine } from "./tiny-run.ts";

const TEMPLATE = "{% for m in messages %}{{ m.content }}.{% endfor %}";
const WAYS = { do_sample: true, temperature: 0.3, top_k: 7, eos_token_id: 5, max_length: 99 };
const EXTRA = "additional_chat_templates";

let root = "";
const at = (...names: string[]) => join(root, ...names);
const read = (...names: string[]) => readFileSync(at(...names), "utf8");

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-save-loaded-"));
  saveTinyBase(at("base"));
  const path = at("base", "tokenizer_config.json");
  const config = { ...JSON.parse(readFileSync(path, "utf8")), keep_me: 1 };
  writeFileSync(path, JSON.stringify(config));
  writeFileSync(at("base", "generation_config.json"), JSON.stringify(WAYS));
  writeFileSync(at("base", "chat_template.jinja"), TEMPLATE);
  mkdirSync(at("base", EXTRA));
  writeFileSync(at("base", EXTRA, "tool_use.jinja"), "tools");
  const rows = tinyWords(20).map((word) => ({
    prompt: word,
    completion: word[0],
    text: word,
    label: word[0],
  }));
  writeRows(at("rows.jsonl"), rows);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A directory says what the base said. */
function expectKept(...names: string[]): void {
  expect(JSON.parse(read(...names, "generation_config.json"))).toEqual(WAYS);
  expect(JSON.parse(read(...names, "tokenizer_config.json")).keep_me).toBe(1);
  expect(read(...names, "tokenizer.json")).toBe(read("base", "tokenizer.json"));
  expect(loadChatTemplate(at(...names))!.render([{ role: "user", content: "a" }])).toBe("a.");
  expect(readdirSync(at(...names, EXTRA))).toEqual(["tool_use.jinja"]);
}

function save(name: string, changes: object = {}): void {
  const loaded = loadModel(at("base"));
  saveModel(at(name), { ...loaded, weights: readWeights(loaded.weights), card: "", ...changes });
}

test("saved, and saved over itself", () => {
  save("saved");
  save("saved");
  expectKept("saved");
  expect(loadModel(at("saved")).tokenizer!.hash()).toBe(loadModel(at("base")).tokenizer!.hash());
});

test("quantised", async () => {
  await quantizeModel(at("base"), at("quantised"), { scheme: "int8" });
  expectKept("quantised");
});

test("another tokenizer takes the place of all of it, a new model has none", () => {
  save("other", { tokenizer: trainCharTokenizer([[...LETTERS].reverse().join("").replace("q", "Q")]) });
  save("new", { directory: undefined });
  for (const name of ["other", "new"]) {
    expect(JSON.parse(read(name, "tokenizer_config.json")).keep_me).toBeUndefined();
    expect(loadChatTemplate(at(name))).toBeUndefined();
    expect(JSON.parse(read(name, "generation_config.json")).top_k).toBeUndefined();
  }
});

/** All of the base trained for one step. */
async function adaptTo(task: string): Promise<void> {
  const train = { steps: 1, batchSize: 4, contextLength: 16, validateEvery: 1, saveEvery: 1 };
  const options = { engine, base: at("base"), task, method: "full", directory: at(task) };
  await adapt({ ...options, data: { training: { paths: [at("rows.jsonl")] } }, settings: { train } });
}

test.each(["instruct", "text"])("adapted to %s", async (task) => {
  await adaptTo(task);
  expectKept(task, "model");
});

test("with a new head, it keeps its tokenizer and does not write", async () => {
  await adaptTo("classify");
  expect(JSON.parse(read("classify", "model", "tokenizer_config.json")).keep_me).toBe(1);
  expect(existsSync(at("classify", "model", "generation_config.json"))).toBe(false);
});
