import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plinth, plinthFailure, plinthLines } from "../../test/command-line.ts";
import { metricOf, runTask } from "../../test/task-run.ts";
import { engine } from "../../test/tiny-run.ts";
import { answerSpans } from "../adapt/tasks/answer-kind.ts";
import { decoderWithHead, encoderWithHead } from "../adapt/tasks/new-head.ts";
import { decoderScores, encoderScores } from "../adapt/tasks/scoring-model.ts";
import { Supervised } from "../adapt/tasks/supervised.ts";
import { wordTags } from "../adapt/tasks/tag-kind.ts";
import { answerRows, tagRows, textRows } from "../adapt/tasks/task-rows.ts";
import { singleLabel } from "../adapt/tasks/text-kinds.ts";
import { type Tokenizer, tokenizerFiles } from "../codecs/tokenizer.ts";
import { trainWordPiece } from "../codecs/train-word-piece.ts";
import { DataError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import type { QuestionAnswer, Tokens } from "../data/rows/examples.ts";
import { loadExamples, type Row } from "../data/rows/load-examples.ts";
import { QUESTION_ANSWER } from "../data/rows/text-kinds.ts";
import { answerMatches } from "../eval/metrics/answer-match.ts";
import { bertConfig } from "../models/bert/config.ts";
import { localFirstWeights } from "../models/bert/first-weights.ts";
import { Bert } from "../models/bert/model.ts";
import { gpt2Config } from "../models/gpt2/config.ts";
import { Gpt2 } from "../models/gpt2/model.ts";
import { saveClassifier, saveEncoder, saveModel } from "../models/save-model.ts";
import { initializeParameters } from "../nn/scope.ts";
import { pipeline } from "../pipelines/pipeline.ts";

// From examples to a model directory to the command line, for each task with labels.

const NAMES = "ada grace linus edsger barbara alan donald john frances tony".split(" ");
const PLACES = "london paris york berlin rome madrid oslo vienna prague cairo".split(" ");
const CONTEXT = 32;

interface Sentence {
  readonly name: string;
  readonly place: string;
  readonly text: string;
}

const sentences: Sentence[] = [];
const random = new Random(4);
for (let i = 0; i < 300; i++) {
  const [name, place] = [NAMES[random.integer(10)]!, PLACES[random.integer(10)]!];
  const forms = [
    `${name} lives in ${place}`,
    `in ${place} they met ${name}`,
    `${place} is where ${name} works`,
  ];
  sentences.push({ name, place, text: forms[random.integer(3)]! });
}

let root: string;
let tokenizer: Tokenizer;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-adapted-"));
  const questions = ["who is it about", "where is it"];
  tokenizer = trainWordPiece([...sentences.map(({ text }) => text), ...questions], { vocabularySize: 110 });
});
afterAll(() => rmSync(root, { recursive: true }));

function rowsOf<T>(make: (sentence: Sentence) => T): {
  readonly training: Row<T>[];
  readonly heldOut: Row<T>[];
} {
  const rows = sentences.map((sentence, i) => ({ example: make(sentence), where: `row ${i}` }));
  return { training: rows.slice(0, 250), heldOut: rows.slice(250) };
}

function encoder() {
  const sizes = { width: 48, numLayers: 1, numHeads: 2, contextLength: CONTEXT };
  const model = new Bert(bertConfig({ ...sizes, vocabularySize: tokenizer.vocabularySize }));
  return { model, weights: localFirstWeights(model, new Random(1)) };
}

const encoding = () => ({ tokenizer, contextLength: CONTEXT, longRows: "refuse" }) as const;

test("tags: plinth tag finds what was learnt", async () => {
  const labels = ["O", "B-PER", "B-LOC"];
  const { training, heldOut } = rowsOf(({ text, name, place }): Tokens => {
    const tokens = text.split(" ");
    const tags = tokens.map((word) => (word === name ? "B-PER" : word === place ? "B-LOC" : "O"));
    return { tokens, tags };
  });
  const { model, weights } = encoderWithHead(encoder(), { kind: "tokens", labels }, new Random(1));
  const result = await runTask({
    ...{ name: "tag", root, contextLength: CONTEXT, weights, steps: 60, learningRate: 5e-3 },
    ...{ objective: new Supervised(encoderScores(model), wordTags(labels)), trained: model.parameters },
    rows: tagRows(training, labels, encoding()).rows,
    heldOut: tagRows(heldOut, labels, encoding()).rows,
  });
  expect(metricOf(result)).toBeGreaterThan(0.95);
  const directory = join(root, "tagger");
  saveEncoder(directory, { model, weights: result.all, tokenizer, card: "" });
  const [line] = await plinthLines("tag", directory, "--text", "grace lives in oslo", "--grouping", "first");
  expect(line.entities).toMatchObject([
    { label: "PER", start: 0, end: 5 },
    { label: "LOC", start: 15, end: 19 },
  ]);
});

