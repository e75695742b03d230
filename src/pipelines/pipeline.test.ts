import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomModel } from "../../test/random-model.ts";
import { Engine } from "../engine/engine.ts";
import { saveModel } from "../models/save-model.ts";
import { answerQuestion } from "./answer-question.ts";
import { classifyByLikelihood } from "./classify-by-likelihood.ts";
import { classifySequence } from "./classify-sequence.ts";
import { classifyTokens } from "./classify-tokens.ts";
import { embed } from "./embed.ts";
import { EncoderModel } from "./encoder-model.ts";
import { fillMask } from "./fill-mask.ts";
import { LanguageModel } from "./language-model.ts";
import { type PipelineTask, pipeline } from "./pipeline.ts";
import { summarize } from "./summarize.ts";
import { generateTexts } from "./text-generation.ts";

// Each pipeline gives what the library's own function gives, in the shape of transformers.js.

const engine = new Engine();
const encoderOf = (name: string) =>
  new URL(`../../test/fixtures/encoder-tasks/${name}`, import.meta.url).pathname;
const TEXTS = ["Ada Lovelace lives in London.", "Paris is the capital of France."];

let causal: string;
beforeAll(() => {
  causal = mkdtempSync(join(tmpdir(), "plinth-pipeline-"));
  saveModel(join(causal, "model"), { ...randomModel(6), card: "# A test\n" });
});
afterAll(() => rmSync(causal, { recursive: true }));

describe("models that predict the next token", () => {
  let model: LanguageModel;
  beforeAll(() => {
    model = LanguageModel.load(join(causal, "model"), { engine });
  });
  afterAll(() => model.dispose());
  const open = <T extends PipelineTask>(task: T) => pipeline(task, join(causal, "model"), { engine });

  test("text-generation", async () => {
    const generator = await open("text-generation");
    expect(await generator("To be", { max_new_tokens: 5 })).toEqual(
      await generateTexts(model, "To be", { max_new_tokens: 5 }),
    );
    generator.dispose();
  });

  test("summarization", async () => {
    const summarizer = await open("summarization");
    const options = { maxTokens: 12 };
    const expected = await summarize(model, TEXTS[0]!, options);
    expect(await summarizer(TEXTS[0]!, options)).toEqual([{ summary_text: expected.summary }]);
    summarizer.dispose();
  });

  test("zero-shot-classification", async () => {
    const classifier = await open("zero-shot-classification");
    const labels = ["place", "person"];
    const expected = (await classifyByLikelihood(model, TEXTS, { labels })).map((row, i) => ({
      sequence: TEXTS[i],
      labels: row.map(({ label }) => label),
      scores: row.map(({ probability }) => probability),
    }));
    expect(await classifier(TEXTS, labels)).toEqual(expected);
    expect(await classifier(TEXTS[1]!, labels)).toEqual(expected[1]);
    classifier.dispose();
  });
});

describe("encoders", () => {
  const open = <T extends PipelineTask>(task: T, name: string) => pipeline(task, encoderOf(name), { engine });

  test("fill-mask", async () => {
    const filler = await open("fill-mask", "fill");
    const model = EncoderModel.load(encoderOf("fill"), { engine });
    const text = "Paris is the [MASK] of France.";
    const [masks] = await fillMask(model, [text], { topK: 2 });
    const expected = masks![0]!.candidates.map((candidate) => candidate.text);
    const found = (await filler(text, { top_k: 2 })) as { sequence: string }[];
    expect(found.map(({ sequence }) => sequence)).toEqual(expected);
    await expect(filler("[MASK] is [MASK].")).rejects.toThrow("fill-mask, text 1: expected one mask, got 2.");
    filler.dispose();
    model.dispose();
  });

  test("feature-extraction", async () => {
    const extractor = await open("feature-extraction", "tag");
    const model = EncoderModel.load(encoderOf("tag"), { engine });
    const vectors = (await embed(model, TEXTS)).map((vector) => Array.from(vector));
    const found = await extractor(TEXTS);
    expect(found.dims).toEqual([2, vectors[0]!.length]);
    expect(found.tolist()).toEqual(vectors);
    expect(Array.from(found.data)).toEqual(vectors.flat());
    extractor.dispose();
    model.dispose();
  });

  test("text-classification, also by its other name", async () => {
    const model = EncoderModel.load(encoderOf("classify"), { engine });
    const expected = await classifySequence(model, TEXTS);
    for (const task of ["text-classification", "sentiment-analysis"] as const) {
      const classifier = await open(task, "classify");
      expect(await classifier(TEXTS)).toEqual(expected.map(([best]) => best));
      expect(await classifier(TEXTS[0]!, { top_k: 2 })).toEqual(expected[0]!.slice(0, 2));
      classifier.dispose();
    }
    model.dispose();
  });

  test("token-classification", async () => {
    const tagger = await open("token-classification", "tag");
    const model = EncoderModel.load(encoderOf("tag"), { engine });
    const expected = await classifyTokens(model, TEXTS);
    const found = (await tagger(TEXTS)) as { word: string; start: number }[][];
    expect(found.map((row) => row.map(({ word, start }) => [word, start]))).toEqual(
      expected.map((row) => row.map(({ text, start }) => [text, start])),
    );
    tagger.dispose();
    model.dispose();
  });

  test("question-answering", async () => {
    const answerer = await open("question-answering", "answer");
    const model = EncoderModel.load(encoderOf("answer"), { engine });
    const [answers] = await answerQuestion(model, [{ question: "Who?", context: TEXTS[0]! }]);
    const { text, score } = answers![0]!;
    expect(await answerer("Who?", TEXTS[0]!)).toEqual({ answer: text, score });
    answerer.dispose();
    model.dispose();
  });
});

test("tasks and models that do not go together", async () => {
  await expect(pipeline("text-genaration" as never, "x")).rejects.toThrow(
    'pipeline: expected a task, got "text-genaration". Did you mean "text-generation"?',
  );
  const offline = { local_files_only: true, cache_dir: causal };
  await expect(pipeline("text-generation", "owner/name", offline)).rejects.toThrow("owner/name");
  await expect(pipeline("fill-mask", join(causal, "model"))).rejects.toThrow("expected an encoder");
  await expect(pipeline("text-generation", encoderOf("fill"))).rejects.toThrow("got an encoder");
});
