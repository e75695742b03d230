import type { EncodedInput } from "../codecs/encoded-input.ts";
import { ConfigError } from "../core/errors.ts";
import { softmax } from "../core/largest.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { EncoderModel } from "./encoder-model.ts";
import { type Entity, GROUPINGS, type Grouping, groupEntities, type ScoredToken } from "./group-entities.ts";

export interface ClassifyTokensOptions {
  /** How tokens become entities; default `simple`. */
  readonly grouping?: Grouping | undefined;
  /** Labels that are no entities; default `O`. */
  readonly ignoredLabels?: readonly string[] | undefined;
  /**
   * Read texts that are longer than the context in windows, each repeating that many tokens of the one before; they are refused
   * otherwise. Each token is judged where it has most text around it.
   */
  readonly stride?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The entities in each text: stretches of tokens with one label.
 *
 * @throws {ConfigError} if the model has no head for it.
 * @throws {DataError} if a text is longer than the model reads and no stride is given.
 * @example
 * const [entities] = await classifyTokens(model, ["Ada lives in London."]);
 * entities[1]; // { label: "LOC", score: 0.999, start: 13, end: 19, text: "London" }
 */
export async function classifyTokens(
  model: EncoderModel,
  texts: readonly string[],
  { grouping = "simple", ignoredLabels = ["O"], stride, signal }: ClassifyTokensOptions = {},
): Promise<Entity[][]> {
  if (!GROUPINGS.includes(grouping)) {
    const expected = `one of ${GROUPINGS.join(", ")}`;
    throw new ConfigError({ where: "grouping", expected, got: JSON.stringify(grouping) });
  }
  const classifier = model.head("tokenClassifier", "classes of tokens");
  const windows = texts.map((text, i) => readWindows(model, text, stride, i));
  const build = (hidden: Tensor) => ({ scores: classifier.logits(hidden) });
  const rows = await model.rows({ name: "classify tokens", build }, windows.flat(), signal);
  let next = 0;
  return texts.map((text, i) => {
    const scored = windows[i]!.map((window) => ({ window, scores: rows[next++]!.scores! }));
    const tokens = mergeWindows(model, scored, classifier.labels.length);
    const entities = groupEntities(tokens, text, classifier.labels, grouping);
    return entities.filter(({ label }) => !ignoredLabels.includes(label));
  });
}

function readWindows(model: EncoderModel, text: string, stride: number | undefined, index: number) {
  if (stride === undefined) return model.encode([text]);
  const maxLength = model.loaded.model.shape.contextLength;
  const windows = model.tokenizer.encodeWindows(text, undefined, { maxLength, stride });
  for (const window of windows) model.check(window, `text ${index + 1}`, maxLength);
  return windows;
}

interface ScoredWindow {
  readonly window: EncodedInput;
  /** `(T, labels)`, perhaps with padding after it. */
  readonly scores: Float32Array;
}

/** The tokens of a text in order, each from the window in which it is farthest from an end. */
function mergeWindows(
  { tokenizer }: EncoderModel,
  windows: readonly ScoredWindow[],
  numLabels: number,
): ScoredToken[] {
  const tokens = new Map<string, ScoredToken & { readonly margin: number }>();
  for (const { window, scores } of windows) {
    const { ids, offsets, specialMask } = window;
    const own = Array.from(ids.keys()).filter((place) => specialMask[place] === 0);
    own.forEach((place, i) => {
      const [start, end] = offsets[place]!;
      const key = `${start}–${end}`;
      const margin = Math.min(i, own.length - 1 - i);
      const before = tokens.get(key);
      if (before && before.margin >= margin) return;
      const isPiece = /^##./.test(tokenizer.tokenText(ids[place]!));
      const probabilities = softmax(scores.subarray(place * numLabels, (place + 1) * numLabels));
      tokens.set(key, { start, end, isPiece, probabilities, margin });
    });
  }
  return [...tokens.values()].sort((a, b) => a.start - b.start || a.end - b.end);
}
