import { DataError } from "../core/errors.ts";
import type { ChatMessage } from "./chat-messages.ts";
import type { ChatRenderOptions, ChatTemplate } from "./chat-template.ts";
import type { MarkedText } from "./template/template.ts";

/** Which of the assistant's turns are looked for: every one, or the one that ends the conversation. */
export type AssistantTurns = "all" | "last";

/** How a conversation is rendered, and which turns are looked for. */
export interface AssistantSpanOptions extends Pick<ChatRenderOptions, "tools" | "template" | "variables"> {
  /** Default "all". */
  readonly turns?: AssistantTurns | undefined;
  /** How a turn ends, such as `<|im_end|>`: it is the assistant's, too, where a template only writes it once others follow. */
  readonly endOfTurn?: string | undefined;
}

/**
 * A conversation as text, and what of it the assistant has written, the end of its turns included.
 *
 * A template with `{% generation %}` blocks says so itself. Of another, a turn is what the conversation up to and with it has
 * more than the conversation before it, rendered up to where the assistant begins: which is only true where the longer one begins as the
 * shorter one does.
 *
 * @throws {DataError} if there is nothing of the assistant, or the template shows a turn otherwise once others follow it.
 */
export function assistantSpans(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  { turns = "all", endOfTurn = "", ...options }: AssistantSpanOptions = {},
): MarkedText {
  const marked = template.marksGenerated(options)
    ? template.renderMarked(messages, options)
    : withEnds(comparePrefixes(template, messages, turns, options), endOfTurn);
  const generated = marked.generated.filter(([start, end]) => end > start);
  if (generated.length === 0) {
    throw new DataError({
      where: "messages",
      expected: "a turn of the assistant to learn",
      got: `the roles ${messages.map(({ role }) => role).join(", ")}`,
    });
  }
  return { text: marked.text, generated: turns === "last" ? generated.slice(-1) : generated };
}

function comparePrefixes(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  turns: AssistantTurns,
  options: ChatRenderOptions,
): MarkedText {
  const text = template.render(messages, options);
  const all = messages.flatMap(({ role }, i) => (role === "assistant" ? [i] : []));
  const generated = (turns === "last" ? all.slice(-1) : all).map((i): [number, number] => {
    if (i === 0)
      throw unplaced(0, "that others come before", "the first message: it cannot be told from its header");
    const before = template.render(messages.slice(0, i), { ...options, addGenerationPrompt: true });
    const isLast = i === messages.length - 1;
    const after = isLast ? text : template.render(messages.slice(0, i + 1), options);
    if (!after.startsWith(before) || !text.startsWith(after)) {
      throw unplaced(
        i,
        "that the template shows the same way whatever follows",
        "another text when it is the last",
      );
    }
    if (isLast && goesOn(template, options)) {
      throw unplaced(i, "at the end", "a template that begins another turn behind it");
    }
    // What templates write between turns, a line break as a rule, is none of the assistant's.
    return [before.length, Math.max(before.length, after.trimEnd().length)];
  });
  return { text, generated };
}

/** Whether the template begins another turn of the assistant at the end of any conversation, asked to or not; tried on a short one. */
function goesOn(template: ChatTemplate, options: ChatRenderOptions): boolean {
  const [question, answer] = ["user", "assistant"].map((role) => ({ role, content: "." }));
  const { tools, ...others } = options; // which some templates move to the last question
  const render = (messages: readonly ChatMessage[], addGenerationPrompt = false) =>
    template.render(messages, { ...others, addGenerationPrompt });
  try {
    const text = render([question!, answer!]);
    if (render([question!, answer!], true) !== text) return false;
    return !render([question!, answer!, question!]).startsWith(text);
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

function withEnds({ text, generated }: MarkedText, endOfTurn: string): MarkedText {
  const extended = generated.map(
    ([start, end]) => [start, text.startsWith(endOfTurn, end) ? end + endOfTurn.length : end] as const,
  );
  return { text, generated: extended };
}

function unplaced(i: number, expected: string, got: string): DataError {
  return new DataError({
    where: `messages[${i}]`,
    expected: `a turn of the assistant ${expected}`,
    got,
    fix: "Use a template with {% generation %} blocks, or learn the last turn only.",
  });
}
