/** How well running text is predicted. */
export interface TextQuality {
  /** Bits per UTF-8 byte of the validation text that was scored; lower is better. */
  readonly bitsPerByte: number;
}

/** How well masked tokens are filled in. */
export interface MaskedQuality {
  /** Share of the masked tokens whose most probable filling is right; higher is better. */
  readonly maskedAccuracy: number;
  /** Of the accuracy, as of that many independent draws. */
  readonly standardError: number;
  /** Share of the pairs told right, where the next sentence is predicted too. */
  readonly nextSentenceAccuracy?: number;
}

/** How well a task is done, by the metric that is its own. */
export interface TaskQuality {
  /** Its name, as it is shown: `accuracy`, `exact match`. */
  readonly metric: string;
  readonly value: number;
  readonly higherIsBetter: boolean;
  /** Of the value. */
  readonly standardError?: number;
  /** Further metrics by name. */
  readonly others?: Readonly<Record<string, number>>;
}

/** How good a model is on what was held out, in the unit of what it was trained for. */
export type Quality = TextQuality | MaskedQuality | TaskQuality;

/** A quality as a figure with its unit. */
export interface Figure {
  readonly value: string;
  readonly unit: string;
}

/**
 * @param digits behind the point of bits per byte and of metrics; what is larger by some orders, such as percentages and
 *   perplexities, has as many fewer
 * @example
 * figureOf({ bitsPerByte: 2.25 }, 3); // => { value: "2.250", unit: "bits/byte" }
 */
export function figureOf(quality: Quality, digits: number): Figure {
  if (isTextQuality(quality)) return { value: quality.bitsPerByte.toFixed(digits), unit: "bits/byte" };
  if (isTaskQuality(quality)) return { value: fixed(quality.value, digits), unit: quality.metric };
  const percent = (quality.maskedAccuracy * 100).toFixed(Math.max(0, digits - 2));
  return { value: `${percent} %`, unit: "of masked tokens right" };
}

/**
 * `2.250 bits/byte`, or `61.3 % of masked tokens right` and how many of the pairs, or `0.871 ± 0.012 accuracy` and what
 * else was measured.
 */
export function showQuality(quality: Quality, digits: number): string {
  const { value, unit } = figureOf(quality, digits);
  if (isTaskQuality(quality)) {
    const { standardError, others = {} } = quality;
    const error = standardError === undefined ? "" : ` ± ${fixed(standardError, digits)}`;
    const more = Object.entries(others).map(([name, other]) => `, ${fixed(other, digits)} ${name}`);
    return `${value}${error} ${unit}${more.join("")}`;
  }
  const pairs = isMaskedQuality(quality) ? quality.nextSentenceAccuracy : undefined;
  return `${value} ${unit}${pairs === undefined ? "" : `, ${(pairs * 100).toFixed(1)} % of pairs`}`;
}

/** Fewer digits behind the point, the more are before it: a perplexity is `512.3`, not `512.3401`. */
function fixed(value: number, digits: number): string {
  const orders = Math.floor(Math.log10(Math.max(1, Math.abs(value))));
  return value.toFixed(Math.max(0, digits - orders)).replace("-", "−");
}

/** Whether it is the quality of running text. */
export function isTextQuality<Q extends Quality>(quality: Q): quality is Q & TextQuality {
  return "bitsPerByte" in quality;
}

/** Whether it is the quality of filling in. */
export function isMaskedQuality<Q extends Quality>(quality: Q): quality is Q & MaskedQuality {
  return "maskedAccuracy" in quality;
}

/** Whether it is the quality of a task. */
export function isTaskQuality<Q extends Quality>(quality: Q): quality is Q & TaskQuality {
  return "metric" in quality;
}

/** Whether the first is better; never, if they are of two kinds. */
export function isBetter(one: Quality, other: Quality): boolean {
  if (isTextQuality(one)) return isTextQuality(other) && one.bitsPerByte < other.bitsPerByte;
  if (isMaskedQuality(one)) return isMaskedQuality(other) && one.maskedAccuracy > other.maskedAccuracy;
  if (!isTaskQuality(other) || other.metric !== one.metric) return false;
  return one.higherIsBetter ? one.value > other.value : one.value < other.value;
}
