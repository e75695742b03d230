import { afterAll, describe, expect, test } from "vitest";
import { randomModel } from "../../test/random-model.ts";
import { classifyByLikelihood, type LikelihoodOptions } from "./classify-by-likelihood.ts";
import { LanguageModel } from "./language-model.ts";

const model = new LanguageModel(randomModel(1));
afterAll(() => model.dispose());

const labels = ["good", "bad", "neither of them"];

/** Log-probability of a label after a prompt, by scoring the whole text. */
async function scoreWhole(prompt: string, label: string): Promise<number> {
  const tokens = model.tokenizer.encode(`${prompt} ${label}`);
  const { logprobs } = await model.scorer.score(tokens);
  return logprobs.slice(prompt.length).reduce<number>((sum, logprob) => sum + logprob!, 0);
}

async function labelProbabilities(prompt: string): Promise<number[]> {
  const scores: number[] = [];
  for (const label of labels) scores.push(Math.exp(await scoreWhole(prompt, label)));
  const total = scores.reduce((sum, score) => sum + score, 0);
  return scores.map((score) => score / total);
}

const byLabel = (found: readonly { label: string; probability: number }[]) =>
  labels.map((label) => found.find((one) => one.label === label)!.probability);

describe("probabilities", () => {
  const texts = ["It rained.", "What a day!"];

  test("without calibration: in proportion to the likelihood of the labels", async () => {
    const found = await classifyByLikelihood(model, texts, { labels, calibrate: false });
    for (const [i, text] of texts.entries()) {
      const expected = await labelProbabilities(`Text: ${text}\nLabel:`);
      byLabel(found[i]!).forEach((probability, k) => {
        expect(probability).toBeCloseTo(expected[k]!, 4);
      });
    }
  });

  test("calibrated: divided by what the labels get after nothing", async () => {
    const [found] = await classifyByLikelihood(model, texts, { labels });
    const raw = await labelProbabilities(`Text: ${texts[0]}\nLabel:`);
    const free: number[][] = [];
    for (const text of ["N/A", "[MASK]", ""]) free.push(await labelProbabilities(`Text: ${text}\nLabel:`));
    const scaled = raw.map((probability, k) => probability / free.reduce((sum, p) => sum + p[k]! / 3, 0));
    const total = scaled.reduce((sum, value) => sum + value, 0);
    byLabel(found!).forEach((probability, k) => {
      expect(probability).toBeCloseTo(scaled[k]! / total, 3);
    });
    expect(found!.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 9);
    expect(found!.map(({ probability }) => probability)).toEqual(
      found!.map(({ probability }) => probability).toSorted((a, b) => b - a),
    );
  });

  test("instruction and examples come before, in the same form", async () => {
    const options: LikelihoodOptions = {
      labels,
      calibrate: false,
      instruction: "Sort.",
      template: "Q {text} A {label}",
      examples: [{ text: "$& yes", label: "good" }],
    };
    const [found] = await classifyByLikelihood(model, ["no"], options);
    const expected = await labelProbabilities("Sort.\n\nQ $& yes A good\n\nQ no A");
    byLabel(found!).forEach((probability, k) => {
      expect(probability).toBeCloseTo(expected[k]!, 4);
    });
  });
});

describe("bad input", () => {
  test.each<[Partial<LikelihoodOptions>, string]>([
    [{ labels: ["one"] }, "labels: expected at least two different labels"],
    [{ labels: ["a", "a"] }, 'none empty, got ["a","a"]'],
    [{ labels: ["a", " "] }, "labels: expected"],
    [{ template: "{label}" }, "template: expected {text} in it, and {label} once, at its end"],
    [{ template: "{text} {label} {label}" }, "template: expected"],
    [{ template: "{text} {label}." }, "template: expected"],
  ])("%j", async (options, message) => {
    await expect(classifyByLikelihood(model, ["x"], { labels, ...options })).rejects.toThrow(message);
  });

  test("a text beyond the context", async () => {
    const failure = classifyByLikelihood(model, ["x".repeat(600)], { labels });
    await expect(failure).rejects.toThrow("prompt and continuation within the context of 512 tokens");
  });
});
