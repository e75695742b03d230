import { classifyTokens } from "../pipelines/classify-tokens.ts";
import { EncoderModel } from "../pipelines/encoder-model.ts";
import { type Entity, GROUPINGS } from "../pipelines/group-entities.ts";
import { choice, integer, list } from "./flag-specs.ts";
import { loadEncoderArgument, MODEL_ARGUMENT, MODEL_FLAGS } from "./model-argument.ts";
import { readTexts, TEXTS_FLAGS } from "./text-input.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** `plinth tag`: the entities in a text. */
export const tag: Verb = defineVerb({
  name: "tag",
  summary: "names and other entities in a text",
  positionals: [MODEL_ARGUMENT],
  flags: {
    ...TEXTS_FLAGS,
    grouping: choice(GROUPINGS, { describe: "how tokens become entities", fallback: "simple" }),
    ignore: list({ describe: "labels that are no entities; default O" }),
    stride: integer({ describe: "tokens that windows of a long text share; without it, refused", min: 0 }),
    ...MODEL_FLAGS,
  },
  example: 'plinth tag models/bert-ner --text "Ada lives in London."',
  run: async ({ positionals: [word], flags, out, signal }) => {
    const texts = readTexts("tag", flags);
    const { grouping, ignore, stride } = flags;
    const model = new EncoderModel(loadEncoderArgument(word!, flags));
    try {
      const ignored = ignore.length > 0 ? { ignoredLabels: ignore } : {};
      const found = await classifyTokens(model, texts, { grouping, stride, signal, ...ignored });
      for (const [i, text] of texts.entries()) {
        out.result({ text, entities: found[i]! }, render(found[i]!));
      }
    } finally {
      model.dispose();
    }
  },
});

function render(entities: readonly Entity[]): string {
  if (entities.length === 0) return "none";
  return entities
    .map(
      ({ label, score, start, end, text }) =>
        `${label}\t${(100 * score).toFixed(1)} %\t${start}–${end}\t${text}`,
    )
    .join("\n");
}
