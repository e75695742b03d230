import { mergeModel } from "../adapt/merge-model.ts";
import { boolean, required, text } from "./flag-specs.ts";
import { MODEL_ARGUMENT, modelDirectory } from "./model-argument.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth merge`: an adapter becomes part of a model's weights. */
export const merge: Verb = defineVerb({
  name: "merge",
  summary: "a model with an adapter merged into its weights",
  positionals: [MODEL_ARGUMENT],
  flags: {
    adapter: required(text({ describe: "directory of the adapter, in PEFT's layout", placeholder: "DIR" })),
    out: required(text({ describe: "directory for the merged model", placeholder: "DIR" })),
    dequantize: boolean({ describe: "make a quantised base float32, to be quantised again afterwards" }),
    checkBase: boolean({ describe: "take an adapter even if it was made for another base", fallback: true }),
  },
  example: "plinth merge runs/first --adapter runs/intent/adapter --out merged",
  run: async ({ positionals: [word], flags, out }) => {
    const { adapter, out: target, dequantize, checkBase } = flags;
    const report = mergeModel(modelDirectory(word!), adapter, target, { dequantize, checkBase });
    const { peftType, changed, kept } = report;
    const text = `${target}: ${peftType} merged into ${changed} tensors, ${kept} as they were`;
    out.result({ directory: target, ...report }, text);
  },
});
