import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, DataError, FormatError } from "../core/errors.ts";
import { suggest } from "../core/nearest.ts";
import { readJsonObject } from "../hub/read-json-file.ts";
import {
  decodeUtf8,
  describeJson,
  isJsonObject,
  type JsonObject,
  type JsonValue,
} from "../hub/strict-json.ts";
import { withSystemErrors } from "../hub/system-error.ts";
import { type ChatMessage, readMessages } from "./chat-messages.ts";
import { stripText } from "./template/string-methods.ts";
import { type MarkedText, Template } from "./template/template.ts";

const CONFIG = "tokenizer_config.json";
const DEFAULT_FILE = "chat_template.jinja";
const EXTRA_FOLDER = "additional_chat_templates";

/** Put at the end of the message to continue, to find the place in what the template made of it. */
const CONTINUE_TAG = "CONTINUE_FINAL_MESSAGE_TAG ";

/** What a conversation is rendered with. */
export interface ChatRenderOptions {
  /** JSON schemas of functions the model may call. */
  readonly tools?: readonly object[] | undefined;
  /** Texts to answer from: objects with `title` and `text`. */
  readonly documents?: readonly object[] | undefined;
  /** Ends the prompt where the assistant begins to write. Default false, as in Python. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Leaves the last message open, for the model to go on with it. */
  readonly continueFinalMessage?: boolean | undefined;
  /** Which of several named templates; default: "tool_use" with tools where there is one, else "default". */
  readonly template?: string | undefined;
  /** Further variables that templates read, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** What a template takes for today. Default: the clock. */
  readonly now?: Date | undefined;
}

/** Sources of chat templates by name, and the special tokens they write. */
export interface ChatTemplateSpec {
  /** By name; the usual one is "default". */
  readonly sources: Readonly<Record<string, string>>;
  /** `bos_token` and the like, by the name templates know. */
  readonly specialTokens?: Readonly<Record<string, string>>;
  /** Names the template in errors. */
  readonly where?: string;
}

/**
 * A model's chat template: conversations as the text the model was trained on. Renders byte for byte what Python's
 * `tokenizer.apply_chat_template(…, tokenize=False)` renders.
 *
 * @example
 * const template = new ChatTemplate({ sources: { default: "{{ messages[0].content }}" } });
 * template.render([{ role: "user", content: "Hi" }]); // => "Hi"
 */
export class ChatTemplate {
  readonly names: readonly string[];
  readonly #where: string;
  readonly #sources: Readonly<Record<string, string>>;
  readonly #specialTokens: Readonly<Record<string, string>>;
  readonly #parsed = new Map<string, Template>();

  constructor({ sources, specialTokens = {}, where = "the chat template" }: ChatTemplateSpec) {
    this.names = Object.keys(sources);
    this.#where = where;
    this.#sources = sources;
    this.#specialTokens = specialTokens;
  }

  /**
   * @throws {DataError} naming the message that is not one, or with the words of a template that refuses.
   * @throws {FormatError} if the template cannot be parsed, fails or does not end.
   * @throws {ConfigError} if there is no template of that name, or options exclude each other.
   */
  render(messages: readonly ChatMessage[], options: ChatRenderOptions = {}): string {
    const { addGenerationPrompt = false, continueFinalMessage = false, now } = options;
    if (addGenerationPrompt && continueFinalMessage) {
      throw new ConfigError({
        where: "addGenerationPrompt and continueFinalMessage",
        expected: "at most one of them",
        got: "both",
        fix: "The first begins a message, the second goes on with one.",
      });
    }
    const name = this.#choose(options);
    const prepared = readMessages(messages);
    const finalText = continueFinalMessage ? this.#tagFinalMessage(prepared, name) : undefined;
    const text = this.#template(name).render(this.#variables(prepared, options), now ? { now } : {});
    return finalText === undefined ? text : this.#cutAtTag(text, finalText);
  }

  /** The usual template, as it is written. */
  get defaultSource(): string | undefined {
    return this.#sources.default;
  }

  /** Whether the template that these options choose says, by `{% generation %}` blocks, what the assistant writes. */
  marksGenerated(options: ChatRenderOptions = {}): boolean {
    return this.#template(this.#choose(options)).marksGenerated;
  }

  /**
   * A whole conversation, and what of it stands in the template's `{% generation %}` blocks: what Python's
   * `apply_chat_template(…, return_assistant_tokens_mask=True)` goes by.
   *
   * @throws as `render`.
   */
  renderMarked(messages: readonly ChatMessage[], options: ChatRenderOptions = {}): MarkedText {
    const { now } = options;
    const variables = this.#variables(readMessages(messages), options);
    return this.#template(this.#choose(options)).renderMarked(variables, now ? { now } : {});
  }

