import { ConfigError } from "../core/errors.ts";
import type { EncoderInput } from "../models/contracts.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { EncoderModel, EncoderTask, EncoderText } from "./encoder-model.ts";
import { POOLINGS, type Pooling } from "./sentence-config.ts";

// B texts · T tokens · C width

export interface EmbedOptions {
  /** Default: as the model says, else `mean`. */
  readonly pooling?: Pooling | undefined;
  /** Vectors of length 1, whose dot product is the cosine. Default: as the model says, else true. */
  readonly normalize?: boolean | undefined;
  /** Only that many first numbers of each vector, for models whose vectors may be cut; before normalising. */
  readonly dimensions?: number | undefined;
  /** Cut texts that are longer than the model reads; they are refused otherwise. */
  readonly truncate?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * One vector for each text, near to those of texts that mean the same if the model was trained to that end.
 *
 * @throws {DataError} if a text is longer than the model reads and may not be cut.
 * @throws {ConfigError} if an option is out of range.
 * @example
 * const [a, b] = await embed(model, ["A man eats.", "Someone has dinner."]);
 * const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0);
 */
export async function embed(
  model: EncoderModel,
  texts: readonly EncoderText[],
  options: EmbedOptions = {},
): Promise<Float32Array[]> {
  const { sentences } = model;
  const poolings = options.pooling ? [options.pooling] : (sentences?.pooling ?? ["mean"]);
  const { normalize = sentences?.normalize ?? true, dimensions, truncate, signal } = options;
  for (const pooling of poolings) checkPooling(pooling);
  const width = poolings.length * model.loaded.model.shape.width;
  if (
    dimensions !== undefined &&
    !(Number.isSafeInteger(dimensions) && dimensions >= 1 && dimensions <= width)
  ) {
    const expected = `an integer in [1, ${width}]`;
    throw new ConfigError({ where: "dimensions", expected, got: `${dimensions}` });
  }
  const lower = sentences?.lowerCase ? texts.map(toLowerCase) : texts;
  const items = model.encode(lower, { truncate, maxLength: longest(model) });
  const rows = await model.rows(poolingTask(poolings), items, signal);
  return rows.map(({ vectors }) => {
    const vector = vectors!.slice(0, dimensions);
    return normalize ? toUnitLength(vector) : vector;
  });
}

function checkPooling(pooling: Pooling): void {
  if (POOLINGS.includes(pooling)) return;
  const expected = `one of ${POOLINGS.join(", ")}`;
  throw new ConfigError({ where: "pooling", expected, got: JSON.stringify(pooling) });
}

function toLowerCase(text: EncoderText): EncoderText {
  if (typeof text === "string") return text.toLowerCase();
  return "ids" in text ? text : [text[0].toLowerCase(), text[1].toLowerCase()];
}

function longest({ sentences, loaded }: EncoderModel): number {
  const { contextLength } = loaded.model.shape;
  return Math.min(contextLength, sentences?.maxLength ?? contextLength);
}

function poolingTask(poolings: readonly Pooling[]): EncoderTask {
  const build = (hidden: Tensor, { mask }: EncoderInput) => {
    const [first, ...rest] = poolings.map((pooling) => pool(hidden, mask, pooling)) as [Tensor, ...Tensor[]];
    return { vectors: first.concat(rest, 1) };
  };
  return { name: `embed by ${poolings.join(", ")}`, build };
}

/** Hidden states `(B, T, C)` → `(B, C)`, from the tokens of the mask `(B, T)` only. */
function pool(hidden: Tensor, mask: Tensor, pooling: Pooling): Tensor {
  if (pooling === "cls") return hidden.slice(1, 0, 1).squeeze(1);
  const isToken = mask.unsqueeze(2); // (B, T, 1)
  if (pooling === "max") return isToken.greater(0).where(hidden, hidden.scalar(-3e38)).max(1);
  const weight = isToken.cast("float32");
  const [sum, count] = [hidden.mul(weight).sum(1), weight.sum(1)]; // (B, C), (B, 1)
  return sum.div(pooling === "mean" ? count : count.sqrt());
}

function toUnitLength(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / Math.max(length, 1e-12));
}
