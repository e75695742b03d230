import { DataError } from "../core/errors.ts";

/** A piece of a message: text, or something a template only names, such as an image. */
export interface ChatContent {
  readonly type: string;
  readonly text?: string;
  readonly [key: string]: unknown;
}

/** A call the assistant made, as the OpenAI and Hugging Face formats spell it. */
export interface ToolCall {
  readonly id?: string;
  readonly type?: string;
  readonly function: {
    readonly name: string;
    /** An object, or its JSON text: which of them a template expects is the template's business. */
    readonly arguments: string | Readonly<Record<string, unknown>>;
  };
}

/** One message of a conversation. Templates may read further keys, so they are allowed. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly ChatContent[] | null;
  readonly tool_calls?: readonly ToolCall[] | null;
  readonly tool_call_id?: string;
  readonly name?: string;
  readonly reasoning_content?: string | null;
  readonly [key: string]: unknown;
}

/** Names of the same field; templates of different models read different ones. */
const REASONING = ["reasoning_content", "thinking", "reasoning"] as const;

/**
 * Messages as templates expect them: keys without a value are left out, and reasoning is there under the names
 * that templates read. Both are what Python's `apply_chat_template` does.
 *
 * @throws {DataError} naming the message that is not one.
 */
export function readMessages(messages: readonly ChatMessage[]): Record<string, unknown>[] {
  checkMessages(messages);
  return messages.map((message) => {
    const present = Object.fromEntries(
      Object.entries(message).filter(([, value]) => value !== null && value !== undefined),
    );
    const reasoning = REASONING.map((key) => present[key]).find((value) => value !== undefined);
    return reasoning === undefined
      ? present
      : { thinking: reasoning, ...present, reasoning_content: reasoning };
  });
}

/** @throws {DataError} naming the message that is not one, unless there is at least one and all are. */
export function checkMessages(messages: unknown): asserts messages is readonly ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new DataError({
      where: "messages",
      expected: "at least one message",
      got: Array.isArray(messages) ? "none" : describe(messages),
    });
  }
  for (const [i, message] of messages.entries()) checkMessage(message, `messages[${i}]`);
}

function checkMessage(message: unknown, where: string): asserts message is ChatMessage {
  if (typeof message !== "object" || message === null || Array.isArray(message)) {
    throw new DataError({ where, expected: "an object with a role and content", got: describe(message) });
  }
  const { role, content, tool_calls: calls } = message as Partial<Record<string, unknown>>;
  if (typeof role !== "string" || role === "") {
    throw new DataError({ where: `${where}.role`, expected: 'a text such as "user"', got: describe(role) });
  }
  if (Array.isArray(content)) {
    for (const [i, part] of content.entries()) checkContent(part, `${where}.content[${i}]`);
  } else if (content !== undefined && content !== null && typeof content !== "string") {
    throw new DataError({
      where: `${where}.content`,
      expected: "a text or a list of pieces",
      got: describe(content),
    });
  }
  if (calls === undefined || calls === null) return;
  if (!Array.isArray(calls)) {
    throw new DataError({ where: `${where}.tool_calls`, expected: "a list of calls", got: describe(calls) });
  }
  for (const [i, call] of calls.entries()) checkToolCall(call, `${where}.tool_calls[${i}]`);
}

function checkContent(part: unknown, where: string): void {
  const type = typeof part === "object" && part !== null && "type" in part ? part.type : undefined;
  if (typeof type !== "string") {
    throw new DataError({ where, expected: 'an object with a type such as "text"', got: describe(part) });
  }
  const text = (part as ChatContent).text as unknown;
  if (type === "text" && typeof text !== "string") {
    throw new DataError({ where: `${where}.text`, expected: "a text", got: describe(text) });
  }
}

function checkToolCall(call: unknown, where: string): void {
  const target = typeof call === "object" && call !== null && "function" in call ? call.function : call;
  const name = typeof target === "object" && target !== null && "name" in target ? target.name : undefined;
  if (typeof name === "string" && name !== "") return;
  throw new DataError({ where, expected: "a function with a name", got: describe(call) });
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "function") return "a function";
  const text = typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