  #variables(messages: readonly object[], options: ChatRenderOptions): Readonly<Record<string, unknown>> {
    return {
      ...this.#specialTokens,
      ...options.variables,
      messages,
      tools: readObjects("tools", options.tools),
      documents: readObjects("documents", options.documents),
      add_generation_prompt: options.addGenerationPrompt ?? false,
    };
  }

  #choose({ template, tools }: ChatRenderOptions): string {
    if (template === undefined) {
      if (tools && this.names.includes("tool_use")) return "tool_use";
      if (this.names.includes("default")) return "default";
      if (this.names.length === 1) return this.names[0]!;
    } else if (this.names.includes(template)) {
      return template;
    }
    throw new ConfigError({
      where: `${this.#where}, template`,
      expected: `one of ${this.names.join(", ")}`,
      got: template === undefined ? "none chosen" : JSON.stringify(template),
      ...(template !== undefined && { fix: suggest(template, this.names) }),
    });
  }

  #template(name: string): Template {
    const parsed = this.#parsed.get(name) ?? new Template(this.#sources[name]!, this.#where);
    this.#parsed.set(name, parsed);
    return parsed;
  }

  /** Marks the end of the last message's text, and returns that text. */
  #tagFinalMessage(messages: Record<string, unknown>[], name: string): string {
    const where = `messages[${messages.length - 1}].content`;
    const final = messages.at(-1)!;
    const { content } = final;
    if (!this.#sources[name]!.includes("content")) {
      throw new FormatError({
        where: this.#where,
        expected: "a template that reads content",
        got: "one that does not",
      });
    }
    if (typeof content === "string") {
      final.content = content + CONTINUE_TAG;
      return content;
    }
    const parts: readonly Readonly<Record<string, unknown>>[] = Array.isArray(content) ? content : [];
    const at = parts.findLastIndex((part) => typeof part.text === "string");
    if (at < 0) throw new DataError({ where, expected: "a text to continue", got: "none" });
    const text = parts[at]!.text as string;
    final.content = parts.map((part, i) => (i === at ? { ...part, text: text + CONTINUE_TAG } : part));
    return text;
  }

  #cutAtTag(text: string, finalText: string): string {
    const at = text.lastIndexOf(CONTINUE_TAG.trimEnd());
    if (at < 0 || !text.includes(stripText(finalText, null, "both"))) {
      throw new FormatError({
        where: this.#where,
        expected: "the final message in what the template renders, to continue it",
        got: "none of it: the template leaves it out or changes it",
      });
    }
    const head = text.slice(0, at);
    // Without its space the tag was trimmed, and so would the message have been.
    return text.startsWith(CONTINUE_TAG, at) ? head : stripText(head, null, "end");
  }
}

/**
 * Reads the chat template of a model directory: `chat_template.jinja` and `additional_chat_templates/`, or
 * else `chat_template` in `tokenizer_config.json`. Undefined if the model has none.
 *
 * @throws {FormatError} if it is not text.
 */
export function loadChatTemplate(directory: string): ChatTemplate | undefined {
  const configPath = join(directory, CONFIG);
  const config = existsSync(configPath) ? readJsonObject(configPath) : {};
  const files = readTemplateFiles(directory);
  const sources =
    Object.keys(files).length > 0 ? files : readConfigured(config.chat_template ?? null, configPath);
  if (Object.keys(sources).length === 0) return undefined;
  const where =
    Object.keys(files).length > 0 ? join(directory, DEFAULT_FILE) : `${configPath}, chat_template`;
  return new ChatTemplate({ sources, specialTokens: readSpecialTokens(config), where });
}

function readTemplateFiles(directory: string): Record<string, string> {
  const sources: Record<string, string> = {};
  const path = join(directory, DEFAULT_FILE);
  if (existsSync(path)) sources.default = readText(path);
  const folder = join(directory, EXTRA_FOLDER);
  if (!existsSync(folder)) return sources;
  for (const name of readdirSync(folder).sort()) {
    if (name.endsWith(".jinja")) sources[name.slice(0, -".jinja".length)] = readText(join(folder, name));
  }
  return sources;
}

function readText(path: string): string {
  return withSystemErrors(path, "a readable template", () => decodeUtf8(readFileSync(path), path));
}

function readConfigured(value: JsonValue, path: string): Record<string, string> {
  if (value === null) return {};
  if (typeof value === "string") return { default: value };
  const entries = Array.isArray(value) ? value : [value];
  return Object.fromEntries(
    entries.map((entry: JsonValue) => {
      const { name, template } = isJsonObject(entry) ? entry : {};
      if (typeof name === "string" && typeof template === "string") return [name, template];
      throw new FormatError({
        where: `${path}, chat_template`,
        expected: "a text, or a list of objects with a name and a template",
        got: describeJson(entry),
      });
    }),
  );
}

/** All `…_token` entries: a text, or an object with the text as its content. */
function readSpecialTokens(config: JsonObject): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    const text = isJsonObject(value) ? value.content : value;
    if (key.endsWith("_token") && typeof text === "string") tokens[key] = text;
  }
  return tokens;
}

function readObjects(where: string, values: readonly object[] | undefined): readonly object[] | null {
  if (values === undefined) return null;
  const at = values.findIndex((value) => typeof value !== "object" || value === null || Array.isArray(value));
  if (at < 0) return values;
  throw new DataError({
    where: `${where}[${at}]`,
    expected: "an object",
    got: describeJson(values[at] as unknown as JsonValue),
  });
}
