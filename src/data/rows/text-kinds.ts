import type { ExampleKind } from "./example-kind.ts";
import type { AnswerSpan, Instruction, QuestionAnswer, Text } from "./examples.ts";
import { describeValue } from "./raw-row.ts";
import type { RowFields } from "./row-fields.ts";

/** `prompt` and `completion`. */
export const INSTRUCTION: ExampleKind<Instruction> = {
  name: "instruction",
  fields: ["prompt", "completion"],
  read: (fields) => ({ prompt: fields.text("prompt"), completion: fields.text("completion") }),
  identity: ({ prompt }) => prompt,
};

/** `text`. */
export const TEXT: ExampleKind<Text> = {
  name: "text",
  fields: ["text"],
  read: (fields) => ({ text: fields.text("text") }),
  identity: ({ text }) => text,
};

/**
 * `question`, `context`, and `answers`: a list of `{ text, answer_start }`, as in SQuAD, or `{ text: [], answer_start: [] }`, as in
 * the data sets made of it. Starts count code points. An empty list needs `is_impossible` beside it.
 */
export const QUESTION_ANSWER: ExampleKind<QuestionAnswer> = {
  name: "question answering",
  fields: ["question", "context", "answers"],
  read: (fields) => {
    const question = fields.text("question");
    const context = fields.text("context");
    const answers = answersOf(fields);
    if (answers.length === 0 && fields.value("is_impossible") !== true) {
      const fix = 'Say "is_impossible": true if the context has none.';
      fields.fail("answers", "at least one answer", "none", fix);
    }
    return { question, context, answers: locate(fields, context, answers) };
  },
  identity: ({ question, context }) => JSON.stringify([question, context]),
};

interface RawAnswer {
  readonly text: unknown;
  readonly start: unknown;
}

function answersOf(fields: RowFields): readonly RawAnswer[] {
  const value = fields.value("answers");
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const { text, answer_start: start } = value as Record<string, unknown>;
    if (Array.isArray(text) && Array.isArray(start) && text.length === start.length) {
      return text.map((each, i) => ({ text: each, start: start[i] }));
    }
    fields.fail("answers", "lists text and answer_start of one length", describeValue(value));
  }
  return fields.list("answers").map((answer, i) => {
    if (typeof answer !== "object" || answer === null) {
      return fields.fail(`answers[${i}]`, "an object with text and answer_start", describeValue(answer));
    }
    const { text, answer_start, start = answer_start } = answer as Record<string, unknown>;
    return { text, start };
  });
}

/** Holds each answer against the context, and counts its start in code units. */
function locate(fields: RowFields, context: string, answers: readonly RawAnswer[]): AnswerSpan[] {
  return answers.map(({ text, start }, i) => {
    const field = `answers[${i}]`;
    if (typeof text !== "string" || text === "") {
      return fields.fail(`${field}.text`, "a text that is not empty", describeValue(text));
    }
    if (!Number.isSafeInteger(start) || (start as number) < 0 || (start as number) > context.length) {
      return fields.fail(`${field}.answer_start`, "a place in the context", describeValue(start));
    }
    const unit = unitOf(context, start as number);
    if (!context.startsWith(text, unit)) {
      const found = describeValue(context.slice(unit, unit + text.length));
      fields.fail(field, `${describeValue(text)} at ${start} of the context`, found);
    }
    return { text, start: unit };
  });
}

/** Where code point `index` begins, in code units. */
function unitOf(text: string, index: number): number {
  let unit = 0;
  for (let i = 0; i < index && unit < text.length; i++) unit += text.codePointAt(unit)! > 0xffff ? 2 : 1;
  return unit;
}
