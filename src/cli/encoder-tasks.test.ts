import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plinthFailure as failure, plinthLines as json, plinth } from "../../test/command-line.ts";
import { answerQuestion } from "../pipelines/answer-question.ts";
import { classifyTokens } from "../pipelines/classify-tokens.ts";
import { embed } from "../pipelines/embed.ts";
import { EncoderModel } from "../pipelines/encoder-model.ts";
import { fillMask } from "../pipelines/fill-mask.ts";

// The verbs for encoders: each prints what its library call gives.

const task = (name: string) => new URL(`../../test/fixtures/encoder-tasks/${name}`, import.meta.url).pathname;
let root: string;
const opened: EncoderModel[] = [];
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-encoder-"));
});
afterAll(() => {
  for (const model of opened) model.dispose();
  rmSync(root, { recursive: true });
});

function open(name: string): EncoderModel {
  const model = EncoderModel.load(task(name));
  opened.push(model);
  return model;
}

const TEXTS = ["Ada Lovelace lives in London.", "Paris is the capital of France?"];

test("fill-mask: candidates of each gap, a line of JSON a text", async () => {
  const texts = ["Paris is the [MASK] of France.", "[MASK] lives in [MASK]."];
  const found = await fillMask(open("fill"), texts, { topK: 2 });
  expect(await json("fill-mask", task("fill"), "--text", ...texts, "--top-k", "2")).toEqual(
    texts.map((text, i) => ({ text, masks: found[i] })),
  );
  const { stdout } = await plinth(
    "fill-mask",
    task("fill"),
    "--text",
    texts[0]!,
    "--targets",
    "capital",
    "city",
  );
  expect(stdout).toMatch(
    /^ +\d+\.\d % {2}Paris is the (capital|city) of France\.\n +\d+\.\d % {2}Paris.*\n$/,
  );
  expect(await failure("fill-mask", task("fill"), "--text", "no gap")).toContain("with [MASK] in it");
});

describe("embed", () => {
  const encoder = task("tag"); // any encoder has embeddings

  test("a vector a text, from a file too", async () => {
    const vectors = await embed(open("tag"), TEXTS);
    const expected = TEXTS.map((text, i) => ({ text, embedding: Array.from(vectors[i]!) }));
    expect(await json("embed", encoder, "--text", ...TEXTS)).toEqual(expected);
    const file = join(root, "texts.txt");
    writeFileSync(file, `${TEXTS.join("\n")}\n`);
    expect(await json("embed", encoder, "--file", file)).toEqual(expected);
    const { stdout } = await plinth("embed", encoder, "--text", ...TEXTS);
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(expected.map(({ embedding }) => embedding));
  });

  test("as the flags say", async () => {
    const options = { pooling: "cls", normalize: false, dimensions: 5 } as const;
    const [vector] = await embed(open("tag"), [TEXTS[0]!], options);
    const flags = ["--pooling", "cls", "--raw", "--dimensions", "5"];
    const [{ embedding }] = await json("embed", encoder, "--text", TEXTS[0]!, ...flags);
    expect(embedding).toEqual(Array.from(vector!));
  });

  test("bad input", async () => {
    const long = "ada ".repeat(50);
    expect(await failure("embed", encoder, "--text", long)).toContain(
      "text 1: expected at most 40 tokens, got 52",
    );
    expect((await plinth("embed", encoder, "--text", long, "--truncate")).code).toBe(0);
    expect(await failure("embed", encoder)).toContain("expected either --text or --file");
    expect(await failure("embed", encoder, "--text", "a", "--dimensions", "99")).toContain(
      "in [1, 12], got 99",
    );
    expect(await failure("embed", join(root, "none"), "--text", "a")).toContain("expected a model directory");
    const decoder = new URL("../../test/fixtures/gpt2/bare", import.meta.url).pathname;
    expect(await failure("embed", decoder, "--text", "a")).toContain(
      "expected an encoder, got a model that predicts",
    );
    expect(await failure("generate", encoder, "--prompt", "a")).toContain("got an encoder");
    expect(await failure("fill-mask", encoder, "--text", "[MASK]")).toContain(
      "expected a model with a head for masked tokens, got one with tokenClassifier only",
    );
  });
});

test("tag: entities with their places", async () => {
  const found = await classifyTokens(open("tag"), TEXTS, { grouping: "average" });
  expect(await json("tag", task("tag"), "--text", ...TEXTS, "--grouping", "average")).toEqual(
    TEXTS.map((text, i) => ({ text, entities: found[i] })),
  );
  const { stdout } = await plinth("tag", task("tag"), "--text", TEXTS[0]!, "--ignore", "PER", "O");
  expect(stdout).toMatch(/^LOC\t\d+\.\d %\t\d+–\d+\t/);
  expect(stdout).not.toContain("PER");
});

test("answer: the best stretches of a text", async () => {
  const question = { question: "Who lives in London?", context: TEXTS[0]! };
  const [answers] = await answerQuestion(open("answer"), [question], { topK: 2, allowNone: true });
  const words = ["answer", task("answer"), "--question", question.question, "--text", question.context];
  expect(await json(...words, "--top-k", "2", "--allow-none")).toEqual([answers]);
  expect((await plinth(...words)).stdout).toMatch(/^\d+\.\d %\t\S/);
  expect(await failure("answer", task("answer"), "--text", "a")).toContain("--question");
});

test("inspect: an encoder, its heads and its tokenizer", async () => {
  const [{ model }] = await json("inspect", task("fill"));
  expect(model.shape).toEqual({
    ...{ vocabularySize: 57, contextLength: 40, width: 12, numLayers: 1, numHeads: 3, numSegments: 2 },
  });
  expect([model.family, model.heads]).toEqual(["bert", ["maskedLogits"]]);
  expect([model.tokenizer.kind, model.memory.cacheBytes]).toEqual(["WordPiece", 0]);
  const { stdout } = await plinth("inspect", task("fill"));
  expect(stdout).toMatch(/on top +maskedLogits\n/);
  expect(stdout).not.toContain("cache of a full context");
});