test("answers: plinth answer finds what was learnt", async () => {
  const { training, heldOut } = rowsOf(({ text, name, place }): QuestionAnswer => {
    const asksWho = text.length % 2 === 0;
    const answer = asksWho ? name : place;
    return {
      question: asksWho ? "who is it about" : "where is it",
      context: text,
      answers: [{ text: answer, start: text.indexOf(answer) }],
    };
  });
  const { model, weights } = encoderWithHead(encoder(), { kind: "answers" }, new Random(1));
  const options = { contextLength: CONTEXT };
  const result = await runTask({
    ...{ name: "answer", root, contextLength: CONTEXT, weights, steps: 200, learningRate: 5e-3 },
    ...{ objective: new Supervised(encoderScores(model), answerSpans(tokenizer)), trained: model.parameters },
    rows: answerRows(training, tokenizer, options),
    heldOut: answerRows(heldOut, tokenizer, options),
  });
  expect(metricOf(result)).toBeGreaterThan(0.9);
  const directory = join(root, "answerer");
  saveEncoder(directory, { model, weights: result.all, tokenizer, card: "" });
  const text = ["--text", "grace lives in oslo", "--question", "where is it"];
  const [[answer]] = await plinthLines("answer", directory, ...text);
  expect(answer).toMatchObject({ text: "oslo", start: 15, end: 19 });
});

describe("classes", () => {
  const labels = ["first half", "second half"];

  test.each(["encoder", "decoder"] as const)(
    "plinth classify --model sorts as the %s learnt",
    async (kind) => {
      const { training, heldOut } = rowsOf(({ text, name }) => ({
        text,
        label: Number(NAMES.indexOf(name) >= 5),
      }));
      const head = { kind: "sequence", labels, problem: "single-label" } as const;
      const rows = { training: textRows(training, ({ label }) => label, encoding()).rows };
      const common = {
        ...{ name: kind, root, contextLength: CONTEXT, steps: 150, learningRate: 5e-3, rows: rows.training },
        heldOut: textRows(heldOut, ({ label }) => label, encoding()).rows,
      };
      const directory = join(root, `classifier-${kind}`);
      if (kind === "encoder") {
        const { model, weights } = encoderWithHead(encoder(), head, new Random(1));
        const objective = new Supervised(encoderScores(model), singleLabel(labels));
        const result = await runTask({ ...common, objective, weights, trained: model.parameters });
        expect(metricOf(result)).toBeGreaterThan(0.9);
        saveEncoder(directory, { model, weights: result.all, tokenizer, card: "" });
      } else {
        const sizes = { width: 48, numLayers: 1, numHeads: 2, contextLength: CONTEXT };
        const base = new Gpt2(gpt2Config({ ...sizes, vocabularySize: tokenizer.vocabularySize }));
        const first = initializeParameters(base.parameters, new Random(1));
        const padId = tokenizer.specials.pad;
        const { model, weights } = decoderWithHead(
          { model: base, weights: first },
          { ...head, padId },
          new Random(1),
        );
        const objective = new Supervised(decoderScores(model), singleLabel(labels));
        const result = await runTask({ ...common, objective, weights, trained: model.parameters });
        expect(metricOf(result)).toBeGreaterThan(0.9);
        saveClassifier(directory, { model, weights: result.all, tokenizer, card: "" });
      }
      const texts = ["ada lives in oslo", "in rome they met tony"];
      const lines = await plinthLines("classify", "--model", directory, "--text", ...texts);
      expect(lines.flat().map(({ labels: [best] }: { labels: { label: string }[] }) => best!.label)).toEqual(
        labels,
      );
      const sorter = await pipeline("text-classification", directory, { engine });
      expect(await sorter(texts)).toMatchObject([{ label: labels[0] }, { label: labels[1] }]);
      sorter.dispose();
      const { stdout } = await plinth("classify", directory, "--text", texts[0]!);
      expect(stdout).toMatch(/^first half +\d+\.\d %\nsecond half +\d+\.\d %\n$/);
      expect(await plinthFailure("classify", directory, "--text", "a", "--labels", "x", "y")).toContain(
        "this model has labels of its own",
      );
    },
  );
});

