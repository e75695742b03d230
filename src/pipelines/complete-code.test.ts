import { afterAll, describe, expect, test } from "vitest";
import { randomModel } from "../../test/random-model.ts";
import { generate } from "../generate/generate.ts";
import { completeCode } from "./complete-code.ts";
import { LanguageModel } from "./language-model.ts";

const loaded = randomModel(2);
const model = new LanguageModel(loaded);
afterAll(() => model.dispose());

const before = "function add(a, b) {\n  return ";

test("to its own end, a completion is what the model goes on with", async () => {
  const { decoder, tokenizer } = model;
  const plain = await generate({
    decoder,
    tokenizer,
    prompt: before,
    maxTokens: 40,
    sampling: { temperature: 0 },
  });
  const found = await completeCode(model, { before, until: "end", maxTokens: 40 });
  expect(found).toEqual({ completion: plain.text, finishReason: "length" });
});

test("a line ends before its line break, a block where it ends", async () => {
  const sampling = { seed: 3, logitBias: { [model.tokenizer.idOf("\n")!]: 8 } };
  const whole = await completeCode(model, { before, until: "end", maxTokens: 400, sampling });
  const line = await completeCode(model, { before, until: "line", maxTokens: 400, sampling });
  expect(whole.completion).toContain("\n");
  expect(line).toEqual({ completion: whole.completion.split("\n")[0], finishReason: "line" });
  const block = await completeCode(model, { before, until: "block", maxTokens: 400, sampling });
  expect(whole.completion.startsWith(block.completion)).toBe(true);
});

describe("code after the cursor", () => {
  /** The tokenizer with a few of its letters as tokens of the middle. */
  const withMiddle = (names: Readonly<Record<string, string>>) => {
    const own = loaded.tokenizer!;
    const tokenizer = Object.create(own, {
      idOf: { value: (text: string) => own.idOf(names[text] ?? text) },
      encode: { value: own.encode.bind(own) },
      encodeInput: { value: own.encodeInput.bind(own) },
      decode: { value: own.decode.bind(own) },
      startDecoding: { value: own.startDecoding.bind(own) },
      vocabularySize: { value: own.vocabularySize },
      specials: { value: own.specials },
      endOfTextId: { value: own.endOfTextId },
    });
    return new LanguageModel({ ...loaded, tokenizer });
  };

  test.each([
    [{ "<fim_prefix>": "P", "<fim_suffix>": "S", "<fim_middle>": "M" }, "Pa(Sz)M"],
    [{ "<|fim_prefix|>": "P", "<|fim_suffix|>": "S", "<|fim_middle|>": "M" }, "Pa(Sz)M"],
    [{ "[PREFIX]": "P", "[SUFFIX]": "S" }, "Sz)Pa("],
  ])("%j", async (names, prompt) => {
    const filling = withMiddle(names);
    const { decoder, tokenizer } = filling;
    const expected = await generate({
      decoder,
      tokenizer,
      prompt,
      maxTokens: 9,
      sampling: { temperature: 0 },
    });
    const found = await completeCode(filling, { before: "a(", after: "z)", until: "end", maxTokens: 9 });
    expect(found.completion).toBe(expected.text);
    filling.dispose();
  });

  test("is refused where the model was not trained for it", async () => {
    const failure = completeCode(model, { before, after: "}" });
    await expect(failure).rejects.toThrow(
      "after: expected a model whose tokenizer has tokens for filling in",
    );
  });
});

test("nothing before the cursor", async () => {
  await expect(completeCode(model, { before: "" })).rejects.toThrow("before: expected some code");
});
