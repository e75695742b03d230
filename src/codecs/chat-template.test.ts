import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, DataError, FormatError, PlinthError } from "../core/errors.ts";
import type { ChatMessage } from "./chat-messages.ts";
import { ChatTemplate, loadChatTemplate } from "./chat-template.ts";
import { Template } from "./template/template.ts";

const root = join(import.meta.dirname, "../..");
const data = join(root, "../shared/data");

interface Chat {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly object[] | null;
  readonly documents?: readonly object[];
  readonly add_generation_prompt?: boolean;
  readonly continue_final_message?: boolean;
}
interface Rendering {
  readonly text?: string;
  readonly sha256?: string;
  readonly fails?: string;
}
const golden = JSON.parse(readFileSync(join(root, "test/fixtures/chat-template/golden.json"), "utf8")) as {
  readonly now: string;
  readonly chats: Readonly<Record<string, Chat>>;
  readonly renderings: readonly {
    readonly template: string;
    readonly chats: Readonly<Record<string, Rendering>>;
  }[];
};
interface Published {
  readonly name: string;
  readonly chat_template: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly target: string;
  readonly target_jinja2?: string;
}
interface EngineCase {
  readonly name: string;
  readonly template: string;
  readonly context: Readonly<Record<string, unknown>>;
  readonly expected: string;
  readonly expected_jinja2?: string;
  readonly jinja2_error?: string;
}

const hasData = existsSync(join(data, "chat-templates")) && existsSync(join(data, "tok-mistral"));
const readData = <T>(path: string): readonly T[] =>
  hasData ? (JSON.parse(readFileSync(join(data, path), "utf8")) as readonly T[]) : [];
const published = readData<Published>("chat-templates/chat-templates.json");
const engineCases = readData<EngineCase>("chat-templates/jinja-cases.json");

function sourceOf(name: string): string {
  const [path, entry] = name.split("#");
  if (entry === undefined) return readFileSync(join(data, path!), "utf8");
  return published.find((other) => other.name === entry)!.chat_template;
}

/** A conversation of the shared data. */
function readSample(name: string): Chat {
  const path = join(data, "tok-mistral/samples", name, "sample.json");
  const { messages, tools } = JSON.parse(readFileSync(path, "utf8")) as Chat;
  return tools?.length ? { messages, tools } : { messages };
}

describe.skipIf(!hasData)("published templates (skipped without ../shared/data)", () => {
  test("every template renders as in Python", () => {
    expect(published.length).toBe(41);
    for (const { name, chat_template, data: variables, target, target_jinja2 } of published) {
      expect(new Template(chat_template, name).render(variables), name).toBe(target_jinja2 ?? target);
    }
  });

  test("every case of the engine prints as in Python, and fails where Python does", () => {
    expect(engineCases.length).toBe(104);
    for (const { name, template, context, expected, expected_jinja2, jinja2_error } of engineCases) {
      const render = () => new Template(template, name).render(context);
      if (jinja2_error) expect(render, name).toThrow(PlinthError);
      else expect(render(), name).toBe(expected_jinja2 ?? expected);
    }
  });

  test.each(golden.renderings)("$template renders all conversations", ({ template: name, chats }) => {
    const specialTokens = { bos_token: "<s>", eos_token: "</s>" };
    const template = new ChatTemplate({ sources: { default: sourceOf(name) }, specialTokens, where: name });
    for (const [key, expected] of Object.entries(chats)) {
      const chat = golden.chats[key] ?? readSample(key);
      const render = () =>
        template.render(chat.messages, {
          tools: chat.tools ?? undefined,
          documents: chat.documents,
          addGenerationPrompt: chat.add_generation_prompt,
          continueFinalMessage: chat.continue_final_message,
          now: new Date(golden.now),
        });
      if (expected.fails) expect(render, key).toThrow(PlinthError);
      else if (expected.text !== undefined) expect(render(), key).toBe(expected.text);
      else expect(createHash("sha256").update(render()).digest("hex"), key).toBe(expected.sha256);
    }
  });
});

const user: ChatMessage = { role: "user", content: "Hi" };
const LIST =
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
const chat = new ChatTemplate({
  sources: { default: LIST, tool_use: "{{ tools | tojson }}", rag: "{{ documents | length }}" },
});

