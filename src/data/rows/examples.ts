import type { ChatMessage } from "../../codecs/chat-messages.ts";

/** A text, or a pair of texts, that belongs to one class. */
export interface Classification {
  readonly text: string;
  readonly pair?: string;
  readonly label: string;
}

/** A text, or a pair of texts, that any number of labels apply to. */
export interface MultiLabel {
  readonly text: string;
  readonly pair?: string;
  readonly labels: readonly string[];
}

/** A text, or a pair of texts, with a number to predict. */
export interface Regression {
  readonly text: string;
  readonly pair?: string;
  readonly value: number;
}

/** Words, each with a tag. */
export interface Tokens {
  readonly tokens: readonly string[];
  readonly tags: readonly string[];
}

/** Part of a context that answers a question. */
export interface AnswerSpan {
  readonly text: string;
  /** Where it begins in the context, in UTF-16 code units; files count code points, as Python does. */
  readonly start: number;
}

/** A question about a text that holds the answer; without answers where it has none and the row says so. */
export interface QuestionAnswer {
  readonly question: string;
  readonly context: string;
  readonly answers: readonly AnswerSpan[];
}

/** A text and how it should go on. */
export interface Instruction {
  readonly prompt: string;
  readonly completion: string;
}

/** A conversation, in which the assistant speaks at least once. */
export interface Chat {
  readonly messages: readonly ChatMessage[];
  /** Descriptions of the functions that the assistant may call. */
  readonly tools?: readonly unknown[];
}

/** A text, or the messages of a conversation. */
export type TextOrMessages = string | readonly ChatMessage[];

/** Two ways to go on, and which is the better. */
export interface Preference {
  readonly prompt: TextOrMessages;
  readonly chosen: TextOrMessages;
  readonly rejected: TextOrMessages;
}

/** Plain text. */
export interface Text {
  readonly text: string;
}
