import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ChatTemplate } from "../codecs/chat-template.ts";
import { parseTokenizer, type Tokenizer } from "../codecs/tokenizer.ts";
import type { TokenizerJson } from "../codecs/tokenizer-json.ts";
import { DataError } from "../core/errors.ts";
import type { Chat, Instruction } from "../data/rows/examples.ts";
import { chatRow } from "./chat-row.ts";
import { instructionRow } from "./instruction-row.ts";
import { numLearnt, rowTargets, type TrainingRow } from "./training-row.ts";

interface Batch {
  readonly tokens: readonly (readonly number[])[];
  /** Not shifted; -100 where a token is not learnt. */
  readonly labels: readonly (readonly number[])[];
}

interface Golden {
  readonly special: readonly string[];
  readonly templates: Readonly<Record<string, string>>;
  readonly chats: Readonly<Record<string, Chat>>;
  readonly instructions: Batch & { readonly examples: readonly Instruction[] };
  readonly masks: Readonly<Record<string, Readonly<Record<string, Batch>>>>;
}

const golden = JSON.parse(readFileSync("test/fixtures/sft/golden.json", "utf8")) as Golden;
const path = join("../shared/data/tok-gpt2/tokenizer.json");
const hasData = existsSync(path);

function readTokenizer(): Tokenizer {
  const json = JSON.parse(readFileSync(path, "utf8")) as TokenizerJson & { added_tokens: object[] };
  const size = 50257;
  for (const [i, content] of golden.special.entries()) {
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
    json.added_tokens.push({ id: size + i, content, ...flags });
  }
  return parseTokenizer(json, "tok-gpt2", { eos: golden.special[0]! });
}

/** The row in the collator's words, padded as its batch is. */
function labelsOf({ tokens, learnt }: TrainingRow, length: number): number[] {
  return Array.from({ length }, (_, i) => (learnt[i] === 1 ? tokens[i]! : -100));
}

const template = (name: string) =>
  new ChatTemplate({ sources: { default: golden.templates[name]! }, where: name });

describe.skipIf(!hasData)("against trl's trainer and collator (skipped without ../shared/data)", () => {
  const tokenizer = hasData ? readTokenizer() : (undefined as never);

  test("instructions: the completion and the end are learnt", () => {
    const { examples, tokens, labels } = golden.instructions;
    examples.forEach((example, i) => {
      const row = instructionRow(tokenizer, example);
      const pad = Array.from({ length: tokens[i]!.length - row.tokens.length }, () => 50259);
      expect([...row.tokens, ...pad]).toEqual(tokens[i]);
      expect(labelsOf(row, labels[i]!.length)).toEqual(labels[i]);
    });
  });

  test.each(["marked", "content only"])("template %s: what its generation blocks write is learnt", (name) => {
    for (const [chat, { tokens, labels }] of Object.entries(golden.masks[name]!)) {
      const row = chatRow(tokenizer, template(name), golden.chats[chat]!);
      expect([...row.tokens], chat).toEqual(tokens[0]);
      expect(labelsOf(row, row.tokens.length), chat).toEqual(labels[0]);
    }
  });

  test("a template without such blocks: the same turns, found by comparing conversations", () => {
    for (const [chat, { tokens, labels }] of Object.entries(golden.masks.marked!)) {
      const row = chatRow(tokenizer, template("unmarked"), golden.chats[chat]!);
      expect([...row.tokens], chat).toEqual(tokens[0]);
      expect(labelsOf(row, row.tokens.length), chat).toEqual(labels[0]);
    }
  });

  test("the last turn only", () => {
    for (const name of ["marked", "unmarked"]) {
      const row = chatRow(tokenizer, template(name), golden.chats["two turns"]!, { turns: "last" });
      const said = tokenizer.decode(
        row.tokens.filter((_, i) => row.learnt[i] === 1),
        { skipSpecial: false },
      );
      expect(said).toBe("Tokyo (東京), naïvely 🗼.<|end|>");
    }
  });

  test("calls of tools are learnt, their results are not", () => {
    const row = chatRow(tokenizer, template("unmarked"), golden.chats.tools!);
    const said = tokenizer.decode(row.tokens.filter((_, i) => row.learnt[i] === 1));
    expect(said).toBe('call area {"radius": 2}About 12.6.');
  });

  test("targets are the next tokens that are learnt", () => {
    const row = { tokens: Int32Array.of(5, 6, 7, 8), learnt: Uint8Array.of(1, 0, 1, 1) };
    expect([...rowTargets(row)]).toEqual([-1, 7, 8, -1]);
    expect(numLearnt(row)).toBe(2);
  });

  test("special tokens written in an instruction are text", () => {
    const row = instructionRow(tokenizer, { prompt: "Write <|end|>:", completion: "<|end|>" });
    expect(row.tokens.filter((id) => id === tokenizer.specials.eos).length).toBe(1);
  });

  test.each([
    ["prompt", { prompt: "", completion: "x" }],
    ["completion", { prompt: "x", completion: "" }],
  ])("an empty %s is refused", (name, instruction) => {
    expect(() => instructionRow(tokenizer, instruction)).toThrow(
      new RegExp(`^${name}: expected a text, got an empty one`),
    );
  });

  test("a conversation without the assistant is refused", () => {
    const messages = [{ role: "user", content: "Hi" }];
    for (const name of ["marked", "unmarked"]) {
      expect(() => chatRow(tokenizer, template(name), { messages })).toThrow(
        /a turn of the assistant to learn, got the roles user/,
      );
    }
  });

  test("a template that shows old turns otherwise is refused, but for the last turn", () => {
    const forgetful = new ChatTemplate({
      sources: {
        default:
          "{% for m in messages %}{{ m.role }}: {{ m.thought if loop.last and m.thought }}{{ m.content }}\n{% endfor %}{{ 'assistant: ' if add_generation_prompt }}",
      },
    });
    const messages = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b", thought: "hm " },
      { role: "user", content: "c" },
      { role: "assistant", content: "d", thought: "oh " },
    ];
    expect(() => chatRow(tokenizer, forgetful, { messages })).toThrow(DataError);
    expect(() => chatRow(tokenizer, forgetful, { messages })).toThrow(
      /messages\[1\]: expected a turn of the assistant that the template shows the same way/,
    );
    const row = chatRow(tokenizer, forgetful, { messages }, { turns: "last" });
    expect(tokenizer.decode(row.tokens.filter((_, i) => row.learnt[i] === 1))).toBe(" oh d");
  });
});
