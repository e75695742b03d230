import { FormatError } from "../../core/errors.ts";
import type { SplitPattern } from "../regex/split-pattern.ts";
import { describe } from "../tokenizer-json.ts";
import type { AlignedText } from "./aligned-text.ts";

const BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;

/** What becomes of the places where text is cut. */
export type Behavior = (typeof BEHAVIORS)[number];

/** @throws {FormatError} if it is none of them. */
export function readBehavior(value: unknown, where: string): Behavior {
  const known = BEHAVIORS.find((behavior) => behavior === value);
  if (known) return known;
  const expected = `one of ${BEHAVIORS.join(", ")}`;
  throw new FormatError({ where: `${where}.behavior`, expected, got: describe(value) });
}

/** A pattern of single characters. */
export function characters(isMember: (point: number) => boolean): SplitPattern {
  return {
    findAll: (text) => {
      const found: number[] = [];
      for (let at = 0; at < text.length; ) {
        const point = text.codePointAt(at)!;
        const end = at + (point > 0xffff ? 2 : 1);
        if (isMember(point)) found.push(at, end);
        at = end;
      }
      return found;
    },
  };
}

/**
 * Cuts a text where a pattern matches; pieces without text are left out.
 *
 * @param isInverted what does not match is where it is cut
 */
export function splitText(
  source: AlignedText,
  pattern: SplitPattern,
  behavior: Behavior,
  isInverted: boolean = false,
): AlignedText[] {
  const { borders, isMatch } = stretches(source.text, pattern.findAll(source.text));
  const pieces: AlignedText[] = [];
  let start = 0;
  for (const [i, matches] of isMatch.entries()) {
    const isDelimiter = matches !== isInverted;
    const end = borders[i + 1]!;
    const next = isMatch[i + 1];
    const isNextDelimiter = next !== undefined && next !== isInverted;
    if (behavior === "Removed" && isDelimiter) start = end;
    else if (next === undefined || endsHere(behavior, isDelimiter, isNextDelimiter)) {
      if (end > start) pieces.push(source.slice(start, end));
      start = end;
    }
  }
  return pieces;
}

/** Whether a piece ends between two stretches. */
function endsHere(behavior: Behavior, isDelimiter: boolean, isNextDelimiter: boolean): boolean {
  switch (behavior) {
    case "Removed":
    case "Isolated":
      return true;
    case "Contiguous":
      return isDelimiter !== isNextDelimiter;
    case "MergedWithPrevious":
      return isDelimiter || !isNextDelimiter;
    case "MergedWithNext":
      return !isDelimiter || isNextDelimiter;
  }
}

/** The matches and what lies between them, in order; a match may be empty. */
function stretches(text: string, found: readonly number[]): { borders: number[]; isMatch: boolean[] } {
  const borders = [0];
  const isMatch: boolean[] = [];
  for (let i = 0; i < found.length; i += 2) {
    if (found[i]! > borders.at(-1)!) {
      borders.push(found[i]!);
      isMatch.push(false);
    }
    borders.push(found[i + 1]!);
    isMatch.push(true);
  }
  if (text.length > borders.at(-1)!) {
    borders.push(text.length);
    isMatch.push(false);
  }
  return { borders, isMatch };
}
