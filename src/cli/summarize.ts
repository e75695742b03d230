import { LanguageModel } from "../pipelines/language-model.ts";
import { summarize as summarizeText } from "../pipelines/summarize.ts";
import { boolean, choice, integer, number } from "./flag-specs.ts";
import { loadModelArgument, MODEL_ARGUMENT, MODEL_FLAGS } from "./model-argument.ts";
import { readWholeText, WHOLE_TEXT_FLAGS } from "./text-input.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth summarize`: a text in a few sentences. */
export const summarize: Verb = defineVerb({
  name: "summarize",
  summary: "a text in a few sentences",
  positionals: [MODEL_ARGUMENT],
  flags: {
    ...WHOLE_TEXT_FLAGS,
    sentences: integer({ describe: "most sentences", min: 1, fallback: 3 }),
    maxTokens: integer({ describe: "most tokens to write", min: 1, fallback: 100 }),
    style: choice(["chat", "tldr"], {
      describe: 'ask by an instruction, or by "TL;DR:"; default: as suits the model',
    }),
    inParts: boolean({ describe: "read a text that is too long in parts" }),
    temperature: number({ describe: "default: as suits the model", min: 0 }),
    seed: integer({ describe: "of the random numbers", fallback: 0 }),
    ...MODEL_FLAGS,
  },
  example: "plinth summarize models/mistral --file article.txt --sentences 2",
  run: async ({ positionals: [word], flags, out, signal }) => {
    const { sentences, maxTokens, style, inParts, temperature, seed } = flags;
    const text = readWholeText("summarize", flags);
    const model = new LanguageModel(loadModelArgument(word!, flags), { rows: 1 });
    const sampling = { seed, ...(temperature !== undefined && { temperature }) };
    try {
      const result = await summarizeText(model, text, {
        sentences,
        maxTokens,
        style,
        inParts,
        sampling,
        signal,
      });
      out.result(result, result.summary);
    } finally {
      model.dispose();
    }
  },
});
