import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomModel } from "../../test/random-model.ts";
import { beamSearch } from "../generate/beam-search.ts";
import { Decoder } from "../generate/decoder.ts";
import { generate, generateBatch } from "../generate/generate.ts";
import { LanguageModel } from "./language-model.ts";
import { type GeneratedText, generateTexts, type TextGenerationOptions } from "./text-generation.ts";

let directory: string;
let model: LanguageModel;
let own: LanguageModel;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-texts-"));
  writeFileSync(join(directory, "chat_template.jinja"), "{{ messages[-1].content }}|");
  model = new LanguageModel({ ...randomModel(5), directory });
  own = new LanguageModel(randomModel(5));
});
afterAll(() => {
  model.dispose();
  own.dispose();
  rmSync(directory, { recursive: true });
});

const texts = async (input: Parameters<typeof generateTexts>[1], options: TextGenerationOptions) =>
  (await generateTexts(model, input, options)) as GeneratedText[];

describe("in the shape of transformers.js", () => {
  test("one prompt, greedy unless asked; the prompt is part of the text unless not", async () => {
    const { decoder, tokenizer } = own;
    const expected = await generate({
      decoder,
      tokenizer,
      prompt: "To be",
      maxTokens: 9,
      sampling: { temperature: 0 },
    });
    expect(await texts("To be", { max_new_tokens: 9 })).toEqual([
      { generated_text: `To be${expected.text}` },
    ]);
    const bare = await texts("To be", { max_new_tokens: 9, return_full_text: false });
    expect(bare).toEqual([{ generated_text: expected.text }]);
  });

  test("a list of prompts, several texts of each", async () => {
    const { decoder, tokenizer } = own;
    const prompts = ["To be", "or not"];
    const sampling = { temperature: 0.7, topK: 9, topP: 0.9, repetitionPenalty: 1.1, seed: 2 };
    const expected = await generateBatch({
      decoder,
      tokenizer,
      prompts,
      maxTokens: 7,
      numSamples: 3,
      sampling,
    });
    const found = await generateTexts(model, prompts, {
      max_new_tokens: 7,
      do_sample: true,
      temperature: 0.7,
      top_k: 9,
      top_p: 0.9,
      repetition_penalty: 1.1,
      num_return_sequences: 3,
      return_full_text: false,
      seed: 2,
    });
    expect(found).toEqual(expected.map((row) => row.map(({ text }) => ({ generated_text: text }))));
  });

  test("beams", async () => {
    const decoder = new Decoder(own.engine, own.loaded.model, own.loaded.weights, { rows: 3 });
    const { tokenizer } = own;
    const search = { lengthPenalty: 0.5, stopping: "full", numTexts: 2 } as const;
    const expected = await beamSearch({ decoder, tokenizer, prompt: "To", maxTokens: 6, ...search });
    decoder.dispose();
    const beams = { num_beams: 3, length_penalty: 0.5, early_stopping: true, num_return_sequences: 2 };
    const found = await texts("To", { max_new_tokens: 6, return_full_text: false, ...beams });
    expect(found).toEqual(expected.map(({ text }) => ({ generated_text: text })));
  });

  test("a conversation comes back with its answer; a streamer hears it", async () => {
    const heard: string[] = [];
    const messages = [{ role: "user", content: "Hi" }] as const;
    const streamer = { callback_function: (text: string) => heard.push(text) };
    const [found] = await texts(messages, { max_new_tokens: 8, streamer });
    const [, answer] = found!.generated_text as { role: string; content: string }[];
    expect(answer).toEqual({ role: "assistant", content: heard.join("") });
    const { decoder, tokenizer } = own;
    const expected = await generate({
      decoder,
      tokenizer,
      prompt: "Hi|",
      maxTokens: 8,
      sampling: { temperature: 0 },
    });
    expect(answer!.content).toBe(expected.text);
  });

  test("stop strings and ends", async () => {
    const [{ generated_text: whole }] = (await texts("To", {
      max_new_tokens: 9,
      return_full_text: false,
    })) as [{ generated_text: string }];
    const stop = whole[4]!;
    const cut = whole.slice(0, whole.indexOf(stop));
    const options = { max_new_tokens: 9, return_full_text: false };
    expect(await texts("To", { ...options, stop_strings: stop })).toEqual([{ generated_text: cut }]);
    const eos_token_id = model.tokenizer.encode(stop)[0]!;
    expect(await texts("To", { ...options, eos_token_id })).toEqual([{ generated_text: cut }]);
  });

  test.each<[object, string]>([
    [
      { max_tokens: 3 },
      'max_tokens: expected an option of text generation, got an unknown one. Did you mean "max_new_tokens"?',
    ],
    [{ temperature: -1 }, "sampling.temperature"],
    [{ max_new_tokens: 0 }, "generate.maxTokens"],
    [{ early_stopping: "soon" }, 'early_stopping: expected true, false or "never", got "soon".'],
  ])("bad input: %j", async (options, message) => {
    await expect(generateTexts(model, "x", options)).rejects.toThrow(message);
  });

  test("no prompts", async () => {
    await expect(generateTexts(model, [])).rejects.toThrow("text-generation: expected at least one prompt");
  });
});
