import { type ChatMessage, checkMessages } from "../../codecs/chat-messages.ts";
import { DataError } from "../../core/errors.ts";
import type { ExampleKind } from "./example-kind.ts";
import type { Chat, Preference, TextOrMessages } from "./examples.ts";
import { describeValue } from "./raw-row.ts";
import type { RowFields } from "./row-fields.ts";

/** Who speaks, as ShareGPT files name them. */
const SHARE_GPT_ROLES: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  system: "system",
  tool: "tool",
  observation: "tool",
};

/**
 * `messages` of `{ role, content, tool_calls }`, or `conversations` of `{ from, value }`; perhaps `tools`. The assistant has to
 * speak at least once.
 */
export const CHAT: ExampleKind<Chat> = {
  name: "chat",
  fields: ["messages", "conversations", "tools"],
  read: (fields) => {
    const field = !fields.has("messages") && fields.has("conversations") ? "conversations" : "messages";
    const messages = readConversation(fields, field, fields.list(field));
    if (!messages.some(({ role }) => role === "assistant")) {
      fields.fail(field, 'a message of the role "assistant"', messages.map(({ role }) => role).join(", "));
    }
    return fields.has("tools") ? { messages, tools: fields.list("tools") } : { messages };
  },
  identity: ({ messages }) => JSON.stringify(messages.slice(0, messages.findIndex(isAssistant))),
};

/**
 * `prompt`, `chosen` and `rejected`, as texts or as messages. Without a `prompt`, `chosen` and `rejected` are whole
 * conversations, and the prompt is what they begin with alike.
 */
export const PREFERENCE: ExampleKind<Preference> = {
  name: "preference",
  fields: ["prompt", "chosen", "rejected"],
  read: (fields) => {
    const chosen = readSide(fields, "chosen");
    const rejected = readSide(fields, "rejected");
    if (typeof chosen !== typeof rejected) {
      fields.fail(
        "rejected",
        `${typeof chosen === "string" ? "a text" : "messages"}, as chosen is`,
        "the other",
      );
    }
    if (JSON.stringify(chosen) === JSON.stringify(rejected)) {
      fields.fail(
        "rejected",
        "something other than chosen",
        "the same",
        "Leave out pairs without a preference.",
      );
    }
    if (!fields.has("prompt") && typeof chosen !== "string" && typeof rejected !== "string") {
      return splitPrompt(fields, chosen, rejected);
    }
    return { prompt: readSide(fields, "prompt"), chosen, rejected };
  },
  identity: ({ prompt, chosen, rejected }) => JSON.stringify([prompt, chosen, rejected]),
};

function readSide(fields: RowFields, field: string): TextOrMessages {
  const value = fields.value(field);
  return Array.isArray(value) ? readConversation(fields, field, fields.list(field)) : fields.text(field);
}

function splitPrompt(
  fields: RowFields,
  chosen: readonly ChatMessage[],
  rejected: readonly ChatMessage[],
): Preference {
  let shared = 0;
  while (
    shared < Math.min(chosen.length, rejected.length) &&
    JSON.stringify(chosen[shared]) === JSON.stringify(rejected[shared])
  ) {
    shared++;
  }
  if (shared === 0) fields.fail("prompt", "a prompt, or conversations that begin alike", "neither");
  for (const [field, messages] of [["chosen", chosen] as const, ["rejected", rejected] as const]) {
    if (messages.length === shared) fields.fail(field, "an answer behind the shared beginning", "none");
  }
  return { prompt: chosen.slice(0, shared), chosen: chosen.slice(shared), rejected: rejected.slice(shared) };
}

function readConversation(
  fields: RowFields,
  field: string,
  list: readonly unknown[],
): readonly ChatMessage[] {
  const messages = list.map((message, i) => renameShareGpt(fields, `${field}[${i}]`, message));
  try {
    checkMessages(messages);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const { where, expected, got } = error.failure;
    fields.fail(where.replace(/^messages/, field), expected, got);
  }
  for (const [i, message] of (messages as readonly ChatMessage[]).entries()) {
    if (isEmpty(message)) fields.fail(`${field}[${i}]`, "content or tool_calls", "neither");
  }
  return messages as readonly ChatMessage[];
}

function renameShareGpt(fields: RowFields, where: string, message: unknown): unknown {
  if (typeof message !== "object" || message === null || !("from" in message) || "role" in message)
    return message;
  const { from, value, ...others } = message as Record<string, unknown>;
  const role = typeof from === "string" ? SHARE_GPT_ROLES[from] : undefined;
  if (role === undefined) {
    fields.fail(`${where}.from`, `one of ${Object.keys(SHARE_GPT_ROLES).join(", ")}`, describeValue(from));
  }
  return { role, content: value, ...others };
}

function isAssistant({ role }: ChatMessage): boolean {
  return role === "assistant";
}

function isEmpty({ content, tool_calls: calls }: ChatMessage): boolean {
  return (content ?? "").length === 0 && (calls ?? []).length === 0;
}
