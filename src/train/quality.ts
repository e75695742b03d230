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

/** How good a model is on text held out, in the unit of what it was trained for. */
export type Quality = TextQuality | MaskedQuality;

/** A quality as a figure with its unit. */
export interface Figure {
  readonly value: string;
  readonly unit: string;
}

/**
 * @param digits behind the point of bits per byte; percentages, two orders larger, have two fewer
 * @example
 * figureOf({ bitsPerByte: 2.25 }, 3); // => { value: "2.250", unit: "bits/byte" }
 */
export function figureOf(quality: Quality, digits: number): Figure {
  if (isTextQuality(quality)) return { value: quality.bitsPerByte.toFixed(digits), unit: "bits/byte" };
  const percent = (quality.maskedAccuracy * 100).toFixed(Math.max(0, digits - 2));
  return { value: `${percent} %`, unit: "of masked tokens right" };
}

/** `2.250 bits/byte` or `61.3 % of masked tokens right`, and how many of the pairs where there are any. */
export function showQuality(quality: Quality, digits: number): string {
  const { value, unit } = figureOf(quality, digits);
  const pairs = isTextQuality(quality) ? undefined : quality.nextSentenceAccuracy;
  return `${value} ${unit}${pairs === undefined ? "" : `, ${(pairs * 100).toFixed(1)} % of pairs`}`;
}

/** Which of the two kinds of quality it is. */
export function isTextQuality<Q extends Quality>(quality: Q): quality is Q & TextQuality {
  return "bitsPerByte" in quality;
}

/** Whether the first is better; both of the same kind. */
export function isBetter(one: Quality, other: Quality): boolean {
  if (isTextQuality(one)) return isTextQuality(other) && one.bitsPerByte < other.bitsPerByte;
  return !isTextQuality(other) && one.maskedAccuracy > other.maskedAccuracy;
}
