import { columnWidth, cutColumns } from "./columns.ts";

/** What a piece of text is, so that colour is chosen in one place. */
export type Tone = "title" | "value" | "label" | "training" | "validation" | "good" | "warning";

/** Text of one tone; a line is several of them. */
export interface Segment {
  readonly text: string;
  readonly tone?: Tone;
}

/** Colours a text, or not. */
export type Paint = (text: string, tone: Tone) => string;

/** The sixteen standard colours only: they follow the user's own palette, light or dark. */
const CODES: Readonly<Record<Tone, string>> = {
  title: "1",
  value: "1",
  label: "2",
  training: "36",
  validation: "33",
  good: "32",
  warning: "35",
};

/** No colour: for NO_COLOR, files and tests. */
export const paintNothing: Paint = (text) => text;

/** Select Graphic Rendition sequences (ECMA-48 §8.3.117). */
export const paintAnsi: Paint = (text, tone) => `\u001b[${CODES[tone]}m${text}\u001b[0m`;

/** One line of at most `width` columns. */
export function paintLine(segments: readonly Segment[], width: number, paint: Paint): string {
  let line = "";
  let left = width;
  for (const { text, tone } of segments) {
    const part = cutColumns(text, left);
    if (part !== "") line += tone ? paint(part, tone) : part;
    if (part !== text) break;
    left -= columnWidth(part);
  }
  return line;
}

/** Columns the segments take together. */
export function segmentsWidth(segments: readonly Segment[]): number {
  return segments.reduce((sum, { text }) => sum + columnWidth(text), 0);
}
