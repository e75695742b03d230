import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engine } from "../../test/tiny-run.ts";
import { hostTensor } from "../core/dtype.ts";
import { ConfigError, FormatError } from "../core/errors.ts";
import { readWeights } from "../engine/stored-tensor.ts";
import { input } from "../tensor/tensor.ts";
import { DecoderClassifier, lastTokenLogits } from "./decoder-classifier.ts";
import { describeModel } from "./describe-model.ts";
import { type LoadedClassifier, loadClassifier, loadModel } from "./load-model.ts";
import { saveClassifier } from "./save-model.ts";

// Golden values of tools/golden/decoder_classifiers.py: Python transformers, float64 runs of float32 weights.

const FIXTURES = new URL("../../test/fixtures/classifiers/", import.meta.url).pathname;
const GPT2 = new URL("../../test/fixtures/gpt2/prefixed", import.meta.url).pathname;

interface Golden {
  readonly tokens: readonly (readonly number[])[];
  readonly logits: readonly (readonly number[])[];
}

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "plinth-classifiers-"));
});
afterAll(() => rmSync(root, { recursive: true }));

async function scoresOf({ model, weights }: LoadedClassifier, tokens: Golden["tokens"]): Promise<number[]> {
  const shape = [tokens.length, tokens[0]!.length];
  const scores = lastTokenLogits(
    model,
    input("tokens", "int32", shape),
    input("lastPlaces", "int32", [tokens.length]),
  );
  const program = engine.compile("scores", { scores }, { constants: weights });
  const { scores: found } = await program.run({
    tokens: hostTensor("int32", shape, Int32Array.from(tokens.flat())),
    lastPlaces: hostTensor(
      "int32",
      [tokens.length],
      Int32Array.from(tokens, (row) => model.lastPlace(row)),
    ),
  });
  program.dispose();
  return Array.from(found!.data as Float32Array);
}

describe.each(["gpt2", "mistral", "llama", "qwen2"])("%s with a head that sorts texts", (name) => {
  const directory = `${FIXTURES}${name}`;
  const golden = JSON.parse(readFileSync(`${directory}/golden.json`, "utf8")) as Golden;

  test("scores padded texts as transformers does, by the last token that is no padding", async () => {
    const scores = await scoresOf(loadClassifier(directory), golden.tokens);
    expect(scores.length).toBe(golden.logits.flat().length);
    golden.logits.flat().forEach((expected, i) => {
      expect(Math.abs(scores[i]! - expected)).toBeLessThan(2e-5);
    });
  });

  test("saves what it loads: the same tensors under the same names, and the same configuration", () => {
    const loaded = loadClassifier(directory);
    const saved = join(root, name);
    saveClassifier(saved, { ...loaded, tokenizer: undefined, card: "" });
    const bytes = (folder: string) => readFileSync(join(folder, "model.safetensors"));
    const headerOf = (file: Buffer) => {
      const size = Number(file.readBigUInt64LE(0));
      const { __metadata__: _, ...tensors } = JSON.parse(file.subarray(8, 8 + size).toString());
      return tensors as Record<string, { shape: number[] }>;
    };
    const shapes = (folder: string) =>
      Object.entries(headerOf(bytes(folder))).map(([tensor, { shape }]) => `${tensor} ${shape}`);
    expect(shapes(saved).sort()).toEqual(shapes(directory).sort());
    const [before, after] = [loaded, loadClassifier(saved)].map(({ weights }) => readWeights(weights));
    for (const [path, { data }] of before!) expect(after!.get(path)!.data).toEqual(data);
    const config = (folder: string) => JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    const { architectures, id2label, label2id, problem_type, pad_token_id } = config(directory);
    expect(config(saved)).toMatchObject({ architectures, id2label, label2id, problem_type, pad_token_id });
  });

  test("is described without its weights", () => {
    const description = describeModel(directory);
    expect(description.tensors.map(({ path }) => path)).toContain("score.weight");
    expect(description.model.family).toBe(name);
  });
});

test("takes from its body what hidden states are made of, and its table of tokens for lookups only", () => {
  const { model: body } = loadModel(GPT2);
  const model = new DecoderClassifier(body, { labels: ["a", "b"], problem: "single-label", padId: 0 });
  expect(model.parameters.map(({ path }) => path)).toEqual([
    ...body.parameters.map(({ path }) => path),
    "score.weight",
  ]);
  expect(model.parameters.at(-1)!.shape).toEqual([2, 32]);
  expect(model.lookupPaths).toEqual(["wpe.weight", "wte.weight"]);
  const { model: mistral } = loadClassifier(`${FIXTURES}mistral`);
  expect(mistral.parameters.some(({ path }) => path === "lm_head.weight")).toBe(false);
});

describe("bad input", () => {
  test("a model without such a head, and one with it where the next token is wanted", () => {
    expect(() => loadClassifier(GPT2)).toThrow(FormatError);
    expect(() => loadClassifier(GPT2)).toThrow("1 missing (score.weight)");
    expect(() => loadModel(`${FIXTURES}gpt2`)).toThrow("1 left over (score.weight)");
  });

  test("no labels", () => {
    const { model: body } = loadModel(GPT2);
    const options = { labels: [], problem: "single-label", padId: 0 } as const;
    expect(() => new DecoderClassifier(body, options)).toThrow(ConfigError);
  });
});
