import { answerQuestion } from "../pipelines/answer-question.ts";
import { EncoderModel } from "../pipelines/encoder-model.ts";
import { boolean, integer, required, text } from "./flag-specs.ts";
import { loadEncoderArgument, MODEL_ARGUMENT, MODEL_FLAGS } from "./model-argument.ts";
import { readWholeText, WHOLE_TEXT_FLAGS } from "./text-input.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth answer`: the stretch of a text that answers a question. */
export const answer: Verb = defineVerb({
  name: "answer",
  summary: "the stretch of a text that answers a question",
  positionals: [MODEL_ARGUMENT],
  flags: {
    question: required(text({ describe: "the question" })),
    ...WHOLE_TEXT_FLAGS,
    topK: integer({ describe: "answers to show", min: 1, fallback: 1 }),
    maxAnswerTokens: integer({ describe: "longest answer", min: 1, fallback: 15 }),
    stride: integer({ describe: "tokens that windows of a long text share; default 128", min: 0 }),
    allowNone: boolean({ describe: "that the text has no answer is one of the answers" }),
    ...MODEL_FLAGS,
  },
  example: 'plinth answer models/bert-squad --question "Who wrote it?" --text "Ada wrote it in 1843."',
  run: async ({ positionals: [word], flags, out, signal }) => {
    const context = readWholeText("answer", flags);
    const { question, topK, maxAnswerTokens, stride, allowNone } = flags;
    const model = new EncoderModel(loadEncoderArgument(word!, flags));
    try {
      const options = { topK, maxAnswerTokens, stride, allowNone, signal };
      const [answers] = await answerQuestion(model, [{ question, context }], options);
      const lines = answers!.map(
        ({ text, score }) => `${(100 * score).toFixed(1)} %\t${text || "no answer"}`,
      );
      out.result(answers!, lines.join("\n"));
    } finally {
      model.dispose();
    }
  },
});
