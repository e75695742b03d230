import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { CHAT, PREFERENCE } from "./chat-kinds.ts";
import type { ExampleKind } from "./example-kind.ts";
import { CLASSIFICATION, MULTI_LABEL, REGRESSION, TOKENS } from "./labelled-kinds.ts";
import { countRepeats, dropRepeats, type LoadOptions, loadExamples } from "./load-examples.ts";
import { parseFieldMapping } from "./row-fields.ts";
import { INSTRUCTION, QUESTION_ANSWER, TEXT } from "./text-kinds.ts";

const folder = mkdtempSync(join(tmpdir(), "plinth-examples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Extra = Omit<LoadOptions, "paths">;

/** Loads rows from a file of JSON lines. */
function load<T>(kind: ExampleKind<T>, rows: readonly unknown[], extra: Extra = {}) {
  const path = join(folder, "rows.jsonl");
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return loadExamples(kind, { paths: [path], ...extra });
}

async function one<T>(kind: ExampleKind<T>, row: unknown, extra: Extra = {}): Promise<T> {
  return (await load(kind, [row], extra))[0]!.example;
}

async function failure<T>(
  kind: ExampleKind<T>,
  rows: readonly unknown[],
  extra: Extra = {},
): Promise<string> {
  const error = await load(kind, rows, extra).then(
    () => undefined,
    (cause: Error) => cause,
  );
  return error?.message.replace(`${folder}/`, "") ?? "no failure";
}

describe("each kind reads its fields", () => {
  test("classification, with a pair, and labels that are numbers or truth values", async () => {
    expect(await one(CLASSIFICATION, { text: "a", label: "x" })).toEqual({ text: "a", label: "x" });
    expect(await one(CLASSIFICATION, { text: "a", pair: "b", label: 3 })).toEqual({
      text: "a",
      pair: "b",
      label: "3",
    });
    expect(await one(CLASSIFICATION, { text: "a", label: true })).toEqual({ text: "a", label: "true" });
  });

  test("several labels, or none", async () => {
    expect((await one(MULTI_LABEL, { text: "a", labels: ["x", 2] })).labels).toEqual(["x", "2"]);
    expect((await one(MULTI_LABEL, { text: "a", labels: [] })).labels).toEqual([]);
  });

  test("regression, from numbers and from texts that are numbers", async () => {
    expect((await one(REGRESSION, { text: "a", value: -0.5 })).value).toBe(-0.5);
    expect((await one(REGRESSION, { text: "a", value: "1e-3" })).value).toBe(0.001);
    expect(await failure(REGRESSION, [{ text: "a", value: "high" }])).toBe(
      'rows.jsonl:1 value: expected a finite number, got "high".',
    );
  });

  test("tokens and tags, as lists or as words between spaces", async () => {
    const expected = { tokens: ["Ada", "wrote"], tags: ["B", "O"] };
    expect(await one(TOKENS, expected)).toEqual(expected);
    expect(await one(TOKENS, { tokens: "Ada  wrote", tags: '["B", "O"]' })).toEqual(expected);
    expect(await failure(TOKENS, [{ tokens: ["a", "b"], tags: ["O"] }])).toBe(
      "rows.jsonl:1 tags: expected 2 tags, one for each token, got 1.",
    );
  });

  test("columns of other names, and inside objects", async () => {
    const row = { question: "q", meta: { intent: "i" } };
    const mapping = parseFieldMapping(["text=question", "label=meta.intent"]);
    expect(await one(CLASSIFICATION, row, { mapping })).toEqual({ text: "q", label: "i" });
    expect(await failure(CLASSIFICATION, [{ question: "" }], { mapping })).toBe(
      "rows.jsonl:1 text (question): expected a text that is not empty, got an empty text.",
    );
    expect(await failure(CLASSIFICATION, [row], { mapping: { texts: "question" } })).toBe(
      'field texts: expected one of text, pair, label, got "texts". Did you mean "text"?',
    );
    expect(() => parseFieldMapping(["text"])).toThrow("expected field=column");
  });
});

describe("questions and answers", () => {
  const context = "🙂🙂 The tower is 330 m tall.";

  test("starts count code points in files and code units here", async () => {
    const row = { question: "?", context, answers: [{ text: "330 m", answer_start: 16 }] };
    const [answer] = (await one(QUESTION_ANSWER, row)).answers;
    expect(answer).toEqual({ text: "330 m", start: 18 });
    expect(context.slice(answer!.start, answer!.start + 5)).toBe("330 m");
    const lists = { question: "?", context, answers: { text: ["330 m"], answer_start: [16] } };
    expect((await one(QUESTION_ANSWER, lists)).answers).toEqual([answer]);
  });

  test("an answer that is not there, and none without saying so", async () => {
    const wrong = { question: "?", context, answers: [{ text: "330 m", answer_start: 15 }] };
    expect(await failure(QUESTION_ANSWER, [wrong])).toBe(
      'rows.jsonl:1 answers[0]: expected "330 m" at 15 of the context, got " 330 ".',
    );
    expect(await failure(QUESTION_ANSWER, [{ question: "?", context, answers: [] }])).toMatch(
      /"is_impossible": true/,
    );
    const none = { question: "?", context, answers: [], is_impossible: true };
    expect((await one(QUESTION_ANSWER, none)).answers).toEqual([]);
    const beyond = { question: "?", context, answers: [{ text: "x", answer_start: 900 }] };
    expect(await failure(QUESTION_ANSWER, [beyond])).toMatch(/answers\[0\]\.answer_start: expected a place/);
  });
});

describe("conversations", () => {
  const messages = [
    { role: "user", content: "hi" },
    { role: "assistant", content: "hello" },
  ];

  test("messages, ShareGPT's form, tools", async () => {
    expect(await one(CHAT, { messages })).toEqual({ messages });
    const conversations = [
      { from: "human", value: "hi" },
      { from: "gpt", value: "hello" },
    ];
    expect(await one(CHAT, { conversations })).toEqual({ messages });
    const tools = [{ type: "function", function: { name: "f" } }];
    expect(await one(CHAT, { messages, tools: JSON.stringify(tools) })).toEqual({ messages, tools });
  });

  test("what is wrong is named by row and message", async () => {
    expect(await failure(CHAT, [{ messages: [] }])).toBe(
      "rows.jsonl:1 messages: expected at least one message, got none.",
    );
    expect(await failure(CHAT, [{ messages: messages.slice(0, 1) }])).toBe(
      'rows.jsonl:1 messages: expected a message of the role "assistant", got user.',
    );
    expect(await failure(CHAT, [{ messages: [...messages, { content: "x" }] }])).toMatch(
      /:1 messages\[2\]\.role: exp/,
    );
    expect(await failure(CHAT, [{ messages: [{ role: "user", content: "" }, messages[1]] }])).toBe(
      "rows.jsonl:1 messages[0]: expected content or tool_calls, got neither.",
    );
    expect(await failure(CHAT, [{ conversations: [{ from: "alien", value: "x" }] }])).toMatch(
      /:1 conversations\[0\]\.from: expected one of human,.*got "alien"/,
    );
  });

  test("preferences, as texts, as messages, and as whole conversations", async () => {
    const texts = { prompt: "p", chosen: "a", rejected: "b" };
    expect(await one(PREFERENCE, texts)).toEqual(texts);
    const [user, good] = messages;
    const bad = { role: "assistant", content: "go away" };
    const expected = { prompt: [user], chosen: [good], rejected: [bad] };
    expect(await one(PREFERENCE, expected)).toEqual(expected);
    expect(await one(PREFERENCE, { chosen: [user, good], rejected: [user, bad] })).toEqual(expected);
  });

  test("equal sides are no preference", async () => {
    const message =
      "expected something other than chosen, got the same. Leave out pairs without a preference.";
    expect(await failure(PREFERENCE, [{ prompt: "p", chosen: "a", rejected: "a" }])).toBe(
      `rows.jsonl:1 rejected: ${message}`,
    );
    expect(await failure(PREFERENCE, [{ chosen: messages, rejected: messages }])).toContain(message);
  });
});

describe("bad rows", () => {
  test("a missing column lists those there are", async () => {
    expect(
      await failure(INSTRUCTION, [
        { prompt: "a", completion: "b" },
        { question: "a", completion: "b" },
      ]),
    ).toBe(
      'rows.jsonl:2 prompt: expected a column "prompt", got columns question, completion. ' +
        "Say which holds it, such as --field prompt=question.",
    );
  });

  test("empty fields, nulls, white space", async () => {
    expect(await failure(TEXT, [{ text: "" }])).toMatch(
      /rows\.jsonl:1 text: expected a text that is not empty/,
    );
    expect(await failure(TEXT, [{ text: " \n" }])).toMatch(/:1 text: expected a text that is not empty/);
    expect(await failure(TEXT, [{ text: null }])).toBe("rows.jsonl:1 text: expected a text, got null.");
    expect(await failure(CLASSIFICATION, [{ text: "a", label: "" }])).toMatch(
      /:1 label: expected a label that is not/,
    );
    expect(await failure(TEXT, [{ text: "\ud800" }])).toMatch(
      /:1 text: expected whole characters, got a lone/,
    );
  });

  test("a column whose type changes", async () => {
    const rows = [
      { text: "a", label: 1 },
      { text: "b", label: "one" },
    ];
    expect(await failure(CLASSIFICATION, rows)).toMatch(
      /rows\.jsonl:2 label: expected a number, as at .*rows\.jsonl:1, got the string "one"\. Give the column one type\./,
    );
    expect(await failure(TEXT, [{ text: "a" }, { text: 5 }])).toMatch(/:2 text: expected a string, as at/);
  });
});

describe("repeats", () => {
  test("between the sides are counted by what is asked; within one, only whole rows are", async () => {
    const training = await load(CLASSIFICATION, [
      { text: "a", label: "x" },
      { text: "b", label: "y" },
      { text: "a", label: "x" },
    ]);
    const heldOut = await load(CLASSIFICATION, [
      { text: "c", label: "x" },
      { text: "a", label: "y" },
    ]);
    const repeats = countRepeats(CLASSIFICATION, training, heldOut);
    expect(repeats.count).toBe(1);
    expect(repeats.first!.where).toMatch(/:2$/);
    expect(countRepeats(CLASSIFICATION, training, heldOut.slice(0, 1))).toEqual({ count: 0 });
    expect(dropRepeats(training)).toEqual({ kept: training.slice(0, 2), dropped: 1 });
  });
});
