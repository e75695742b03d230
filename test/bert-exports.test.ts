import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../src/core/random.ts";
import { readWeights } from "../src/engine/stored-tensor.ts";
import { type BertHeads, bertConfig } from "../src/models/bert/config.ts";
import { Bert } from "../src/models/bert/model.ts";
import { loadEncoder } from "../src/models/load-model.ts";
import { saveEncoder } from "../src/models/save-model.ts";
import { initializeParameters } from "../src/nn/scope.ts";
import { input, type Tensor } from "../src/tensor/tensor.ts";
import { engine } from "./tiny-run.ts";

// BERTs saved here against records of what Python `transformers` made of the same bytes. With PLINTH_EXPORTS=DIR the
// directories stay there, for tools/golden/check_export.py to make the records anew (test/fixtures/bert-exports/README.md).

const RECORDS = new URL("./fixtures/bert-exports/", import.meta.url).pathname;

interface ExportRecord {
  readonly weightsSha256: Readonly<Record<string, string>>;
  readonly configSha256: string;
  readonly architecture: string;
  readonly missing: string[];
  readonly unexpected: string[];
  readonly mismatched: string[];
  readonly outputs: Readonly<Record<string, { readonly shape: number[]; readonly float32: string }>>;
}

const labels = ["none", "some", "all"];
const EXPORTS: Readonly<Record<string, BertHeads>> = {
  BertModel: { pooler: true },
  BertForMaskedLM: { maskedLanguage: "tied" },
  BertForPreTraining: { pooler: true, maskedLanguage: "untied", nextSentence: true },
  BertForNextSentencePrediction: { pooler: true, nextSentence: true },
  BertForSequenceClassification: { pooler: true, sequenceClassifier: { labels, problem: "multi-label" } },
  BertForTokenClassification: { tokenClassifier: { labels } },
  BertForQuestionAnswering: { questionAnswering: true },
};

const readJson = <T>(name: string) => JSON.parse(readFileSync(join(RECORDS, name), "utf8")) as T;
const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** Larger than first weights are, so that a head that is read wrongly cannot hide. */
const SCALE = 10;

function save(architecture: string, directory: string): void {
  const sizes = { vocabularySize: 29, contextLength: 10, width: 12, numLayers: 2, numHeads: 3 };
  const model = new Bert(bertConfig({ ...sizes, feedForwardSize: 20 }), EXPORTS[architecture]!);
  const weights = initializeParameters(model.parameters, new Random(5));
  for (const { data } of weights.values()) {
    const values = data as Float32Array;
    values.set(values.map((value) => (value === 1 ? 1 : value * SCALE)));
  }
  saveEncoder(directory, { model, weights, tokenizer: undefined, card: "# A test\n" });
}

/** What the reference implementation calls each output. */
function outputsOf(model: Bert, batch: Parameters<Bert["hidden"]>[0]): Record<string, Tensor> {
  const hidden = model.hidden(batch);
  const { maskedLogits, pooled, nextSentenceLogits, sequenceClassifier, tokenClassifier, answerLogits } =
    model.heads;
  const [masked, next] = [maskedLogits?.(hidden), pooled && nextSentenceLogits?.(pooled(hidden))];
  if (masked && next) return { prediction_logits: masked, seq_relationship_logits: next };
  const logits = masked ?? next ?? (sequenceClassifier ?? tokenClassifier)?.logits(hidden);
  if (logits) return { logits };
  const ends = answerLogits?.(hidden);
  if (ends) return { start_logits: ends.start, end_logits: ends.end };
  return { last_hidden_state: hidden, pooler_output: pooled!(hidden) };
}

const kept = process.env.PLINTH_EXPORTS;
let root = "";
beforeAll(() => {
  root = kept ?? mkdtempSync(join(tmpdir(), "plinth-exports-"));
  if (kept) mkdirSync(kept, { recursive: true });
  for (const name of Object.keys(EXPORTS)) save(name, join(root, name));
});
afterAll(() => {
  if (!kept) rmSync(root, { recursive: true, force: true });
});

describe.each(Object.keys(EXPORTS))("%s", (architecture) => {
  const record = () => readJson<ExportRecord>(`${architecture}.json`);

  test("the record is about these bytes, and Python missed nothing and found nothing else", () => {
    const { weightsSha256, configSha256, missing, unexpected, mismatched, ...rest } = record();
    const paths = ["model.safetensors", "config.json"].map((file) => join(root, architecture, file));
    expect([weightsSha256["model.safetensors"], configSha256]).toEqual(paths.map(hash));
    expect(rest.architecture).toBe(architecture);
    expect([missing, unexpected, mismatched]).toEqual([[], [], []]);
  });

  test("the same outputs", async () => {
    const request = readJson<Record<"tokens" | "segments" | "mask", number[][]>>("input.json");
    const { model, weights } = loadEncoder(join(root, architecture));
    const shape = [request.tokens.length, request.tokens[0]!.length];
    const of = (name: string) => input(name, "int32", shape);
    const batch = { tokens: of("tokens"), segments: of("segments"), mask: of("mask") };
    const program = engine.compile("outputs", outputsOf(model as Bert, batch));
    const feeds = Object.entries(request).map(([name, rows]) => {
      return [name, { dtype: "int32", shape, data: Int32Array.from(rows.flat()) }] as const;
    });
    const found = await program.run({
      ...Object.fromEntries(feeds),
      ...Object.fromEntries(readWeights(weights)),
    });
    program.dispose();
    const { outputs } = record();
    expect(Object.keys(found).sort()).toEqual(Object.keys(outputs).sort());
    for (const [name, { shape, float32 }] of Object.entries(outputs)) {
      const expected = new Float32Array(Uint8Array.from(Buffer.from(float32, "base64")).buffer);
      expect(found[name]!.shape).toEqual(shape);
      expected.forEach((value, i) => {
        expect(Math.abs(value - Number(found[name]!.data[i]))).toBeLessThan(1e-4);
      });
    }
  });
});