describe("an adapter with a head", () => {
  test.each(["encoder", "decoder"] as const)(
    "adapt %s, classify with the adapter, merge, classify",
    async (kind) => {
      const base = join(root, `base-${kind}`);
      if (kind === "encoder") saveEncoder(base, { ...encoder(), tokenizer, card: "" });
      else {
        const sizes = { width: 48, numLayers: 1, numHeads: 2, contextLength: CONTEXT };
        const model = new Gpt2(gpt2Config({ ...sizes, vocabularySize: tokenizer.vocabularySize }));
        const weights = initializeParameters(model.parameters, new Random(1));
        saveModel(base, { model, weights, tokenizer: undefined, card: "" });
        for (const [name, text] of Object.entries(tokenizerFiles(tokenizer, { contextLength: CONTEXT })))
          writeFileSync(join(base, name), text);
      }
      const file = join(root, "halves.jsonl");
      const rows = sentences.map(({ text, name }) => ({
        text,
        label: `half ${Number(NAMES.indexOf(name) >= 5)}`,
      }));
      writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
      const out = join(root, `run-${kind}`);
      const settings = [
        "train.steps=80",
        "train.learningRate=1e-2",
        "train.contextLength=32",
        "batch.maxBuckets=1",
      ];
      const words = [
        "--task",
        "classify",
        "--method",
        "lora",
        "--data",
        file,
        "--out",
        out,
        "--set",
        ...settings,
      ];
      await plinth("adapt", base, ...words, "train.validateEvery=80", "train.warmupSteps=5");
      const adapter = join(out, "adapter");
      const texts = ["ada lives in oslo", "in rome they met tony", "grace lives in york"];
      interface Line {
        readonly labels: readonly { readonly label: string; readonly score: number }[];
      }
      const adapted = (
        await plinthLines("classify", base, "--adapter", adapter, "--text", ...texts)
      ).flat() as Line[];
      expect(adapted[0]!.labels.map(({ label }) => label).sort()).toEqual(["half 0", "half 1"]);
      const merged = join(root, `merged-${kind}`);
      await plinth("merge", base, "--adapter", adapter, "--out", merged);
      const whole = (await plinthLines("classify", "--model", merged, "--text", ...texts)).flat() as Line[];
      whole.forEach(({ labels }, i) => {
        labels.forEach(({ label, score }, at) => {
          expect(label).toBe(adapted[i]!.labels[at]!.label);
          expect(Math.abs(score - adapted[i]!.labels[at]!.score)).toBeLessThan(1e-5);
        });
      });
      const sorter = await pipeline("text-classification", base, { engine, adapter });
      expect(await sorter(texts[0]!)).toMatchObject([{ label: adapted[0]!.labels[0]!.label }]);
      sorter.dispose();
      if (kind === "encoder") return;
      const failed = await plinthFailure("score", base, "--adapter", adapter, "--text", "ada");
      expect(failed).toContain("one with a head that sorts texts");
    },
  );
});

describe("bad input", () => {
  test("rows longer than the context are refused, counted, or cut when asked", () => {
    const rows = [{ example: { text: "ada ".repeat(40), label: 0 }, where: "file.csv:2" }];
    const encode = (longRows: "refuse" | "truncate" | "drop") =>
      textRows(rows, ({ label }) => label, { ...encoding(), longRows });
    expect(() => encode("refuse")).toThrow(/file\.csv:2.*at most 32 tokens/);
    expect(encode("drop")).toEqual({ rows: [], numLong: 1 });
    expect(encode("truncate").rows[0]!.ids.length).toBe(CONTEXT);
    expect(encode("truncate").numLong).toBe(1);
  });

  test("a tag that was not seen in training names the row", () => {
    const rows = [{ example: { tokens: ["ada"], tags: ["B-ORG"] }, where: "file.jsonl:7" }];
    expect(() => tagRows(rows, ["O", "B-PER"], encoding())).toThrow(DataError);
    expect(() => tagRows(rows, ["O", "B-PER"], encoding())).toThrow(/file\.jsonl:7 tags.*"B-ORG"/);
  });
});

const XQUAD = new URL("../../../shared/data/xquad/xquad.en.json.gz", import.meta.url).pathname;
const isThere = existsSync(XQUAD);

test.skipIf(!isThere)(
  `xquad${isThere ? "" : ` (skipped: ${XQUAD} is not there)`}: targets stand for the answers, in long contexts, too`,
  async () => {
    const rows = (await loadExamples(QUESTION_ANSWER, { paths: [XQUAD] })).slice(0, 200);
    const words = trainWordPiece(
      rows.flatMap(({ example }) => [example.context, example.question]),
      { vocabularySize: 1000 },
    );
    const kind = answerSpans(words, { maxAnswerTokens: 80 });
    const encoded = answerRows(rows, words, { contextLength: 128, maxLength: 128 });
    expect(encoded.length).toBeGreaterThan(2 * rows.length);
    expect(encoded.every(({ ids }) => ids.length <= 128)).toBe(true);
    const readings = encoded.map((row) => {
      const sure = (place: number) => Float32Array.from(row.ids, (_, at) => (at === place ? 40 : 0));
      return kind.read({ start: sure(row.target.start), end: sure(row.target.end) }, row);
    });
    const { quality, predictions } = kind.conclude(encoded, readings);
    expect(predictions.length).toBe(rows.length);
    // What is left are answers that begin or end within a word, and a window that has none of it whole.
    expect(quality.value).toBeGreaterThan(0.95);
    expect(quality.others!.F1).toBeGreaterThan(0.97);
    const pointing = encoded.filter(({ target }) => target.start === 0);
    expect(pointing.every(({ target }) => target.end === 0)).toBe(true);
    expect(
      answerMatches(
        predictions[0]!.predicted,
        rows[0]!.example.answers.map(({ text }) => text),
      ),
    ).toBe(true);
  },
);
