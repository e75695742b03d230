import type { Tokenizer } from "../codecs/tokenizer.ts";
import { ConfigError } from "../core/errors.ts";
import type { LanguageModel } from "./language-model.ts";

/** A text with its label, shown to the model ahead of the question. */
export interface LabelledText {
  readonly text: string;
  readonly label: string;
}

export interface LikelihoodOptions {
  /** The answers to choose from; at least two, all different. */
  readonly labels: readonly string[];
  /**
   * What the model reads, with `{text}` for the text and `{label}` at the end for the answer. Examples are written by it, too.
   * Default `Text: {text}\nLabel: {label}`.
   */
  readonly template?: string | undefined;
  /** Said once, at the beginning. */
  readonly instruction?: string | undefined;
  readonly examples?: readonly LabelledText[] | undefined;
  /** Default true: takes out what the model prefers whatever the text is. */
  readonly calibrate?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An answer and how probable it is among the labels. */
export interface LabelProbability {
  readonly label: string;
  readonly probability: number;
}

const DEFAULT_TEMPLATE = "Text: {text}\nLabel: {label}";

/** Texts that say nothing, by which the model shows what it prefers anyway: those of the paper. */
const CONTENT_FREE = ["N/A", "[MASK]", ""] as const;

/**
 * Classifies texts with any causal model, without training: of several labels, which one is the likeliest to follow?
 *
 * Calibrated, each label's probability is divided by the mean of those it has after texts without content, and the results are scaled to sum
 * to 1: `p(label | text) / p̄(label | nothing)`, which takes out a liking for common or short labels and for those of the last examples.
 *
 * @returns for each text the labels, likeliest first
 * @throws {ConfigError} if labels or template cannot be used, or text and examples do not fit into the context.
 * @throws {DataError} if the model has no tokenizer.
 * @see Zhao et al. 2021, "Calibrate Before Use", §4.
 * @example
 * const [[best]] = await classifyByLikelihood(model, ["What a film!"], { labels: ["good", "bad"] });
 */
export async function classifyByLikelihood(
  model: LanguageModel,
  texts: readonly string[],
  options: LikelihoodOptions,
): Promise<LabelProbability[][]> {
  const { labels, calibrate = true } = options;
  checkLabels(labels);
  const write = promptWriter(options);
  const score = (text: string) =>
    scoreLabels(
      model,
      labels.map((label) => write(text, label)),
      write(text, ""),
      options,
    );
  const biases = new Float64Array(labels.length);
  if (calibrate) {
    for (const text of CONTENT_FREE) {
      normalized(await score(text)).forEach((probability, i) => {
        biases[i]! += probability / CONTENT_FREE.length;
      });
    }
  } else biases.fill(1);
  const results: LabelProbability[][] = [];
  for (const text of texts) {
    const scores = (await score(text)).map((nats, i) => nats - Math.log(biases[i]!));
    const found = normalized(scores).map((probability, i) => ({ label: labels[i]!, probability }));
    results.push(found.sort((a, b) => b.probability - a.probability));
  }
  return results;
}

/** Log-probability of each whole text after the part that all share with the prompt. */
async function scoreLabels(
  model: LanguageModel,
  wholes: readonly string[],
  prompt: string,
  { signal }: LikelihoodOptions,
): Promise<number[]> {
  const encode = (text: string) => encodeInput(model.tokenizer, text);
  const encoded = wholes.map(encode);
  const shared = Math.max(1, sharedLength([encode(prompt.trimEnd()), ...encoded]));
  const continuations = encoded.map((ids) => ids.slice(shared));
  const scores = await model.scorer.scoreContinuations(encoded[0]!.slice(0, shared), continuations, signal);
  return scores.map((logprobs) => logprobs.reduce((sum, logprob) => sum + logprob, 0));
}

function encodeInput(tokenizer: Tokenizer, text: string): readonly number[] {
  return Array.from(tokenizer.encodeInput(text).ids);
}

/** How many ids all lists begin with. */
function sharedLength([first, ...rest]: readonly (readonly number[])[]): number {
  const differs = first!.findIndex((id, i) => rest.some((ids) => ids[i] !== id));
  return differs < 0 ? first!.length : differs;
}

/** Probabilities in proportion to `exp(nats)`. */
function normalized(nats: readonly number[]): number[] {
  const best = Math.max(...nats);
  const weights = nats.map((value) => Math.exp(value - best));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

/** Writes instruction, examples and the text with a label. */
function promptWriter(options: LikelihoodOptions): (text: string, label: string) => string {
  const { template = DEFAULT_TEMPLATE, instruction, examples = [] } = options;
  const isWhole = template.includes("{text}") && template.endsWith("{label}");
  if (!isWhole || template.split("{label}").length !== 2) {
    const expected = "{text} in it, and {label} once, at its end";
    throw new ConfigError({ where: "template", expected, got: JSON.stringify(template) });
  }
  // By function, so that "$&" in a text is not taken for a pattern.
  const fill = (text: string, label: string) =>
    template.slice(0, -"{label}".length).replaceAll("{text}", () => text) + label;
  const shown = examples.map(({ text, label }) => fill(text, label));
  const before = [...(instruction ? [instruction] : []), ...shown];
  return (text, label) => [...before, fill(text, label)].join("\n\n");
}

function checkLabels(labels: readonly string[]): void {
  const isUsable = labels.length >= 2 && new Set(labels).size === labels.length;
  if (isUsable && labels.every((label) => label.trim() !== "")) return;
  const expected = "at least two different labels, none empty";
  throw new ConfigError({ where: "labels", expected, got: JSON.stringify(labels) });
}
