import { chatRow } from "../../adapt/chat-row.ts";
import { type ChatTemplate, loadChatTemplate } from "../../codecs/chat-template.ts";
import { plainChatTemplate } from "../../codecs/plain-chat-template.ts";
import type { Tokenizer } from "../../codecs/tokenizer.ts";
import { integer, readFields } from "../../core/fields.ts";
import { CHAT } from "../../data/rows/chat-kinds.ts";
import type { Chat } from "../../data/rows/examples.ts";
import type { Row } from "../../data/rows/load-examples.ts";
import { encodeSides, useDecoderTask } from "./decoder-task.ts";
import { judgeAnswers, type Question, writeAnswer } from "./judge-answers.ts";
import { loadData } from "./load-data.ts";
import { loadDecoder } from "./load-decoder.ts";
import type { Task } from "./task.ts";

/** How models are judged. */
interface ChatSettings {
  /** So many held-out conversations get a last answer by the finished model, which is compared with theirs. */
  readonly numJudged: number;
  /** Longest answer. */
  readonly maxTokens: number;
}

/** Conversations, of which the assistant's turns are learnt. */
export const CHAT_TASK: Task = {
  name: "chat",
  summary: "answer in conversations, with tools where they have any",
  fields: CHAT.fields,
  section: "chat",
  canBeTaught: true,
  train: { contextLength: 512, steps: 500 },
  readSettings,
  prepare: async (context, use) => {
    const base = loadDecoder(context.base, context.recipe);
    const { tokenizer } = base;
    const template = loadChatTemplate(context.base) ?? plainTemplate(tokenizer, context.onNotice);
    const data = await loadData(CHAT, context);
    const questions = data.validation.flatMap((row) => askLast(row, tokenizer, template));
    const answering = {
      ...(context.recipe.chat as ChatSettings),
      ...{ engine: context.engine, tokenizer },
    };
    const source = template.defaultSource;
    return useDecoderTask(
      {
        ...{ base, data, context, metric: "perplexity" as const },
        ...encodeSides(data, context, (example) => chatRow(tokenizer, template, example)),
        ...(source !== undefined && { files: { "chat_template.jinja": source } }),
        judge: (of, weights) => judgeAnswers(of, weights, questions, answering),
        ...(questions[0] && { sample: (of, weights) => writeAnswer(of, weights, questions[0]!, answering) }),
        nextCommands: (directory) => [`chat ${directory}`],
      },
      use,
    );
  },
};

function plainTemplate(tokenizer: Tokenizer, onNotice: (message: string) => void): ChatTemplate {
  onNotice("the base has no chat template: a plain one is used, and kept as chat_template.jinja");
  return plainChatTemplate(tokenizer);
}

/** A conversation up to the assistant's last words, where these are text. */
function askLast({ example, where }: Row<Chat>, tokenizer: Tokenizer, template: ChatTemplate): Question[] {
  const { messages, tools } = example;
  const at = messages.findLastIndex(({ role }) => role === "assistant");
  const { content } = messages[at]!;
  if (at < 1 || typeof content !== "string" || content === "") return [];
  const options = { addGenerationPrompt: true, ...(tools && { tools: tools as readonly object[] }) };
  const prompt = template.render(messages.slice(0, at), options);
  return [{ prompt, completion: content, where, ids: tokenizer.encodeMarked(prompt) }];
}

function readSettings(input: object): ChatSettings {
  return readFields<ChatSettings>(
    "chat",
    { numJudged: integer(0, 2 ** 20, 32), maxTokens: integer(1, 2 ** 20, 128) },
    input,
  );
}
