import { embed as embedTexts } from "../pipelines/embed.ts";
import { EncoderModel } from "../pipelines/encoder-model.ts";
import { POOLINGS } from "../pipelines/sentence-config.ts";
import { boolean, choice, integer } from "./flag-specs.ts";
import { loadEncoderArgument, MODEL_ARGUMENT, MODEL_FLAGS } from "./model-argument.ts";
import { readTexts, TEXTS_FLAGS } from "./text-input.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth embed`: a vector for each text. */
export const embed: Verb = defineVerb({
  name: "embed",
  summary: "a vector for each text, near to those of like texts",
  positionals: [MODEL_ARGUMENT],
  flags: {
    ...TEXTS_FLAGS,
    pooling: choice(POOLINGS, {
      describe: "how tokens become one vector; default: as the model says, or mean",
    }),
    raw: boolean({ describe: "vectors as they come, not of length 1" }),
    dimensions: integer({ describe: "only that many first numbers of each vector", min: 1 }),
    truncate: boolean({ describe: "cut texts that are longer than the model reads" }),
    ...MODEL_FLAGS,
  },
  example: 'plinth embed models/all-MiniLM-L6-v2 --text "A man eats." "Someone has dinner."',
  run: async ({ positionals: [word], flags, out, signal }) => {
    const texts = readTexts("embed", flags);
    const { pooling, raw, dimensions, truncate } = flags;
    const model = new EncoderModel(loadEncoderArgument(word!, flags));
    try {
      const options = { pooling, ...(raw && { normalize: false }), dimensions, truncate, signal };
      const vectors = await embedTexts(model, texts, options);
      for (const [i, text] of texts.entries()) {
        const embedding = Array.from(vectors[i]!);
        out.result({ text, embedding }, JSON.stringify(embedding));
      }
    } finally {
      model.dispose();
    }
  },
});
