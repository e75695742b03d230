import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomModel } from "../../test/random-model.ts";
import { generate } from "../generate/generate.ts";
import { chat } from "./chat.ts";
import { LanguageModel } from "./language-model.ts";
import { firstSentences, summarize } from "./summarize.ts";

const TEMPLATE =
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

let directory: string;
let model: LanguageModel;
let plain: LanguageModel;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "plinth-chat-"));
  writeFileSync(join(directory, "chat_template.jinja"), TEMPLATE);
  writeFileSync(join(directory, "generation_config.json"), JSON.stringify({ do_sample: true, top_k: 5 }));
  model = new LanguageModel({ ...randomModel(4), directory });
  plain = new LanguageModel(randomModel(4));
});
afterAll(() => {
  model.dispose();
  plain.dispose();
  rmSync(directory, { recursive: true });
});

const continued = async (prompt: string, sampling: object, maxTokens: number) => {
  const { decoder, tokenizer } = plain;
  return (await generate({ decoder, tokenizer, prompt, sampling, maxTokens })).text;
};

describe("chat", () => {
  test("continues the conversation as the template writes it, with the published settings", async () => {
    const expected = await continued("<system>Be brief\n<user>Hi\n<assistant>", { topK: 5 }, 12);
    const pieces: string[] = [];
    const { message, usage } = await chat(
      model,
      [
        { role: "system", content: "Be brief" },
        { role: "user", content: "Hi" },
      ],
      { maxTokens: 12, onText: (text) => pieces.push(text) },
    );
    expect(message).toEqual({ role: "assistant", content: expected });
    expect(pieces.join("")).toBe(expected);
    expect(usage).toEqual({
      promptTokens: "<system>Be brief\n<user>Hi\n<assistant>".length,
      completionTokens: 12,
    });
  });

  test("a further message reads only what is new, and is answered the same", async () => {
    const greedy = { maxTokens: 10, sampling: { temperature: 0 } };
    const first = [{ role: "user", content: "A" } as const];
    const { message } = await chat(model, first, greedy);
    const second = [...first, message, { role: "user", content: "B" } as const];
    const warm = await chat(model, second, greedy);
    model.decoder.reset();
    expect((await chat(model, second, greedy)).message).toEqual(warm.message);
  });

  test("a model without a template, a message that is none, a conversation beyond the context", async () => {
    await expect(chat(plain, [{ role: "user", content: "Hi" }])).rejects.toThrow(
      "expected a model with a chat template, got one without. Use generate",
    );
    await expect(chat(model, [{ role: 7 } as never])).rejects.toThrow("messages[0]");
    await expect(chat(model, [{ role: "user", content: "x".repeat(600) }])).rejects.toThrow(
      "prompt: expected at most 512 tokens, the size of the context",
    );
  });
});

describe("summarize", () => {
  const text = "One is here. Two came later.\n\nThree? It never came.";

  test("asks in the chat template where there is one, else by TL;DR:", async () => {
    const asked = `<user>Summarize the following text in at most 3 sentences.\n\n${text}\n<assistant>`;
    const byChat = await summarize(model, text, { maxTokens: 60 });
    expect(byChat).toEqual({ summary: firstSentences(await continued(asked, { topK: 5 }, 60), 3), parts: 1 });
    const byTldr = await summarize(plain, text, { maxTokens: 60, sentences: 1 });
    expect(byTldr.summary).toBe(firstSentences(await continued(`${text}\n\nTL;DR:`, { topK: 2 }, 60), 1));
    expect(await summarize(model, text, { maxTokens: 60, sentences: 1, style: "tldr" })).toEqual(byTldr);
  });

  test("a text beyond the context is refused, or read in parts", async () => {
    const long = Array.from({ length: 60 }, (_, i) => `Sentence number ${i} says a little.`).join(" ");
    await expect(summarize(plain, long)).rejects.toThrow("Shorten it, or have it read in parts");
    const { summary, parts } = await summarize(plain, long, { inParts: true, maxTokens: 40 });
    expect(parts).toBeGreaterThanOrEqual(Math.ceil(long.length / 512));
    expect(summary.length).toBeGreaterThan(0);
    expect(summary.length).toBeLessThanOrEqual(40);
  });

  test.each<[string, object, string]>([
    ["", {}, "summarize: expected a text with something in it"],
    ["x", { sentences: 0 }, "summarize.sentences: expected an integer ≥ 1"],
    ["x", { maxTokens: 1.5 }, "summarize.maxTokens: expected"],
    ["x", { style: "chat" }, "expected a model with a chat template"],
  ])("bad input: %j %j", async (content, options, message) => {
    await expect(summarize(plain, content, options)).rejects.toThrow(message);
  });
});

test("the first sentences of a text", () => {
  expect(firstSentences("  One.\nTwo!  Three? Four", 3)).toBe("One. Two! Three?");
  expect(firstSentences("Version 1.5 is out. More", 1)).toBe("Version 1.5 is out.");
  expect(firstSentences("", 3)).toBe("");
});
