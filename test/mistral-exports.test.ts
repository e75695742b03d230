import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readWeights } from "../src/engine/stored-tensor.ts";
import { Decoder } from "../src/generate/decoder.ts";
import { type LoadedModel, loadModel } from "../src/models/load-model.ts";
import { input } from "../src/tensor/tensor.ts";
import { EXPORTS, saveExport } from "./mistral-exports.ts";
import { largestDifference, MISTRAL_FIXTURES, type Packed, unpack } from "./mistral-golden.ts";
import { engine } from "./tiny-run.ts";

// Models saved here against records of what Python `transformers` made of the same bytes. With PLINTH_EXPORTS=DIR the
// directories stay there, for tools/golden/check_export.py to make the records anew.

const EXPORTED = join(MISTRAL_FIXTURES, "exported");

interface ExportRecord {
  readonly weightsSha256: Readonly<Record<string, string>>;
  readonly configSha256: string;
  readonly architecture: string;
  readonly missing: string[];
  readonly unexpected: string[];
  readonly mismatched: string[];
  readonly logits: Packed[];
  readonly greedy: number[][];
}

const readJson = <T>(name: string) => JSON.parse(readFileSync(join(EXPORTED, name), "utf8")) as T;
const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

const kept = process.env.PLINTH_EXPORTS;
let root = "";
beforeAll(() => {
  root = kept ?? mkdtempSync(join(tmpdir(), "plinth-exports-"));
  if (kept) mkdirSync(kept, { recursive: true });
  for (const name of Object.keys(EXPORTS)) saveExport(name, join(root, name));
});
afterAll(() => {
  if (!kept) rmSync(root, { recursive: true, force: true });
});

const ARCHITECTURES: Readonly<Record<string, string>> = {
  mistral: "MistralForCausalLM",
  "llama-biases": "LlamaForCausalLM",
  "llama-dynamic": "LlamaForCausalLM",
  qwen2: "Qwen2ForCausalLM",
};

if (kept) test("the directories are saved", () => expect(existsSync(join(root, "qwen2"))).toBe(true));

describe.skipIf(kept !== undefined).each(Object.keys(EXPORTS))("%s", (name) => {
  let request: { tokens: number[][]; greedyTokens: number };
  let record: ExportRecord;
  let loaded: LoadedModel;
  beforeAll(() => {
    request = readJson("input.json");
    record = readJson(`${name}.json`);
    loaded = loadModel(join(root, name));
  });

  test("the record is about these bytes, and Python missed nothing and found nothing else", () => {
    const paths = ["model.safetensors", "config.json"].map((file) => join(root, name, file));
    expect([record.weightsSha256["model.safetensors"], record.configSha256]).toEqual(paths.map(hash));
    expect(record.architecture).toBe(ARCHITECTURES[name]);
    expect([record.missing, record.unexpected, record.mismatched]).toEqual([[], [], []]);
  });

  test("the same logits", async () => {
    const { model, weights } = loaded;
    for (const [i, tokens] of request.tokens.entries()) {
      const shape = [1, tokens.length];
      const program = engine.compile("forward", {
        logits: model.logits(model.hidden(input("tokens", "int32", shape))),
      });
      const feeds = { tokens: { dtype: "int32", shape, data: Int32Array.from(tokens) } } as const;
      const { logits } = await program.run({ ...feeds, ...Object.fromEntries(readWeights(weights)) });
      program.dispose();
      expect(largestDifference(logits!.data as Float32Array, unpack(record.logits[i]!))).toBeLessThan(1e-4);
    }
  });

  test("the same greedy continuations, through our cache and theirs", async () => {
    const decoder = new Decoder(engine, loaded.model, loaded.weights);
    for (const [i, prompt] of request.tokens.entries()) {
      decoder.reset();
      const found: number[] = [];
      let scores = await decoder.prefill(prompt);
      while (found.length < request.greedyTokens) {
        found.push(scores.indexOf(Math.max(...scores)));
        scores = await decoder.step([found.at(-1)!]);
      }
      expect(found).toEqual(record.greedy[i]);
    }
    decoder.dispose();
  });
});
