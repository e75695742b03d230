import { MODEL_ARGUMENT } from "./model-argument.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth download`: fetches a model ahead of its use. The frame has done it when the verb runs. */
export const download: Verb = defineVerb({
  name: "download",
  summary: "fetch a model from Hugging Face into the cache",
  positionals: [MODEL_ARGUMENT],
  flags: {},
  example: "plinth download openai-community/gpt2",
  run: async ({ positionals: [directory], out }) => out.result({ directory }, directory!),
});
