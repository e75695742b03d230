import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embed } from "./embed.ts";
import { EncoderModel } from "./encoder-model.ts";

// What embeddings are good for, on real data, with all-MiniLM-L6-v2 (how to get it: tools/golden/README.md), against
// counting words. On all 165 paragraphs of XQuAD: 90.9 % against 85.5 %; with ten examples and ten questions for each intent of
// banking77: 79.5 % against 62.1 %. Here on less, to be quick.

const MINILM = process.env.PLINTH_MINILM ?? join(homedir(), ".cache/plinth/all-MiniLM-L6-v2");
const DATA = new URL("../../../shared/data/", import.meta.url).pathname;
const isHere = existsSync(join(MINILM, "model.safetensors")) && existsSync(DATA);

const NUM_PARAGRAPHS = 60;
const NUM_SHOWN = 5;
const NUM_ASKED = 2;

type Vector = Float64Array | Float32Array;

function dot(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function toUnit(vector: Vector): Vector {
  const length = Math.sqrt(dot(vector, vector)) || 1;
  return vector.map((value) => value / length) as Vector;
}

function nearest(vector: Vector, others: readonly Vector[]): number {
  const scores = others.map((other) => dot(vector, other));
  return scores.indexOf(Math.max(...scores));
}

/** Words weighted by how few of the texts have them, as vectors of length 1. */
function wordVectors(reference: readonly string[]): (text: string) => Vector {
  const words = (text: string) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const counts = new Map<string, number>();
  for (const text of reference) {
    for (const word of new Set(words(text))) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const places = new Map([...counts.keys()].map((word, place) => [word, place]));
  return (text) => {
    const vector = new Float64Array(places.size);
    for (const word of words(text)) {
      const place = places.get(word);
      if (place !== undefined) vector[place]! += Math.log(reference.length / counts.get(word)!);
    }
    return toUnit(vector);
  };
}

function accuracy(found: readonly number[], expected: readonly number[]): number {
  return found.filter((place, i) => place === expected[i]).length / expected.length;
}

describe.skipIf(!isHere)("embeddings of a real model (skipped without the model or ../shared/data)", () => {
  let model: EncoderModel | undefined;
  beforeAll(() => {
    model = EncoderModel.load(MINILM);
  });
  afterAll(() => model?.dispose());

  test("XQuAD: the paragraph that answers a question, among others of the same articles", async () => {
    const file = gunzipSync(readFileSync(`${DATA}xquad/xquad.en.json.gz`)).toString();
    const { data } = JSON.parse(file) as {
      data: { paragraphs: { context: string; qas: { question: string }[] }[] }[];
    };
    const paragraphs = data.flatMap((article) => article.paragraphs).slice(0, NUM_PARAGRAPHS);
    const contexts = paragraphs.map(({ context }) => context);
    // One question a paragraph: quick, and none of them counts twice.
    const questions = paragraphs.map(({ qas }) => qas[0]!.question);
    const expected = questions.map((_, i) => i);
    const vectors = await embed(model!, [...contexts, ...questions], { truncate: true });
    const [texts, queries] = [vectors.slice(0, contexts.length), vectors.slice(contexts.length)];
    const ours = accuracy(
      queries.map((query) => nearest(query, texts)),
      expected,
    );
    const toWords = wordVectors(contexts);
    const byWords = contexts.map(toWords);
    const baseline = accuracy(
      questions.map((question) => nearest(toWords(question), byWords)),
      expected,
    );
    console.info(`XQuAD, ${contexts.length} paragraphs: embeddings ${ours}, words ${baseline}`);
    expect(ours).toBeGreaterThan(0.8);
    expect(ours).toBeGreaterThan(baseline);
  }, 60_000);

  test("banking77: the intent whose examples are nearest on average", async () => {
    const rows = readFileSync(`${DATA}banking77/train.csv`, "utf8").trim().split("\n").slice(1);
    const byIntent = new Map<string, string[]>();
    for (const row of rows) {
      const [, text, intent] = /^"?(.*?)"?,([^,]+)$/.exec(row.trim()) ?? [];
      if (intent) byIntent.set(intent, [...(byIntent.get(intent) ?? []), text!.replaceAll('""', '"')]);
    }
    const intents = [...byIntent.values()].filter((texts) => texts.length >= 20);
    const shown = intents.map((texts) => texts.slice(0, NUM_SHOWN));
    const asked = intents.flatMap((texts, intent) =>
      texts.slice(-NUM_ASKED).map((text) => ({ text, intent })),
    );
    const expected = asked.map(({ intent }) => intent);
    const measure = (shownVectors: readonly Vector[], askedVectors: readonly Vector[]) => {
      const centres = intents.map((_, i) => {
        const own = shownVectors.slice(NUM_SHOWN * i, NUM_SHOWN * (i + 1));
        return toUnit(own[0]!.map((_, k) => own.reduce((sum, vector) => sum + vector[k]!, 0)) as Vector);
      });
      return accuracy(
        askedVectors.map((vector) => nearest(vector, centres)),
        expected,
      );
    };
    const texts = asked.map(({ text }) => text);
    const ours = measure(await embed(model!, shown.flat()), await embed(model!, texts));
    const toWords = wordVectors(shown.flat());
    const baseline = measure(shown.flat().map(toWords), texts.map(toWords));
    console.info(`banking77, ${intents.length} intents: embeddings ${ours}, words ${baseline}`);
    expect(ours).toBeGreaterThan(0.7);
    expect(ours).toBeGreaterThan(baseline + 0.1);
  }, 60_000);
});
