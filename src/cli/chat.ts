import { createInterface } from "node:readline";
import type { ChatMessage } from "../codecs/chat-messages.ts";
import { loadChatTemplate } from "../codecs/chat-template.ts";
import { ConfigError, PlinthError } from "../core/errors.ts";
import { readJsonFile } from "../hub/read-json-file.ts";
import { chat as answer, type ChatOptions } from "../pipelines/chat.ts";
import { LanguageModel } from "../pipelines/language-model.ts";
import { integer, list, number, text } from "./flag-specs.ts";
import { loadModelArgument, MODEL_ARGUMENT, MODEL_FLAGS } from "./model-argument.ts";
import type { Output } from "./output.ts";
import { CONSTRAINT_FLAGS, readConstraint } from "./sampling-flags.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth chat`: a conversation with a model. */
export const chat: Verb = defineVerb({
  name: "chat",
  summary: "talk with a model that was trained on conversations",
  positionals: [MODEL_ARGUMENT],
  flags: {
    message: text({
      describe: "one message to answer; without it, a conversation line by line from standard input",
    }),
    messages: text({
      describe: "a JSON file with the messages of a conversation to answer",
      placeholder: "FILE",
    }),
    system: text({ describe: "said to the model ahead of the conversation" }),
    maxTokens: integer({ describe: "most tokens of an answer", min: 1 }),
    temperature: number({ describe: "default: as the model was published", min: 0 }),
    topP: number({
      describe: "draw among the likeliest tokens that together have this probability",
      min: 0,
      max: 1,
    }),
    stop: list({ describe: "texts to stop at; they are not printed" }),
    seed: integer({ describe: "of the random numbers" }),
    ...CONSTRAINT_FLAGS,
    ...MODEL_FLAGS,
  },
  example: 'plinth chat models/smol --message "What is a token?"',
  run: async ({ positionals: [word], flags, out, signal }) => {
    const { message, messages: file, system, maxTokens, stop, temperature, topP, seed } = flags;
    if (message !== undefined && file !== undefined) {
      throw new ConfigError({ where: "plinth chat", expected: "--message or --messages", got: "both" });
    }
    // An adapter may be what taught the model to talk.
    const template = flags.adapter === undefined ? undefined : loadChatTemplate(flags.adapter);
    const model = new LanguageModel(loadModelArgument(word!, flags), { rows: 1, template });
    const given = Object.entries({ temperature, topP, seed }).filter(([, value]) => value !== undefined);
    const options: ChatOptions = {
      maxTokens,
      stop,
      constraint: readConstraint(flags, model.loaded.tokenizer),
      signal,
      sampling: { ...model.defaults.sampling, ...Object.fromEntries(given) },
    };
    const before: ChatMessage[] = system === undefined ? [] : [{ role: "system", content: system }];
    try {
      if (message !== undefined)
        await answerOnce(model, [...before, { role: "user", content: message }], options, out);
      else if (file !== undefined)
        await answerOnce(model, [...before, ...readConversation(file)], options, out);
      else await converse(model, before, options, out);
    } finally {
      model.dispose();
    }
  },
});

/** Checked by the template: whether they are messages is its own affair. */
function readConversation(file: string): readonly ChatMessage[] {
  const messages = readJsonFile(file);
  if (Array.isArray(messages)) return messages as readonly unknown[] as readonly ChatMessage[];
  throw new ConfigError({
    where: `--messages ${file}`,
    expected: "a JSON array of messages",
    got: typeof messages,
  });
}

async function answerOnce(
  model: LanguageModel,
  messages: readonly ChatMessage[],
  options: ChatOptions,
  out: Output,
): Promise<void> {
  const onText = out.json ? undefined : (piece: string) => out.write(piece);
  const reply = await answer(model, messages, { ...options, onText });
  out.result(reply, "\n"); // the text itself is there already
}

/** Answers line by line until the input ends. With `--json`, each answer is a line of JSON. */
async function converse(
  model: LanguageModel,
  before: readonly ChatMessage[],
  options: ChatOptions,
  out: Output,
): Promise<void> {
  const terminal = process.stdin.isTTY === true;
  if (terminal) out.notice("/clear forgets the conversation, /exit or Ctrl-D ends it.");
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal, prompt: "> " });
  const stop = () => lines.close();
  options.signal?.addEventListener("abort", stop, { once: true });
  let messages = [...before];
  if (terminal) lines.prompt();
  for await (const line of lines) {
    const said = line.trim();
    if (said === "/exit") break;
    if (said === "/clear") messages = [...before];
    else if (said !== "") messages = await exchange(model, messages, said, options, out);
    if (options.signal?.aborted) break;
    if (terminal) lines.prompt();
  }
  options.signal?.removeEventListener("abort", stop);
  lines.close();
}

/** One message and its answer; a conversation that cannot go on stays as it was, and says why. */
async function exchange(
  model: LanguageModel,
  messages: readonly ChatMessage[],
  said: string,
  options: ChatOptions,
  out: Output,
): Promise<ChatMessage[]> {
  const asked: ChatMessage[] = [...messages, { role: "user", content: said }];
  try {
    const onText = out.json ? undefined : (piece: string) => out.write(piece);
    const reply = await answer(model, asked, { ...options, onText });
    out.result(reply, "\n");
    return [...asked, reply.message];
  } catch (error) {
    if (!(error instanceof PlinthError) || !process.stdin.isTTY) throw error;
    out.notice(error.message);
    return [...messages];
  }
}
