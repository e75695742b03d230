import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../src/core/random.ts";
import { Perplexity } from "../src/eval/perplexity.ts";
import { quantizeModel } from "../src/models/quantize-model.ts";
import { pretrain } from "../src/recipes/pretrain.ts";
import { readRecipe } from "../src/recipes/recipe.ts";
import { findRecipe } from "../src/recipes/table.ts";
import { isMaskedQuality } from "../src/train/quality.ts";
import { bitsPerByteOf, engine } from "./tiny-run.ts";

const TEXT = join(import.meta.dirname, "../../shared/data/tinyshakespeare/input.txt");

// Bits per character that counting achieves on the last tenth of the text after the first nine.
const UNIGRAM = 4.83;
const BIGRAM = 3.59;

/** Measured 3.26 to 3.28 with seeds 1 to 3. */
const EXPECTED = 3.4;

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-learning-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Bits per byte of the whole last tenth; the text is ASCII, so bytes are characters. */
async function learn(path: string, name: string, steps: number): Promise<number> {
  const { recipe } = findRecipe("shakespeare-char");
  const model = { width: 64, numLayers: 2, numHeads: 2 };
  const train = { steps, batchSize: 12, contextLength: 64, learningRate: 8e-3, validateEvery: steps };
  const result = await pretrain({
    ...{ engine, directory: join(root, name), resume: false, machine: "a test", onEvent: () => {} },
    recipe: readRecipe({ ...recipe, model, train: { ...train, saveEvery: steps, sampleEvery: steps } }),
    sources: [{ paths: [path], weight: 1, textField: "text" }],
  });
  return bitsPerByteOf(result.best);
}

/** Share of hidden characters filled in right (measured: 0.237 after 400 steps), as trained and with each window in random order. */
async function learnToFill(name: string, steps: number) {
  const { recipe } = findRecipe("bert-char");
  const model = { family: "bert", width: 64, numLayers: 1, numHeads: 4 } as const;
  const train = { steps, batchSize: 32, contextLength: 16, learningRate: 3e-3, beta2: 0.98 };
  const often = { validateEvery: steps, saveEvery: steps, sampleEvery: steps };
  const { best, baselines, controls } = await pretrain({
    ...{ engine, directory: join(root, name), resume: false, machine: "a test", onEvent: () => {} },
    recipe: readRecipe({ ...recipe, model, train: { ...train, ...often } }),
    sources: [{ paths: [TEXT], weight: 1, textField: "text" }],
  });
  const [trained, counts, mostCommon, shuffled] = [best, ...baselines, ...controls].map((quality) => {
    if (!isMaskedQuality(quality)) throw new Error("not measured on masked tokens");
    return quality.maskedAccuracy;
  });
  return { trained: trained!, counts: counts!, mostCommon: mostCommon!, shuffled: shuffled! };
}

const whyNot = existsSync(TEXT) ? "" : ` (skipped: ${TEXT} is not on this machine)`;
describe.skipIf(whyNot !== "")(`learning from tinyshakespeare${whyNot}`, () => {
  test(`400 steps: below the bigram with a margin (${EXPECTED} bits a character)`, async () => {
    const bits = await learn(TEXT, "text", 400);
    expect(bits).toBeLessThan(EXPECTED);
    expect(EXPECTED).toBeLessThan(Math.min(UNIGRAM, BIGRAM) - 0.15);
    // Better than the best n-gram after seconds would mean that targets leak into the inputs.
    expect(bits).toBeGreaterThan(2.6);
  });

  test("quantised, its perplexity on text held out rises by at most 3 % in 4 bits and 0.3 % in 8", async () => {
    const source = join(root, "text", "model");
    const perplexity = new Perplexity(engine, readFileSync(TEXT, "utf8").slice(-20_000), TEXT);
    const before = await perplexity.of(source);
    for (const [scheme, most] of [
      ["int4", 0.03],
      ["int8", 0.003],
    ] as const) {
      const target = join(root, scheme);
      const { tensors } = await quantizeModel(source, target, { scheme, blockSize: 32 });
      expect(tensors.length).toBeGreaterThan(8);
      expect((await perplexity.of(target)) / before - 1, scheme).toBeLessThan(most);
    }
  });

  test("BERT, 400 steps: fills in more than the most common character, and no more where the text is shuffled", async () => {
    const { trained, counts, mostCommon, shuffled } = await learnToFill("masked", 400);
    expect(trained).toBeGreaterThan(0.2);
    expect(mostCommon).toBeLessThan(0.16);
    expect(shuffled).toBeLessThan(0.17);
    // An independent script counted 66.9 % with other tokens hidden and longer windows; more than counting after seconds would be a leak.
    expect(counts).toBeCloseTo(0.66, 1);
    expect(trained).toBeLessThan(counts);
  });

  test("control: characters in random order teach nothing but their frequencies", async () => {
    const characters = [...readFileSync(TEXT, "utf8")];
    const order = new Random(1).permutation(characters.length);
    const shuffled = join(root, "shuffled.txt");
    writeFileSync(shuffled, Array.from(order, (place) => characters[place]).join(""));
    const bits = await learn(shuffled, "control", 60);
    expect(bits).toBeGreaterThan(4.7);
    expect(bits).toBeLessThan(5);
  });
});
