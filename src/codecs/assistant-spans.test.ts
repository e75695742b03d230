import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type AssistantTurns, assistantSpans } from "./assistant-spans.ts";
import { trainCharTokenizer } from "./char-tokenizer.ts";
import { ChatTemplate } from "./chat-template.ts";
import { plainChatTemplate } from "./plain-chat-template.ts";
import { parseSentencePiece } from "./sentencepiece.ts";

const path = "../shared/data/chat-templates/chat-templates.json";
const hasData = existsSync(path);
const published: readonly { readonly name: string; readonly chat_template: string }[] = hasData
  ? JSON.parse(readFileSync(path, "utf8"))
  : [];

const mistral = "../shared/data/tok-mistral/tokenizer.model.v1";
const hasMistral = existsSync(mistral);

const messages = [
  { role: "user", content: "What is the capital of France?" },
  { role: "assistant", content: "Paris." },
  { role: "user", content: "And of Japan?" },
  { role: "assistant", content: "Tokyo." },
];

function saidIn(name: string, turns: AssistantTurns): string[] {
  const source = published.find((entry) => entry.name === name)!.chat_template;
  const specialTokens = { bos_token: "<s>", eos_token: "</s>" };
  const template = new ChatTemplate({ sources: { default: source }, specialTokens });
  const { text, generated } = assistantSpans(template, messages, { turns, endOfTurn: "<|im_end|>" });
  return generated.map(([start, end]) => text.slice(start, end));
}

describe.skipIf(!hasData)(
  "published templates, none of which marks turns (skipped without ../shared/data)",
  () => {
    test.each([
      ["HuggingFaceH4/zephyr-7b-beta (add_generation_prompt=true)", ["Paris.</s>", "Tokyo.</s>"]],
      ["mistralai/Mixtral-8x7B-Instruct-v0.1", ["Paris.</s>", "Tokyo.</s>"]],
      ["default/llama", [" Paris. </s>", " Tokyo. </s>"]],
      ["meta-llama/Llama-3.1-8B-Instruct", ["Paris.<|eot_id|>", "Tokyo.<|eot_id|>"]],
      ["Qwen/Qwen2.5-7B-Instruct", ["Paris.<|im_end|>", "Tokyo.<|im_end|>"]],
      // It leaves the end of a turn away until another follows.
      ["Qwen/Qwen1.5-72B-Chat", ["Paris.<|im_end|>", "Tokyo."]],
      ["moonshotai/Kimi-K2-Thinking", ["<think></think>Paris.<|im_end|>", "<think></think>Tokyo.<|im_end|>"]],
    ])("%s: the turns are found", (name, said) => {
      expect(saidIn(name, "all")).toEqual(said);
      expect(saidIn(name, "last")).toEqual(said.slice(1));
    });

    test.each([
      ["Qwen/Qwen3-0.6B", "<think>\n\n</think>\n\nTokyo.<|im_end|>"],
      ["zai-org/GLM-5.1", "</think>Tokyo."],
    ])("%s drops the thoughts of old turns: only the last one can be learnt", (name, said) => {
      expect(() => saidIn(name, "all")).toThrow(/messages\[1\]: .* shows the same way whatever follows/);
      expect(saidIn(name, "last")).toEqual([said]);
    });

    test.each(["MadeAgents/Hammer2.1", "TheBloke/deepseek-coder-33B-instruct-AWQ"])(
      "%s always begins another turn, which is not to be learnt",
      (name) => {
        expect(() => saidIn(name, "last")).toThrow(/a template that begins another turn behind it/);
      },
    );
  },
);

test("a conversation that the assistant begins cannot be told from its header", () => {
  const source =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ '<assistant>' if add_generation_prompt }}";
  const template = new ChatTemplate({ sources: { default: source } });
  const begun = [{ role: "assistant", content: "Hi" }, ...messages];
  expect(() => assistantSpans(template, begun)).toThrow(/messages\[0\]: .* others come before/);
  const { text, generated } = assistantSpans(template, begun, { turns: "last" });
  expect(generated.map(([start, end]) => text.slice(start, end))).toEqual(["Tokyo."]);
});

test("the plain template marks what the assistant writes, calls of tools included", () => {
  const tokenizer = trainCharTokenizer(["abc"]);
  const template = plainChatTemplate(tokenizer);
  const call = { function: { name: "area", arguments: { radius: 2 } } };
  const chat = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "How large?" },
    { role: "assistant", content: "Let me see.", tool_calls: [call] },
    { role: "tool", content: "12.6" },
    { role: "assistant", content: "12.6" },
  ];
  const { text, generated } = assistantSpans(template, chat, { tools: [{ name: "area" }] });
  expect(text).toBe(`tools:
{"name": "area"}

system:
Be brief.

user:
How large?

assistant:
Let me see.
{"name": "area", "arguments": {"radius": 2}}<|endoftext|>

tool:
12.6

assistant:
12.6<|endoftext|>

`);
  expect(generated.map(([start, end]) => text.slice(start, end))).toEqual([
    'Let me see.\n{"name": "area", "arguments": {"radius": 2}}<|endoftext|>',
    "12.6<|endoftext|>",
  ]);
  const prompt = template.render(chat.slice(0, 2), { addGenerationPrompt: true });
  expect(prompt).toBe("system:\nBe brief.\n\nuser:\nHow large?\n\nassistant:\n");
});

test.skipIf(!hasMistral)(
  "the plain template begins as the tokenizer's texts do (skipped without ../shared/data)",
  () => {
    const bytes = readFileSync(mistral);
    const tokenizer = parseSentencePiece(bytes, "tokenizer.model.v1", {
      surround: { bos: true, eos: false },
    });
    const text = plainChatTemplate(tokenizer).render(messages.slice(0, 2));
    expect(text).toBe("<s>user:\nWhat is the capital of France?\n\nassistant:\nParis.</s>\n\n");
  },
);

test.skipIf(!hasMistral)(
  "Mistral puts tools before the last question: only the last turn can be learnt",
  () => {
    const folder = "../shared/data/tok-mistral";
    const { messages: given, tools } = JSON.parse(
      readFileSync(`${folder}/samples/get_weather_full/sample.json`, "utf8"),
    );
    const template = new ChatTemplate({
      sources: { default: readFileSync(`${folder}/chat_templates/v3.jinja`, "utf8") },
      specialTokens: { bos_token: "<s>", eos_token: "</s>" },
    });
    const chat = [...given, { role: "assistant", content: "Sunny." }];
    expect(() => assistantSpans(template, chat, { tools })).toThrow(/shows the same way whatever follows/);
    const { text, generated } = assistantSpans(template, chat, { tools, turns: "last" });
    expect(text).toContain("[AVAILABLE_TOOLS]");
    expect(generated.map(([start, end]) => text.slice(start, end).trim())).toEqual(["Sunny.</s>"]);
  },
);
