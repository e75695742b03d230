import { instructionRow } from "../../adapt/instruction-row.ts";
import { boolean, integer, oneOf, readFields } from "../../core/fields.ts";
import type { Instruction } from "../../data/rows/examples.ts";
import { INSTRUCTION } from "../../data/rows/text-kinds.ts";
import { encodeSides, promptFlag, useDecoderTask } from "./decoder-task.ts";
import { judgeAnswers, writeAnswer } from "./judge-answers.ts";
import { loadData } from "./load-data.ts";
import { loadDecoder } from "./load-decoder.ts";
import type { Task } from "./task.ts";

/** How instructions are put, and how models are judged. */
interface InstructSettings {
  /** A line break between prompt and completion. */
  readonly lineBreak: boolean;
  readonly metric: "perplexity" | "exact match" | "token accuracy";
  /** So many held-out prompts are answered by the finished model and compared with what should have been written. */
  readonly numJudged: number;
  /** Longest answer. */
  readonly maxTokens: number;
}

/** A prompt and what a decoder should write after it; only the completion is learnt. */
export const INSTRUCT: Task = {
  name: "instruct",
  summary: "write the completion of a prompt",
  fields: INSTRUCTION.fields,
  section: "instruct",
  canBeTaught: true,
  train: { contextLength: 256, steps: 500 },
  readSettings,
  prepare: async (context, use) => {
    const base = loadDecoder(context.base, context.recipe);
    const { tokenizer } = base;
    const settings = context.recipe.instruct as InstructSettings;
    const put = ({ prompt, completion }: Instruction): Instruction => ({
      prompt: settings.lineBreak ? `${prompt}\n` : prompt,
      completion,
    });
    const data = await loadData(INSTRUCTION, context);
    const questions = data.validation.map(({ example, where }) => {
      const { prompt, completion } = put(example);
      return { prompt, completion, where, ids: tokenizer.encodeInput(prompt).ids };
    });
    const answering = { ...settings, engine: context.engine, tokenizer };
    return useDecoderTask(
      {
        ...{ base, data, context, metric: settings.metric },
        ...encodeSides(data, context, (example) => instructionRow(tokenizer, put(example))),
        judge: (of, weights) => judgeAnswers(of, weights, questions, answering),
        sample: (of, weights) => writeAnswer(of, weights, questions[0]!, answering),
        nextCommands: (directory) => [
          `generate ${directory} ${promptFlag(settings.lineBreak)} --temperature 0`,
        ],
      },
      use,
    );
  },
};

function readSettings(input: object): InstructSettings {
  return readFields<InstructSettings>(
    "instruct",
    {
      lineBreak: boolean(true),
      metric: oneOf(["perplexity", "exact match", "token accuracy"], "perplexity"),
      numJudged: integer(0, 2 ** 20, 64),
      maxTokens: integer(1, 2 ** 20, 64),
    },
    input,
  );
}
