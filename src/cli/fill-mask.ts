import { EncoderModel } from "../pipelines/encoder-model.ts";
import { type FilledMask, fillMask as fill } from "../pipelines/fill-mask.ts";
import { integer, list } from "./flag-specs.ts";
import { loadEncoderArgument, MODEL_ARGUMENT, MODEL_FLAGS } from "./model-argument.ts";
import { readTexts, TEXTS_FLAGS } from "./text-input.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth fill-mask`: what may stand behind each mask of a text. */
export const fillMask: Verb = defineVerb({
  name: "fill-mask",
  summary: "what may stand in a gap of a text",
  positionals: [MODEL_ARGUMENT],
  flags: {
    ...TEXTS_FLAGS,
    topK: integer({ describe: "candidates for each gap", min: 1, fallback: 5 }),
    targets: list({ describe: "only these words, each of one token" }),
    ...MODEL_FLAGS,
  },
  example: 'plinth fill-mask models/bert --text "Paris is the [MASK] of France."',
  run: async ({ positionals: [word], flags, out, signal }) => {
    const texts = readTexts("fill-mask", flags);
    const { topK, targets } = flags;
    const model = new EncoderModel(loadEncoderArgument(word!, flags));
    try {
      const found = await fill(model, texts, { topK, ...(targets.length > 0 && { targets }), signal });
      for (const [i, text] of texts.entries()) {
        out.result({ text, masks: found[i]! }, render(found[i]!));
      }
    } finally {
      model.dispose();
    }
  },
});

function render(masks: readonly FilledMask[]): string {
  const lines = masks.map(({ candidates }) =>
    candidates
      .map(
        ({ probability, token, text }) => `${(100 * probability).toFixed(1).padStart(5)} %  ${text ?? token}`,
      )
      .join("\n"),
  );
  return lines.join("\n\n");
}
