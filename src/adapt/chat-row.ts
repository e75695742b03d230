import { type AssistantSpanOptions, assistantSpans } from "../codecs/assistant-spans.ts";
import type { ChatTemplate } from "../codecs/chat-template.ts";
import type { Tokenizer } from "../codecs/tokenizer.ts";
import type { Chat } from "../data/rows/examples.ts";
import type { TrainingRow } from "./training-row.ts";

/**
 * A conversation as its template writes it, of which the assistant's turns are learnt: what it says, the tools it calls and the end of
 * its turns, not the headers before them and not what tools and others answer.
 *
 * @throws {DataError} if a message is not one, the assistant says nothing, or its turns cannot be told from the rest.
 */
export function chatRow(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  { messages, tools }: Chat,
  options: Omit<AssistantSpanOptions, "tools" | "endOfTurn"> = {},
): TrainingRow {
  const { eos } = tokenizer.specials;
  const endOfTurn = eos === undefined ? undefined : tokenizer.tokenText(eos);
  const spanOptions = tools
    ? { ...options, endOfTurn, tools: tools as readonly object[] }
    : { ...options, endOfTurn };
  const { text, generated } = assistantSpans(template, messages, spanOptions);
  const { ids, offsets } = tokenizer.encodeInput(text, undefined, { marked: true, addSpecial: false });
  const isLearnt = (i: number) => {
    const [first, end] = offsets[i]!;
    // Tokenizers that leave space out of the places of tokens leave nothing of one that is all space.
    const start = first === end ? (offsets[i - 1]?.[1] ?? 0) : first;
    return generated.some(([from, to]) => start < to && end > from);
  };
  return { tokens: Int32Array.from(ids), learnt: Uint8Array.from(ids, (_, i) => Number(isLearnt(i))) };
}
