import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { trainCharTokenizer } from "../codecs/char-tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import { CheckpointStore } from "../train/checkpoint.ts";
import { flattenRecipe, hashRecipe } from "./flat-recipe.ts";
import { applySettings, type RecipeInput, readRecipe } from "./recipe.ts";
import { beginRunDirectory, checkRunDirectory } from "./run-directory.ts";
import { findRecipe, RECIPES } from "./table.ts";

/** A recipe input that the types would not let through. */
const untyped = (input: Record<string, unknown>) => input as RecipeInput;

describe("readRecipe", () => {
  test.each(Object.entries(RECIPES))("%s is complete and valid", (_, { recipe }) => {
    const { tokenizer, corpus, model, masking, train } = readRecipe(recipe);
    expect(Object.keys(tokenizer).sort()).toEqual(["kind", "vocabularySize"]);
    expect(Object.keys(corpus).sort()).toEqual(["splitBy", "validationFraction"]);
    expect(model.width % model.numHeads).toBe(0);
    expect(masking !== undefined).toBe(model.family === "bert");
    // Gated feed-forward layers have three matrices for two: two thirds of the size, to a multiple of 32.
    const wide = model.family === "mistral" ? 32 * Math.ceil(model.width / 12) : 4 * model.width;
    expect(model.feedForwardSize).toBe(wide);
    expect(train.warmupSteps).toBeLessThan(train.steps);
  });

  test("the character recipes hold out the last tenth, as in the published comparisons", () => {
    const { corpus } = readRecipe(findRecipe("shakespeare-char").recipe);
    expect(corpus).toEqual({ splitBy: "tail", validationFraction: 0.1 });
  });

  test("fallbacks follow what is given", () => {
    const recipe = readRecipe({
      model: { family: "gpt2", width: 32, numHeads: 2 },
      train: { steps: 50, learningRate: 0.01 },
    });
    expect(recipe.model.feedForwardSize).toBe(128);
    expect(recipe.train).toMatchObject({ warmupSteps: 5, minLearningRate: 0.001, saveEvery: 5 });
  });

  test.each<[Record<string, unknown>, string]>([
    [{ trian: {} }, 'trian: expected a section of a recipe, got "trian". Did you mean "train"?'],
    [
      { model: { widht: 3 } },
      'widht: expected a known configuration key, got "widht". Did you mean "width"?',
    ],
    [
      { model: { family: "gpt2", width: 100, numHeads: 3 } },
      "numHeads: expected a divisor of width 100, got 3. Use 2, or change",
    ],
    [
      { model: { vocabularySize: 9 } },
      'model.vocabularySize: expected a size that is the model\'s own, got "vocabularySize". Set tokenizer.vocabularySize.',
    ],
    [{ model: { contextLength: 9 } }, "Set train.contextLength."],
    [
      { model: { width: 100, numHeads: 3 } },
      "model.numHeads: expected a divisor of half the width 100, as each head is turned in pairs, got 3. Change the heads or the width, or set model.headSize.",
    ],
    [
      { model: { family: "mixtral" } },
      'model.family: expected one of mistral, gpt2, bert, got "mixtral". Did you mean "mistral"?',
    ],
    [
      { model: { family: "gpt2", slidingWindow: 8 } },
      'model.slidingWindow: expected a known configuration key, got "slidingWindow". Known: vocabularySize, ',
    ],
    [
      { model: { family: "bert", slidingWindw: 8 } },
      'model.slidingWindw: expected a known configuration key, got "slidingWindw". Known: ',
    ],
    [
      { model: { slidingWindw: 8 } },
      'model.slidingWindw: expected a known configuration key, got "slidingWindw". Did you mean "slidingWindow"?',
    ],
    [
      { masking: { fraction: 0.2 } },
      'masking: expected an encoder, which fills in hidden tokens, got the decoder family "mistral". Leave the section out, or set model.family=bert.',
    ],
    [
      { model: { family: "bert" }, masking: { fraction: 0 } },
      "masking.fraction: expected a number in [0.01, 0.9], got 0",
    ],
    [
      { model: { family: "bert" }, masking: { wholeWord: true } },
      'masking.wholeWord: expected a known configuration key, got "wholeWord". Did you mean "wholeWords"?',
    ],
    [{ model: { family: "bert" }, tokenizer: { kind: "bpe" } }, "tokenizer.kind: expected one of "],
    [{ tokenizer: { kind: "words" } }, 'tokenizer.kind: expected one of bpe, char, got "words"'],
    [
      { tokenizer: { vocabularySize: 256 } },
      "tokenizer.vocabularySize: expected an integer in [257, 1048576], got 256",
    ],
    [{ corpus: { splitBy: "tial" } }, 'corpus.splitBy: expected one of document, tail, got "tial"'],
    [
      { corpus: { validationFraction: 0 } },
      "corpus.validationFraction: expected a number in [0.0001, 0.9], got 0",
    ],
    [{ train: { contextLength: 0 } }, "train.contextLength: expected an integer in [1, 1048576], got 0"],
  ])("%o is refused", (input, message) => {
    expect(() => readRecipe(untyped(input))).toThrow(ConfigError);
    expect(() => readRecipe(untyped(input))).toThrow(message);
  });
});