describe("rendering", () => {
  test("the generation prompt, tools and documents choose and reach the template", () => {
    expect(chat.render([user], { addGenerationPrompt: true })).toBe("<user>Hi<assistant>");
    expect(chat.render([user], { tools: [{ name: "f" }] })).toBe('[{"name": "f"}]');
    expect(chat.render([user], { template: "rag", documents: [{}, {}] })).toBe("2");
    expect(() => chat.render([user], { template: "rug" })).toThrow(
      /one of default, tool_use, rag, got "rug"/,
    );
  });

  test("the final message is continued", () => {
    const begun = [user, { role: "assistant", content: "Well, " }];
    expect(chat.render(begun, { continueFinalMessage: true })).toBe("<user>Hi<assistant>Well, ");
    const trimming = new ChatTemplate({ sources: { default: "{{ messages[-1].content | trim }}</s>" } });
    expect(trimming.render(begun, { continueFinalMessage: true })).toBe("Well,");
    const deaf = new ChatTemplate({ sources: { default: "content" } });
    expect(() => deaf.render(begun, { continueFinalMessage: true })).toThrow(FormatError);
    expect(() => chat.render(begun, { continueFinalMessage: true, addGenerationPrompt: true })).toThrow(
      ConfigError,
    );
    expect(() => chat.render([{ role: "user" }], { continueFinalMessage: true })).toThrow(
      /messages\[0\].content/,
    );
  });

  test.each<[string, unknown, RegExp]>([
    ["no messages", [], /^messages: expected at least one message, got none/],
    ["not a list", "Hi", /^messages: expected at least one message/],
    ["a text", [user, "Hi"], /^messages\[1\]: expected an object/],
    ["no role", [user, { content: "x" }], /^messages\[1\].role: expected a text such as "user", got nothing/],
    ["a number", [{ role: "user", content: 5 }], /^messages\[0\].content: expected a text or a list/],
    ["a piece without a type", [{ role: "user", content: [{ text: "x" }] }], /^messages\[0\].content\[0\]/],
    [
      "a text piece without text",
      [{ role: "user", content: [{ type: "text" }] }],
      /^messages\[0\].content\[0\].text/,
    ],
    ["calls that are none", [{ role: "assistant", tool_calls: {} }], /^messages\[0\].tool_calls: /],
    [
      "a call without a name",
      [{ role: "assistant", tool_calls: [{ function: {} }] }],
      /^messages\[0\].tool_calls\[0\]/,
    ],
  ])("%s is refused by name", (_, messages, message) => {
    const render = () => chat.render(messages as readonly ChatMessage[]);
    expect(render).toThrow(DataError);
    expect(render).toThrow(message);
  });

  test("data that is not JSON is refused", () => {
    expect(() => chat.render([{ ...user, extra: () => 1 }])).toThrow(FormatError);
    const ring: Record<string, unknown> = {};
    ring.ring = ring;
    expect(() => chat.render([user], { variables: { ring } })).toThrow(PlinthError);
  });
});

describe("loading", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "plinth-chat-"));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const make = (name: string, files: Readonly<Record<string, string>>) => {
    const path = join(directory, name);
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(join(path, file, ".."), { recursive: true });
      writeFileSync(join(path, file), text);
    }
    return path;
  };
  const config = (value: unknown) => ({ "tokenizer_config.json": JSON.stringify(value) });

  test("from tokenizer_config.json, with its special tokens", () => {
    const path = make(
      "one",
      config({
        chat_template: "{{ bos_token }}{{ eos_token }}{{ pad_token }}",
        bos_token: "<s>",
        eos_token: { content: "</s>" },
        pad_token: null,
      }),
    );
    expect(loadChatTemplate(path)!.render([user])).toBe("<s></s>");
  });

  test("a list of named templates", () => {
    const path = make(
      "named",
      config({
        chat_template: [
          { name: "default", template: "d" },
          { name: "rag", template: "r" },
        ],
      }),
    );
    const loaded = loadChatTemplate(path)!;
    expect(loaded.names).toEqual(["default", "rag"]);
    expect(loaded.render([user], { template: "rag" })).toBe("r");
  });

  test("files take precedence", () => {
    const path = make("files", {
      ...config({ chat_template: "old" }),
      "chat_template.jinja": "new",
      "additional_chat_templates/rag.jinja": "r",
    });
    expect(loadChatTemplate(path)!.render([user])).toBe("new");
    expect(loadChatTemplate(path)!.names).toEqual(["default", "rag"]);
  });

  test("none, and malformed ones", () => {
    expect(loadChatTemplate(make("none", config({})))).toBeUndefined();
    expect(loadChatTemplate(join(directory, "absent"))).toBeUndefined();
    expect(() => loadChatTemplate(make("number", config({ chat_template: 5 })))).toThrow(FormatError);
    expect(() => loadChatTemplate(make("entry", config({ chat_template: [{ name: "x" }] })))).toThrow(
      FormatError,
    );
  });
});
