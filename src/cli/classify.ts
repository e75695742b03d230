import { ConfigError } from "../core/errors.ts";
import type { ClassifierModel } from "../pipelines/classifier-model.ts";
import { classifyByLikelihood, type LabelledText } from "../pipelines/classify-by-likelihood.ts";
import { classifierOf, classifySequence } from "../pipelines/classify-sequence.ts";
import type { EncoderModel } from "../pipelines/encoder-model.ts";
import { LanguageModel } from "../pipelines/language-model.ts";
import { boolean, list, text } from "./flag-specs.ts";
import type { FlagValues } from "./flags.ts";
import { MODEL_ARGUMENT, MODEL_FLAGS, openModelArgument } from "./model-argument.ts";
import { readTexts, TEXTS_FLAGS } from "./text-input.ts";
import { defineVerb, type Verb } from "./verb.ts";

/** Between text and label of an example on the command line. */
const ARROW = "=>";

const FLAGS = {
  ...TEXTS_FLAGS,
  labels: list({ describe: "the labels to choose from, for models that predict the next token" }),
  template: text({ describe: 'how a text is asked about; default "Text: {text}\\nLabel: {label}"' }),
  instruction: text({ describe: "said once, at the beginning" }),
  example: list({ describe: `texts with their labels, as "text ${ARROW} label"` }),
  calibrate: boolean({ describe: "leave in what the model prefers whatever the text", fallback: true }),
  ...MODEL_FLAGS,
} as const;

/** A label and its share, whichever kind of model it comes from; for a regression, the value. */
interface Label {
  readonly label: string;
  readonly score: number;
}

/** Labels of each text, best first. */
interface Found {
  readonly found: readonly (readonly Label[])[];
  readonly areShares: boolean;
}

/** `plinth classify`: which of several labels suits a text. */
export const classify: Verb = defineVerb({
  name: "classify",
  summary: "which of several labels suits a text",
  positionals: [MODEL_ARGUMENT],
  flags: FLAGS,
  example: 'plinth classify --model runs/first --labels positive negative --text "What a film!"',
  run: async ({ positionals: [word], flags, out, signal }) => {
    const texts = readTexts("classify", flags);
    const model = openModelArgument(word!, flags);
    try {
      const { found, areShares } =
        model instanceof LanguageModel
          ? await byLikelihood(model, texts, flags, signal)
          : await byHead(model, texts, flags, signal);
      out.result(
        texts.map((text, i) => ({ text, labels: found[i]! })),
        render(texts, found, areShares ? percent : decimal),
      );
    } finally {
      model.dispose();
    }
  },
});

type Flags = FlagValues<typeof FLAGS>;

/** By the labels that a model with a head was trained on. */
async function byHead(
  model: EncoderModel | ClassifierModel,
  texts: readonly string[],
  flags: Flags,
  signal: AbortSignal,
): Promise<Found> {
  const { labels, template, instruction, example } = flags;
  if (labels.length + example.length > 0 || template !== undefined || instruction !== undefined) {
    throw new ConfigError({
      where: "plinth classify",
      expected: "no labels, template, instruction or examples: this model has labels of its own",
      got: "some",
    });
  }
  const { problem } = classifierOf(model);
  return { found: await classifySequence(model, texts, { signal }), areShares: problem !== "regression" };
}

/** By what a model that predicts the next token would go on with. */
async function byLikelihood(
  model: LanguageModel,
  texts: readonly string[],
  { labels, instruction, calibrate, example, ...flags }: Flags,
  signal: AbortSignal,
): Promise<Found> {
  const examples = example.map(readExample);
  // On a command line a line break is hard to type.
  const template = flags.template?.replaceAll("\\n", "\n");
  const options = { labels, template, instruction, examples, calibrate, signal };
  const found = await classifyByLikelihood(model, texts, options);
  return {
    found: found.map((row) => row.map(({ label, probability }) => ({ label, score: probability }))),
    areShares: true,
  };
}

function readExample(example: string): LabelledText {
  const at = example.lastIndexOf(ARROW);
  const [text, label] = [example.slice(0, at).trim(), example.slice(at + ARROW.length).trim()];
  if (at > 0 && text !== "" && label !== "") return { text, label };
  throw new ConfigError({
    where: "--example",
    expected: `"text ${ARROW} label"`,
    got: JSON.stringify(example),
  });
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function decimal(value: number): string {
  return value.toPrecision(4);
}

function render(texts: readonly string[], found: Found["found"], show: (score: number) => string): string {
  if (texts.length === 1) {
    const width = Math.max(...found[0]!.map(({ label }) => label.length));
    return found[0]!.map(({ label, score }) => `${label.padEnd(width)}  ${show(score)}`).join("\n");
  }
  return texts.map((text, i) => `${found[i]![0]!.label}\t${show(found[i]![0]!.score)}\t${text}`).join("\n");
}