describe("applySettings", () => {
  test("replaces single values and leaves the input alone", () => {
    const input: RecipeInput = { train: { steps: 5, seed: 2 } };
    const changed = applySettings(input, { "train.steps": 9, "model.width": 64 });
    expect(changed).toEqual({ train: { steps: 9, seed: 2 }, model: { width: 64 } });
    expect(input).toEqual({ train: { steps: 5, seed: 2 } });
  });

  test.each([
    ["steps", 'Did you mean "train.steps"?'],
    ["train", '--set train: expected section.key=value, got "train"'],
    [
      "model.width.x",
      '--set model.width.x: expected section.key=value, got "model.width.x". Did you mean "model.width"?',
    ],
    [".steps", "expected section.key=value"],
    ["train.", "expected section.key=value"],
  ])("%s is refused", (name, message) => {
    expect(() => applySettings({}, { [name]: 1 })).toThrow(ConfigError);
    expect(() => applySettings({}, { [name]: 1 })).toThrow(message);
  });

  test("a mistyped key goes through and is refused by name", () => {
    expect(() => readRecipe(applySettings({}, { "train.lerningRate": 1 }))).toThrow(
      'Did you mean "learningRate"?',
    );
  });
});

describe("findRecipe", () => {
  test("knows the table and names the nearest otherwise", () => {
    expect(findRecipe("gpt2-tiny")).toBe(RECIPES["gpt2-tiny"]);
    expect(() => findRecipe("gpt2tiny")).toThrow(
      'recipe: expected the name of a recipe, got "gpt2tiny". Did you mean "gpt2-tiny"?',
    );
    expect(() => findRecipe("toString")).toThrow(ConfigError);
  });
});

describe("run directory", () => {
  const recipe = readRecipe({ train: { steps: 10 } });
  const tokenizer = trainCharTokenizer(["abc"]);
  const tensors = [["w", { dtype: "float32", shape: [1], data: Float32Array.of(1) }]] as const;
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "plinth-run-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const save = (step: number) => {
    new CheckpointStore(join(directory, "checkpoints")).save({ step, tensors, state: {} });
  };

  test("a new directory may begin, and not resume", () => {
    expect(() => checkRunDirectory(directory, recipe, false)).not.toThrow();
    expect(() => checkRunDirectory(join(directory, "none"), recipe, false)).not.toThrow();
    expect(() => checkRunDirectory(join(directory, "none"), recipe, true)).toThrow(
      "expected a checkpoint to resume from, got none. Start without --resume.",
    );
    expect(readdirSync(directory)).toEqual([]);
  });

  test("a run with checkpoints may resume with the same recipe, and not begin", () => {
    beginRunDirectory(directory, recipe, tokenizer);
    save(10);
    save(20);
    expect(() => checkRunDirectory(directory, recipe, true)).not.toThrow();
    expect(() => checkRunDirectory(directory, recipe, false)).toThrow(
      `${directory}: expected a directory without a run in it, got checkpoints up to step 20. Continue it with --resume, or choose another directory.`,
    );
    const other = readRecipe({ train: { steps: 10, batchSize: 3 } });
    expect(() => checkRunDirectory(directory, other, true)).toThrow(ConfigError);
    expect(() => checkRunDirectory(directory, other, true)).toThrow(
      "train.batchSize: expected 8, as when the run began, got 3. Resume with the same settings, or start a new run",
    );
  });

  test("a run that died before its first checkpoint may begin again; its metrics go", () => {
    beginRunDirectory(directory, recipe, tokenizer);
    writeFileSync(join(directory, "metrics.jsonl"), "{}\n");
    expect(() => checkRunDirectory(directory, recipe, false)).not.toThrow();
    beginRunDirectory(directory, recipe, tokenizer);
    expect(readdirSync(directory)).toEqual(["recipe.json", "tokenizer.json"]);
  });

  test("a finished model is not trained over", () => {
    save(1);
    rmSync(join(directory, "checkpoints"), { recursive: true });
    writeFileSync(join(directory, "model"), "");
    expect(() => checkRunDirectory(directory, recipe, false)).toThrow(
      "got a model. Choose another directory.",
    );
  });

  test("a GPT-2 has the hash it had before there were families, so that its runs go on", () => {
    const gpt2 = readRecipe({ model: { family: "gpt2" } });
    const later = ["model.family", "train.patience", "train.best", "train.recompute", "train.optimizerState"];
    const settings = Object.entries(flattenRecipe(gpt2)).filter(([key]) => !later.includes(key));
    const sorted = settings.sort(([a], [b]) => (a < b ? -1 : 1));
    expect(hashRecipe(gpt2)).toBe(createHash("sha256").update(JSON.stringify(sorted)).digest("hex"));
    expect(hashRecipe(readRecipe({}))).not.toBe(hashRecipe(gpt2));
  });

  test("the hash depends on every setting, and not on their order", () => {
    const hash = hashRecipe(recipe);
    expect(
      hashRecipe({
        train: recipe.train,
        model: recipe.model,
        corpus: recipe.corpus,
        tokenizer: recipe.tokenizer,
      }),
    ).toBe(hash);
    for (const [name, value] of Object.entries(flattenRecipe(recipe))) {
      const [section, key] = name.split(".") as ["train", "seed"];
      const altered = { ...recipe[section], [key]: `not ${value}` as never };
      const changed = { ...recipe, [section]: altered };
      expect(hashRecipe(changed), name).not.toBe(hash);
    }
  });
});
